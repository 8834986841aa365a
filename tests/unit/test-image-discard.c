/* SPDX-License-Identifier: MIT */
/*
 * Discards: what is left of a file, and that nothing waits for one. fallocate() goes through the
 * stand-in here, which hands it on, refuses it, or holds it until a test lets it go.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <cmocka.h>

#include "image.h"
#include "num.h"

#define OPS	 32
#define UNIT	 4096
#define UNITS	 256
#define DISK_END (UNITS * UNIT)

static struct {
	atomic_int refuse; /* a positive errno for the next calls */
	atomic_int calls;
	atomic_bool hold; /* calls wait for `gate`, having told `held` */
	int gate, held;
	int no_thread; /* a positive errno for pthread_create() */
} kernel = {.gate = -1, .held = -1};

int fallocate(int fd, int mode, off_t offset, off_t length)
{
	eventfd_t count;

	kernel.calls++;
	if (kernel.hold) {
		eventfd_write(kernel.held, 1);
		eventfd_read(kernel.gate, &count);
	}
	if (kernel.refuse) {
		errno = kernel.refuse;
		return -1;
	}
	return (int)syscall(SYS_fallocate, fd, mode, offset, length);
}

int pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *),
		   void *opaque)
{
	__typeof__(pthread_create) *real = dlsym(RTLD_NEXT, "pthread_create");

	return kernel.no_thread ? kernel.no_thread : real(thread, attributes, run, opaque);
}

static char dir[] = "/tmp/taptools-test-XXXXXX";
static char path[64];
static struct image *image;
static struct image_io *io;
static uint64_t calls;
static struct image_op op[OPS];
static struct iovec iov[OPS];
static unsigned char memory[OPS][UNIT] __attribute__((aligned(UNIT)));

static int open_image(const struct image_options *options)
{
	if (image_open(&image, path, options, NULL))
		return -1;
	return image_io_open(&io, image, OPS);
}

static void close_image(void)
{
	image_io_close(io);
	image_close(image);
}

static int make_disk(void **state)
{
	int fd;

	strcpy(strrchr(dir, '-'), "-XXXXXX");
	if (!mkdtemp(dir))
		return -1;
	snprintf(path, sizeof(path), "%s/disk.img", dir);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	for (unsigned i = 0; i < UNITS; i++) {
		memset(memory[0], (int)(i % 255) + 1, UNIT);
		if (pwrite(fd, memory[0], UNIT, (off_t)i * UNIT) != UNIT)
			return -1;
	}
	fsync(fd); /* blocks are counted once they are allocated */
	close(fd);
	kernel.refuse = kernel.calls = 0;
	kernel.hold = false;
	kernel.no_thread = 0;
	kernel.gate = eventfd(0, EFD_CLOEXEC | EFD_SEMAPHORE);
	kernel.held = eventfd(0, EFD_CLOEXEC | EFD_SEMAPHORE);
	return open_image(NULL);
}

static int remove_disk(void **state)
{
	eventfd_write(kernel.gate, OPS); /* of a test that failed while it held some */
	close_image();
	close(kernel.gate);
	close(kernel.held);
	unlink(path);
	return rmdir(dir);
}

static struct image_op *prepare(unsigned i, enum image_operation operation, unsigned unit,
				unsigned units)
{
	iov[i] = (struct iovec){.iov_base = memory[i], .iov_len = UNIT};
	op[i] = (struct image_op){
		.operation = operation,
		.offset_bytes = (uint64_t)unit * UNIT,
		.length_bytes = (uint64_t)units * UNIT,
		.iov = &iov[i],
		.iovcnt = operation == IMAGE_DISCARD ? 0 : 1,
		.result = 4711,
	};
	return &op[i];
}

static void submit(unsigned first, unsigned n)
{
	struct image_op *ops[OPS];

	for (unsigned i = 0; i < n; i++)
		ops[i] = &op[first + i];
	image_io_submit(io, ops, n, &calls);
}

/* Reap @n operations, @max at a time, waiting on the descriptor alone. */
static void reap(unsigned n, unsigned max)
{
	struct pollfd fd = {.fd = image_io_fd(io), .events = POLLIN};
	struct image_op *ops[OPS];

	for (unsigned done = 0; done < n;) {
		if (poll(&fd, 1, 10000) != 1)
			fail_msg("%u of %u operations never became reapable", n - done, n);
		done += image_io_reap(io, ops, max, &calls);
	}
	assert_int_equal(image_io_reap(io, ops, OPS, &calls), 0);
	assert_int_equal(poll(&fd, 1, 0), 0);
}

