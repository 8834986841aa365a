/* SPDX-License-Identifier: MIT */
/*
 * Direct I/O where the storage is particular: calls that ask for it go through the stand-ins here,
 * which make a file system of large sectors, or a network's, or a poor one, of the one in /tmp.
 */
#include <errno.h>
#include <fcntl.h>
#include <libaio.h>
#include <linux/magic.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>
#include <cmocka.h>

#include "image.h"
#include "num.h"

#define DISK_BYTES (1024u * 1024u)

static struct {
	unsigned unit;	       /* what direct I/O wants; 0: as it is */
	bool none, untold;     /* the kernel says that there is none, or does not say */
	unsigned wants;	       /* where it does not say: a pread() of less fails, ... */
	unsigned wants_memory; /* ... or one to memory that is aligned to less */
	int refuse;	       /* a positive errno for O_DIRECT, ... */
	int bad;	       /* ... for pread() ... */
	int again;	       /* ... and for opening the file a second time */
	bool network;	       /* an NFS */
	unsigned direct, odd;  /* operations that went with O_DIRECT, and without */
} storage;

#ifdef STATX_DIOALIGN
int statx(int fd, const char *restrict name, int flags, unsigned mask, struct statx *restrict stx)
{
	int ret = (int)syscall(SYS_statx, fd, name, flags, mask, stx);

	if (!ret && storage.unit && (mask & STATX_DIOALIGN)) {
		stx->stx_mask |= STATX_DIOALIGN;
		stx->stx_dio_mem_align = stx->stx_dio_offset_align = storage.unit;
	}
	if (!ret && storage.untold)
		stx->stx_mask &= ~(unsigned)STATX_DIOALIGN;
	if (!ret && storage.none && (mask & STATX_DIOALIGN)) {
		stx->stx_mask |= STATX_DIOALIGN;
		stx->stx_dio_mem_align = stx->stx_dio_offset_align = 0;
	}
	return ret;
}
#endif

int fstatfs(int fd, struct statfs *fs)
{
	int ret = (int)syscall(SYS_fstatfs, fd, fs);

	if (!ret && storage.network)
		fs->f_type = NFS_SUPER_MAGIC;
	return ret;
}

ssize_t pread(int fd, void *buf, size_t bytes, off_t offset)
{
	errno = storage.bad;
	if (storage.wants && ((bytes | (uint64_t)offset) % storage.wants))
		errno = EINVAL;
	if (storage.wants_memory && (uintptr_t)buf % storage.wants_memory)
		errno = EINVAL;
	return errno ? -1 : (ssize_t)syscall(SYS_pread64, fd, buf, bytes, offset);
}

int fcntl(int fd, int command, ...)
{
	va_list ap;
	long arg;

	va_start(ap, command);
	arg = va_arg(ap, long);
	va_end(ap);
	errno = command == F_SETFL && (arg & O_DIRECT) ? storage.refuse : 0;
	return errno ? -1 : (int)syscall(SYS_fcntl, fd, command, arg);
}

int open(const char *name, int flags, ...)
{
	mode_t mode = 0;
	va_list ap;

	va_start(ap, flags);
	if (flags & O_CREAT)
		mode = va_arg(ap, mode_t);
	va_end(ap);
	errno = strncmp(name, "/proc/self/fd/", 14) ? 0 : storage.again;
	return errno ? -1 : (int)syscall(SYS_openat, AT_FDCWD, name, flags, mode);
}

int io_submit(io_context_t context, long n, struct iocb *iocbs[])
{
	long ret = syscall(SYS_io_submit, context, n, iocbs);

	for (long i = 0; i < n; i++) {
		if (fcntl(iocbs[i]->aio_fildes, F_GETFL) & O_DIRECT)
			storage.direct++;
		else
			storage.odd++;
	}
	return ret < 0 ? -errno : (int)ret;
}

static char dir[] = "/tmp/taptools-test-XXXXXX";
static char path[64];
static struct image *image;

static int make_disk(void **state)
{
	strcpy(strrchr(dir, '-'), "-XXXXXX");
	if (!mkdtemp(dir))
		return -1;
	snprintf(path, sizeof(path), "%s/disk.img", dir);
	image = NULL;
	memset(&storage, 0, sizeof(storage));
	return close(open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600)) || truncate(path, DISK_BYTES);
}

static int remove_disk(void **state)
{
	image_close(image);
	unlink(path);
	return rmdir(dir);
}

static const struct image_facts *open_image(const struct image_options *options)
{
	struct err e = {0};

	image_close(image);
	image = NULL;
	if (image_open(&image, path, options, &e))
		fail_msg("%s", e.what);
	return image_facts(image);
}

/* Not every file system that /tmp may be on has direct I/O. */
static void need_direct(void)
{
	if (!open_image(NULL)->direct)
		skip();
}

static void large_sectors_want_a_guest_that_keeps_to_them(void **state)
{
#ifdef STATX_DIOALIGN
	need_direct();
	storage.unit = 4096;
	assert_false(open_image(NULL)->direct);
	assert_non_null(strstr(image_facts(image)->note, "4096-byte"));
	assert_true(open_image(&(struct image_options){.sector_bytes = 4096})->direct);
	storage.unit = 8192;
	assert_false(open_image(&(struct image_options){.sector_bytes = 4096})->direct);
#else
	skip();
#endif
}

static void transfer(struct image_io *io, struct image_op *op)
{
	struct pollfd fd = {.fd = image_io_fd(io), .events = POLLIN};
	struct image_op *done;
	uint64_t calls = 0;

	image_io_submit(io, &op, 1, &calls);
	do {
		assert_int_equal(poll(&fd, 1, 10000), 1);
	} while (!image_io_reap(io, &done, 1, &calls));
	assert_int_equal(op->result, 0);
}