static struct stat look(void)
{
	struct stat st;

	assert_int_equal(stat(path, &st), 0);
	return st;
}

static int read_unit(unsigned unit)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC), same = 1;
	unsigned char buf[UNIT];

	assert_int_equal(pread(fd, buf, UNIT, (off_t)unit * UNIT), UNIT);
	close(fd);
	for (unsigned i = 1; i < UNIT; i++)
		same &= buf[i] == buf[0];
	return same ? buf[0] : -1;
}

static void a_discard_is_a_hole(void **state)
{
	struct stat before = look();
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	assert_true(image_facts(image)->can_discard);
	assert_false(image_facts(image)->can_discard_secure);
	assert_true(image_facts(image)->discard_granularity_bytes >= SECTOR_BYTES);
	prepare(0, IMAGE_DISCARD, 64, 128);
	submit(0, 1);
	reap(1, OPS);
	assert_int_equal(op[0].result, 0);
	assert_int_equal(look().st_size, before.st_size);
	assert_int_equal(before.st_blocks - look().st_blocks, 128 * UNIT / 512);
	assert_int_equal(lseek(fd, 0, SEEK_HOLE), 64 * UNIT);
	assert_int_equal(lseek(fd, 64 * UNIT, SEEK_DATA), 192 * UNIT);
	close(fd);
	assert_int_equal(read_unit(63), 64);
	assert_int_equal(read_unit(64), 0);
	assert_int_equal(read_unit(191), 0);
	assert_int_equal(read_unit(192), 193);
}

static void sectors_alone_become_zeros(void **state)
{
	unsigned char buf[3 * SECTOR_BYTES];
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	prepare(0, IMAGE_DISCARD, 0, 0);
	op[0].offset_bytes = UNIT + SECTOR_BYTES;
	op[0].length_bytes = SECTOR_BYTES;
	submit(0, 1);
	reap(1, OPS);
	assert_int_equal(op[0].result, 0);
	assert_int_equal(pread(fd, buf, sizeof(buf), UNIT), sizeof(buf));
	close(fd);
	assert_int_equal(buf[SECTOR_BYTES - 1], 2);
	assert_int_equal(buf[SECTOR_BYTES], 0);
	assert_int_equal(buf[2 * SECTOR_BYTES - 1], 0);
	assert_int_equal(buf[2 * SECTOR_BYTES], 2);
}

static void to_open_is_to_change_nothing(void **state)
{
	struct image_facts facts;
	struct stat before = look();

	close_image();
	kernel.calls = 0;
	assert_int_equal(image_probe(path, NULL, &facts, NULL), 0);
	assert_int_equal(kernel.calls, 0);
	assert_false(facts.can_discard);
	assert_int_equal(open_image(NULL), 0);
	assert_int_equal(kernel.calls, 1);
	assert_int_equal(look().st_size, before.st_size);
	assert_int_equal(look().st_blocks, before.st_blocks);
	for (unsigned i = 0; i < UNITS; i++)
		assert_int_equal(read_unit(i), i % 255 + 1);
}

static void nothing_waits_for_a_discard(void **state)
{
	eventfd_t count;

	kernel.hold = true;
	prepare(0, IMAGE_DISCARD, 0, 16);
	prepare(1, IMAGE_DISCARD, 16, 16);
	prepare(2, IMAGE_READ, 100, 1);
	submit(0, 3);
	eventfd_read(kernel.held, &count); /* the first one is in the kernel */
	reap(1, OPS);
	assert_int_equal(op[2].result, 0);
	assert_int_equal(memory[2][0], 101);
	prepare(3, IMAGE_WRITE, 101, 1);
	prepare(4, IMAGE_FLUSH, 0, 0);
	submit(3, 2);
	reap(2, OPS);
	assert_int_equal(op[3].result, 0);
	assert_int_equal(op[4].result, 0);
	assert_int_equal(op[0].result, 4711);
	assert_int_equal(op[1].result, 4711);
	eventfd_write(kernel.gate, 2);
	reap(2, OPS);
	assert_int_equal(op[0].result, 0);
	assert_int_equal(op[1].result, 0);
}

static void many_are_reaped_a_few_at_a_time(void **state)
{
	for (unsigned i = 0; i < OPS; i++)
		prepare(i, i % 2 ? IMAGE_DISCARD : IMAGE_READ, i, 1);
	submit(0, OPS);
	reap(OPS, 3);
	for (unsigned i = 0; i < OPS; i++) {
		assert_int_equal(op[i].result, 0);
		assert_int_equal(read_unit(i), i % 2 ? 0 : i + 1);
	}
}