static void check_not_direct(const struct image_options *options, const char *note)
{
	assert_false(open_image(options)->direct);
	assert_string_equal(image_facts(image)->note, note);
}

static void none_at_all(void **state)
{
#ifdef STATX_DIOALIGN
	storage.none = true;
	check_not_direct(NULL, "no direct I/O on this file");
#else
	skip();
#endif
}

static void refused(void **state)
{
	need_direct();
	storage.refuse = EINVAL;
	check_not_direct(NULL, "the file system refuses direct I/O: Invalid argument");
}

/* A kernel before 6.1, or a file system that has no word on it: a read tells. */
static void found_out_by_reading(void **state)
{
	const struct image_options large = {.sector_bytes = 4096};

	need_direct();
	storage.untold = true;
	storage.wants = 512;
	assert_true(open_image(NULL)->direct);
	assert_true(open_image(&large)->direct);
	storage.wants = 4096;
	check_not_direct(NULL, "direct I/O here wants more than 512-byte alignment");
	assert_true(open_image(&large)->direct);
	storage.wants = 8192;
	check_not_direct(&large, "direct I/O here wants more than 4096-byte alignment");
	storage.wants = 512;
	storage.wants_memory = 1024;
	check_not_direct(NULL, "direct I/O here wants more than 512-byte alignment");
	storage.wants_memory = 512;
	assert_true(open_image(NULL)->direct);
	storage.bad = EIO;
	check_not_direct(NULL, "direct I/O failed: Input/output error");
}

/* A request is whole sectors, its segments need not be. */
static void pieces_of_a_large_sector(void **state)
{
#ifdef STATX_DIOALIGN
	static unsigned char memory[4 * 4096] __attribute__((aligned(4096)));
	struct iovec whole = {memory, 4096}, pieces[2];
	struct image_op op = {.operation = IMAGE_WRITE, .offset_bytes = 8192, .length_bytes = 4096};
	struct image_io *io;

	need_direct();
	storage.unit = 4096;
	assert_true(open_image(&(struct image_options){.sector_bytes = 4096})->direct);
	assert_int_equal(image_io_open(&io, image, 4), 0);
	storage.direct = 0; /* flushes while it was opened */
	memset(memory, 1, 4096);
	op.iov = &whole;
	op.iovcnt = 1;
	transfer(io, &op);
	assert_int_equal(storage.direct, 1);
	assert_int_equal(storage.odd, 0);
	/* the same place again, in two pieces that lie at odd places in memory */
	memset(memory, 0, sizeof(memory));
	op.operation = IMAGE_READ;
	pieces[0] = (struct iovec){memory + 4096 + 512, 3584};
	pieces[1] = (struct iovec){memory + 8192, 512};
	op.iov = pieces;
	op.iovcnt = 2;
	transfer(io, &op);
	assert_int_equal(storage.direct, 1);
	assert_int_equal(storage.odd, 1);
	for (unsigned i = 0; i < sizeof(memory); i++)
		assert_int_equal(memory[i], i >= 4608 && i < 8704);
	image_io_close(io);
#else
	skip();
#endif
}

/* Without a second descriptor for odd pieces all goes buffered, and well. */
static void no_second_descriptor(void **state)
{
#ifdef STATX_DIOALIGN
	static unsigned char memory[SECTOR_BYTES + 4096] __attribute__((aligned(4096)));
	struct iovec odd = {memory + SECTOR_BYTES, 4096};
	struct image_op op = {.operation = IMAGE_READ, .length_bytes = 4096};
	struct image_io *io;

	need_direct();
	storage.unit = 4096;
	storage.again = EMFILE;
	check_not_direct(&(struct image_options){.sector_bytes = 4096},
			 "cannot open it a second time: Too many open files");
	assert_int_equal(image_io_open(&io, image, 4), 0);
	storage.direct = storage.odd = 0;
	op.iov = &odd;
	op.iovcnt = 1;
	transfer(io, &op);
	assert_int_equal(storage.direct, 0);
	assert_int_equal(storage.odd, 1);
	image_io_close(io);
#else
	skip();
#endif
}

static void the_size_is_whole_sectors(void **state)
{
	struct err e = {0};
	const struct image_options large = {.sector_bytes = 4096};

	assert_int_equal(truncate(path, DISK_BYTES + 512), 0);
	assert_int_equal(image_open(&image, path, &large, &e), -EINVAL);
	assert_int_equal(e.exit, TAP_EXIT_IMAGE);
	assert_non_null(strstr(e.what, "not a multiple of 4096"));
	image = NULL;
	open_image(NULL);
	image_close(image);
	assert_int_equal(image_open(&image, "null:4608", &large, &e), -EINVAL);
	assert_int_equal(e.exit, TAP_EXIT_IMAGE);
	image = NULL;
}

static void a_network_has_to_be_safe(void **state)
{
	need_direct();
	storage.network = true;
	assert_false(open_image(NULL)->direct);
	assert_non_null(strstr(image_facts(image)->note, "direct-io-safe"));
	assert_true(open_image(&(struct image_options){.direct_io_safe = true})->direct);
}

#define on_disk(test) cmocka_unit_test_setup_teardown(test, make_disk, remove_disk)

int main(void)
{
	const struct CMUnitTest tests[] = {
		on_disk(large_sectors_want_a_guest_that_keeps_to_them),
		on_disk(none_at_all),
		on_disk(refused),
		on_disk(found_out_by_reading),
		on_disk(pieces_of_a_large_sector),
		on_disk(no_second_descriptor),
		on_disk(the_size_is_whole_sectors),
		on_disk(a_network_has_to_be_safe),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