/* What becomes of the contents is the guest's business: it may be the one or the other. */
static void discards_over_what_is_in_flight(void **state)
{
	for (unsigned round = 0; round < 50; round++) {
		for (unsigned i = 0; i < OPS; i++) {
			prepare(i,
				(enum image_operation[]){IMAGE_DISCARD, IMAGE_WRITE, IMAGE_READ,
							 IMAGE_WRITE}[i % 4],
				i / 4, 1);
			memset(memory[i], 77, UNIT);
		}
		submit(0, OPS);
		reap(OPS, OPS);
		for (unsigned i = 0; i < OPS; i++)
			assert_int_equal(op[i].result, 0);
	}
	for (unsigned i = 0; i < OPS / 4; i++) {
		int now = read_unit(i);

		if (now != 0 && now != 77)
			fail_msg("unit %u is %d", i, now);
	}
	assert_int_equal(read_unit(OPS / 4), OPS / 4 + 1);
}

static void a_discard_that_fails_fails_alone(void **state)
{
	static const struct {
		int error, result;
	} cases[] = {{EOPNOTSUPP, -EOPNOTSUPP}, {ENOSYS, -EOPNOTSUPP}, {EIO, -EIO}};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		kernel.refuse = cases[i].error;
		prepare(0, IMAGE_DISCARD, 0, 16);
		prepare(1, IMAGE_READ, 0, 1);
		submit(0, 2);
		reap(2, OPS);
		assert_int_equal(op[0].result, cases[i].result);
		assert_int_equal(op[1].result, 0);
	}
	kernel.refuse = 0;
	prepare(0, IMAGE_DISCARD, 0, 16);
	submit(0, 1);
	reap(1, OPS);
	assert_int_equal(op[0].result, 0);
}

/* A discard of @image must be refused with @result, without a call. */
static void check_refused(bool secure, int result)
{
	kernel.calls = 0;
	prepare(0, IMAGE_DISCARD, 0, 16);
	op[0].secure = secure;
	submit(0, 1);
	reap(1, OPS);
	assert_int_equal(op[0].result, result);
	assert_int_equal(kernel.calls, 0);
	assert_int_equal(read_unit(0), 1);
}

static void without_a_thread_for_it(void **state)
{
	kernel.no_thread = EAGAIN;
	check_refused(false, -EAGAIN);
	kernel.no_thread = 0;
	submit(0, 1);
	reap(1, OPS);
	assert_int_equal(op[0].result, 0);
	assert_int_equal(read_unit(0), 0);
}

static void where_it_cannot_be_done(void **state)
{
	check_refused(true, -EOPNOTSUPP); /* a hole does not make anything unrecoverable */
	close_image();
	kernel.refuse = EOPNOTSUPP;
	assert_int_equal(open_image(NULL), 0);
	assert_false(image_facts(image)->can_discard);
	kernel.refuse = 0;
	check_refused(false, -EOPNOTSUPP);
	close_image();
	assert_int_equal(open_image(&(struct image_options){.read_only = true}), 0);
	assert_false(image_facts(image)->can_discard);
	check_refused(false, -EROFS);
}

static void null_discards(void **state)
{
	close_image();
	assert_int_equal(image_open(&image, "null:1M", NULL, NULL), 0);
	assert_int_equal(image_io_open(&io, image, OPS), 0);
	assert_true(image_facts(image)->can_discard);
	assert_true(image_facts(image)->can_discard_secure);
	prepare(0, IMAGE_DISCARD, 0, 16);
	op[0].secure = true;
	submit(0, 1);
	reap(1, OPS);
	assert_int_equal(op[0].result, 0);
}

#define on_disk(test) cmocka_unit_test_setup_teardown(test, make_disk, remove_disk)

int main(void)
{
	const struct CMUnitTest tests[] = {
		on_disk(a_discard_is_a_hole),
		on_disk(sectors_alone_become_zeros),
		on_disk(to_open_is_to_change_nothing),
		on_disk(nothing_waits_for_a_discard),
		on_disk(many_are_reaped_a_few_at_a_time),
		on_disk(discards_over_what_is_in_flight),
		on_disk(a_discard_that_fails_fails_alone),
		on_disk(without_a_thread_for_it),
		on_disk(where_it_cannot_be_done),
		on_disk(null_discards),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
