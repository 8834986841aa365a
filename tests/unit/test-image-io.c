/* SPDX-License-Identifier: MIT */
/*
 * Operations on images: what comes back from them, and what a kernel may do with io_submit. Its
 * calls go through the stand-ins here, which hand them on, cut short or refused as a test says.
 */
#include <errno.h>
#include <fcntl.h>
#include <libaio.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <cmocka.h>

#include "image.h"
#include "num.h"

#define DEPTH	 8
#define UNIT	 4096
#define DISK_END (64 * UNIT)

static struct {
	unsigned taken_max;		    /* io_submit takes so many; 0: all */
	int refuse;			    /* a negative errno for ... */
	unsigned refuse_from, refuse_calls; /* ... these calls, counted from 1 */
	bool cut;      /* a transfer of several pieces does only its first one */
	int setup;     /* a negative errno for io_setup */
	int aio_flush; /* a negative errno for a flush by aio */
	int fdatasync; /* a positive errno for fdatasync */
	unsigned calls;
} kernel;

int io_setup(int events, io_context_t *context)
{
	if (kernel.setup)
		return kernel.setup;
	return syscall(SYS_io_setup, events, context) ? -errno : 0;
}

int fdatasync(int fd)
{
	errno = kernel.fdatasync;
	return kernel.fdatasync ? -1 : (int)syscall(SYS_fdatasync, fd);
}

int io_submit(io_context_t context, long n, struct iocb *iocbs[])
{
	struct iocb whole[DEPTH];
	long ret;

	kernel.calls++;
	if (kernel.aio_flush && iocbs[0]->aio_lio_opcode == IO_CMD_FDSYNC)
		return kernel.aio_flush;
	if (kernel.refuse && kernel.calls >= kernel.refuse_from &&
	    kernel.calls < kernel.refuse_from + kernel.refuse_calls)
		return kernel.refuse;
	if (kernel.taken_max && n > kernel.taken_max)
		n = kernel.taken_max;
	assert_true(n <= DEPTH);
	for (long i = 0; i < n; i++) {
		whole[i] = *iocbs[i];
		if (kernel.cut && iocbs[i]->aio_lio_opcode != IO_CMD_FDSYNC)
			iocbs[i]->u.c.nbytes = 1;
	}
	ret = syscall(SYS_io_submit, context, n, iocbs);
	for (long i = 0; i < n; i++)
		*iocbs[i] = whole[i];
	return ret < 0 ? -errno : (int)ret;
}

static char dir[] = "/tmp/taptools-test-XXXXXX";
static char path[64];
static struct image *image;
static struct image_io *io;
static uint64_t calls;
static struct image_op op[DEPTH];
static struct iovec iov[DEPTH][4];
static unsigned char memory[DEPTH][4 * UNIT] __attribute__((aligned(UNIT)));

static int open_image(const struct image_options *options)
{
	kernel = (__typeof__(kernel)){0};
	if (image_open(&image, path, options, NULL))
		return -1;
	kernel.calls = 0;
	calls = 0;
	return image_io_open(&io, image, DEPTH);
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
	for (unsigned i = 0; i < DISK_END / UNIT; i++) {
		memset(memory[0], (int)i + 1, UNIT);
		if (pwrite(fd, memory[0], UNIT, (off_t)i * UNIT) != UNIT)
			return -1;
	}
	close(fd);
	memset(memory, 0xee, sizeof(memory));
	return open_image(NULL);
}

static int remove_disk(void **state)
{
	close_image();
	unlink(path);
	return rmdir(dir);
}

/* Operation @i: @pieces of a unit each, from unit @unit of the disk. */
static struct image_op *prepare(unsigned i, enum image_operation operation, unsigned unit,
				unsigned pieces)
{
	for (unsigned p = 0; p < pieces; p++)
		iov[i][p] = (struct iovec){.iov_base = memory[i] + p * UNIT, .iov_len = UNIT};
	op[i] = (struct image_op){
		.operation = operation,
		.offset_bytes = (uint64_t)unit * UNIT,
		.length_bytes = (uint64_t)pieces * UNIT,
		.iov = iov[i],
		.iovcnt = pieces,
		.result = 4711,
	};
	return &op[i];
}

static void submit(unsigned n)
{
	struct image_op *ops[DEPTH];

	for (unsigned i = 0; i < n; i++)
		ops[i] = &op[i];
	image_io_submit(io, ops, n, &calls);
}

static bool is_readable(int timeout_ms)
{
	struct pollfd fd = {.fd = image_io_fd(io), .events = POLLIN};

	return poll(&fd, 1, timeout_ms) == 1;
}

/* Reap @n operations, waiting on the descriptor alone, @max at a time. */
static void reap(unsigned n, unsigned max)
{
	struct image_op *ops[DEPTH];
	bool seen[DEPTH] = {0};

	for (unsigned done = 0; done < n;) {
		unsigned got;

		if (!is_readable(10000))
			fail_msg("%u of %u operations never became reapable", n - done, n);
		got = image_io_reap(io, ops, max, &calls);
		assert_true(got <= max);
		for (unsigned i = 0; i < got; i++) {
			assert_false(seen[ops[i] - op]);
			seen[ops[i] - op] = true;
		}
		done += got;
	}
	assert_int_equal(image_io_reap(io, ops, DEPTH, &calls), 0);
	assert_false(is_readable(0));
}

static void check_memory(unsigned i, unsigned unit, unsigned pieces)
{
	for (unsigned b = 0; b < pieces * UNIT; b++) {
		if (memory[i][b] != unit + b / UNIT + 1)
			fail_msg("operation %u, byte %u: %u", i, b, memory[i][b]);
	}
}

static void a_batch_is_one_call(void **state)
{
	assert_false(is_readable(0));
	for (unsigned i = 0; i < DEPTH; i++)
		prepare(i, IMAGE_READ, i * 4, 4);
	submit(DEPTH);
	assert_int_equal(calls, 1);
	assert_int_equal(kernel.calls, 1);
	reap(DEPTH, DEPTH);
	for (unsigned i = 0; i < DEPTH; i++) {
		assert_int_equal(op[i].result, 0);
		check_memory(i, i * 4, 4);
	}
}

static void a_small_reap_leaves_the_rest_readable(void **state)
{
	for (unsigned i = 0; i < DEPTH; i++)
		prepare(i, i % 2 ? IMAGE_FLUSH : IMAGE_READ, i, i % 2 ? 0 : 1);
	submit(DEPTH);
	reap(DEPTH, 1);
	for (unsigned i = 0; i < DEPTH; i++)
		assert_int_equal(op[i].result, 0);
}

static void writes_are_read_back(void **state)
{
	for (unsigned i = 0; i < DEPTH; i++) {
		prepare(i, IMAGE_WRITE, 32 + i * 4, 4);
		for (unsigned p = 0; p < 4; p++)
			memset(memory[i] + p * UNIT, (int)(100 + i * 4 + p), UNIT);
	}
	submit(DEPTH);
	reap(DEPTH, DEPTH);
	memset(memory, 0, sizeof(memory));
	for (unsigned i = 0; i < DEPTH; i++)
		prepare(i, IMAGE_READ, 32 + i * 4, 4);
	submit(DEPTH);
	reap(DEPTH, DEPTH);
	for (unsigned i = 0; i < DEPTH; i++)
		check_memory(i, 99 + i * 4, 4);
}

static void single_sectors(void **state)
{
	prepare(0, IMAGE_READ, 0, 1);
	op[0].offset_bytes = UNIT - SECTOR_BYTES;
	op[0].length_bytes = 2 * SECTOR_BYTES;
	iov[0][0] = (struct iovec){.iov_base = memory[0] + SECTOR_BYTES, .iov_len = SECTOR_BYTES};
	iov[0][1] =
		(struct iovec){.iov_base = memory[0] + 5 * SECTOR_BYTES, .iov_len = SECTOR_BYTES};
	op[0].iovcnt = 2;
	submit(1);
	reap(1, 1);
	assert_int_equal(op[0].result, 0);
	assert_int_equal(memory[0][SECTOR_BYTES - 1], 0xee);
	assert_int_equal(memory[0][SECTOR_BYTES], 1);
	assert_int_equal(memory[0][2 * SECTOR_BYTES], 0xee);
	assert_int_equal(memory[0][5 * SECTOR_BYTES], 2);
	assert_int_equal(memory[0][6 * SECTOR_BYTES], 0xee);
}

static void short_transfers_go_on(void **state)
{
	kernel.cut = true;
	for (unsigned i = 0; i < DEPTH / 2; i++)
		prepare(i, IMAGE_READ, i * 4, 4);
	for (unsigned i = DEPTH / 2; i < DEPTH; i++) {
		prepare(i, IMAGE_WRITE, i * 4, 4);
		for (unsigned p = 0; p < 4; p++)
			memset(memory[i] + p * UNIT, (int)(200 + i + p), UNIT);
	}
	submit(DEPTH);
	reap(DEPTH, DEPTH);
	assert_true(kernel.calls >= 4); /* it was cut short, and more than once */
	kernel.cut = false;
	for (unsigned i = 0; i < DEPTH; i++)
		assert_int_equal(op[i].result, 0);
	for (unsigned i = 0; i < DEPTH / 2; i++)
		check_memory(i, i * 4, 4);
	for (unsigned i = DEPTH / 2; i < DEPTH; i++)
		prepare(i - DEPTH / 2, IMAGE_READ, i * 4, 4);
	submit(DEPTH / 2);
	reap(DEPTH / 2, DEPTH);
	for (unsigned i = 0; i < DEPTH / 2; i++)
		check_memory(i, 199 + DEPTH / 2 + i, 4);
}

static void the_end_of_a_shrunken_file_is_an_error(void **state)
{
	assert_int_equal(truncate(path, 10 * UNIT), 0);
	prepare(0, IMAGE_READ, 20, 1); /* all of it beyond */
	prepare(1, IMAGE_READ, 9, 2);  /* the second half beyond */
	prepare(2, IMAGE_READ, 8, 2);
	submit(3);
	reap(3, DEPTH);
	assert_int_equal(op[0].result, -EIO);
	assert_int_equal(op[1].result, -EIO);
	assert_int_equal(op[2].result, 0);
	check_memory(2, 8, 2);
}

static void a_kernel_that_takes_few_gets_the_rest_again(void **state)
{
	kernel.taken_max = 3;
	for (unsigned i = 0; i < DEPTH; i++)
		prepare(i, IMAGE_READ, i, 1);
	submit(DEPTH);
	assert_int_equal(calls, 3);
	reap(DEPTH, DEPTH);
	for (unsigned i = 0; i < DEPTH; i++)
		check_memory(i, i, 1);
}

static void only_the_refused_one_fails(void **state)
{
	kernel.taken_max = 2;
	kernel.refuse = -ENOMEM;
	kernel.refuse_from = 2;
	kernel.refuse_calls = 1;
	for (unsigned i = 0; i < 5; i++)
		prepare(i, IMAGE_READ, i, 1);
	submit(5);
	reap(5, DEPTH);
	for (unsigned i = 0; i < 5; i++)
		assert_int_equal(op[i].result, i == 2 ? -ENOMEM : 0);
}

static void try_again_waits_for_a_completion(void **state)
{
	kernel.taken_max = 2;
	kernel.refuse = -EAGAIN;
	kernel.refuse_from = 2;
	kernel.refuse_calls = 1;
	for (unsigned i = 0; i < 6; i++)
		prepare(i, IMAGE_READ, i, 1);
	submit(6);
	assert_int_equal(kernel.calls, 2); /* no third try before something finished */
	reap(6, DEPTH);
	for (unsigned i = 0; i < 6; i++) {
		assert_int_equal(op[i].result, 0);
		check_memory(i, i, 1);
	}
}

static void try_again_with_nothing_in_flight_is_an_error(void **state)
{
	kernel.refuse = -EAGAIN;
	kernel.refuse_from = 1;
	kernel.refuse_calls = 2;
	for (unsigned i = 0; i < 3; i++)
		prepare(i, IMAGE_READ, i, 1);
	submit(3);
	reap(3, DEPTH);
	assert_int_equal(op[0].result, -EAGAIN);
	assert_int_equal(op[1].result, -EAGAIN);
	assert_int_equal(op[2].result, 0);
}

static void more_than_the_depth_waits(void **state)
{
	image_io_close(io);
	assert_int_equal(image_io_open(&io, image, 2), 0);
	for (unsigned i = 0; i < DEPTH; i++)
		prepare(i, IMAGE_READ, i, 1);
	submit(DEPTH);
	assert_int_equal(kernel.calls, 1); /* the others wait for these two */
	reap(DEPTH, DEPTH);
	for (unsigned i = 0; i < DEPTH; i++) {
		assert_int_equal(op[i].result, 0);
		check_memory(i, i, 1);
	}
}

/* Opens the image while flushes fail in these ways. */
static int open_where_flushes(int aio_flush, int fdatasync_errno, struct err *e)
{
	close_image();
	image = NULL;
	io = NULL;
	kernel.aio_flush = aio_flush;
	kernel.fdatasync = fdatasync_errno;
	return image_open(&image, path, NULL, e) ? -1 : image_io_open(&io, image, DEPTH);
}

static int flush(void)
{
	prepare(0, IMAGE_FLUSH, 0, 0);
	submit(1);
	reap(1, DEPTH);
	return op[0].result;
}

static void flushes_without_aio(void **state)
{
	assert_int_equal(open_where_flushes(-EINVAL, 0, NULL), 0);
	assert_true(image_facts(image)->can_flush);
	assert_int_equal(flush(), 0);
	kernel.fdatasync = EIO;
	assert_int_equal(flush(), -EIO);
}

static void an_image_that_cannot_flush(void **state)
{
	assert_int_equal(open_where_flushes(-EINVAL, EINVAL, NULL), 0);
	assert_false(image_facts(image)->can_flush);
	kernel.fdatasync = 0;
	assert_int_equal(flush(), -EOPNOTSUPP);
}

static void a_flush_that_fails_fails_the_opening(void **state)
{
	struct err e = {0};

	assert_true(open_where_flushes(-EIO, 0, &e) < 0);
	assert_int_equal(e.exit, TAP_EXIT_IMAGE);
	assert_non_null(strstr(e.what, "cannot flush image"));
	assert_true(open_where_flushes(-EINVAL, ENOSPC, &e) < 0);
	assert_non_null(strstr(e.what, strerror(ENOSPC)));
}

static void no_more_aio_contexts(void **state)
{
	struct err e = {0};

	kernel.setup = -EAGAIN;
	image_io_close(io);
	io = NULL;
	assert_int_equal(image_io_open(&io, image, DEPTH), -EAGAIN);
	image_close(image);
	assert_int_equal(image_open(&image, path, NULL, &e), -EAGAIN);
	image = NULL;
	assert_int_equal(e.exit, TAP_EXIT_SYSTEM);
	assert_non_null(strstr(e.what, "no free aio context"));
	assert_non_null(strstr(e.hint, "fs.aio-max-nr"));
}

static void read_only_holds_for_each_write(void **state)
{
	close_image();
	assert_int_equal(open_image(&(struct image_options){.read_only = true}), 0);
	prepare(0, IMAGE_WRITE, 0, 1);
	prepare(1, IMAGE_READ, 1, 1);
	prepare(2, IMAGE_FLUSH, 0, 0);
	submit(3);
	reap(3, DEPTH);
	assert_int_equal(op[0].result, -EROFS);
	assert_int_equal(op[1].result, 0);
	assert_int_equal(op[2].result, 0);
}

static void buffered(void **state)
{
	close_image();
	assert_int_equal(open_image(&(struct image_options){.buffered = true}), 0);
	a_batch_is_one_call(state);
	writes_are_read_back(state);
}

static void null_gives_zeros(void **state)
{
	image_io_close(io);
	image_close(image);
	assert_int_equal(image_open(&image, "null:1M", NULL, NULL), 0);
	assert_int_equal(image_io_open(&io, image, DEPTH), 0);
	prepare(0, IMAGE_READ, 0, 2);
	prepare(1, IMAGE_WRITE, 0, 1);
	prepare(2, IMAGE_FLUSH, 0, 0);
	assert_false(is_readable(0));
	submit(3);
	reap(3, 1);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(op[i].result, 0);
	for (unsigned b = 0; b < 2 * UNIT; b++)
		assert_int_equal(memory[0][b], 0);
	assert_int_equal(memory[0][2 * UNIT], 0xee);
	assert_int_equal(memory[1][0], 0xee);
}

#define on_disk(test) cmocka_unit_test_setup_teardown(test, make_disk, remove_disk)

int main(void)
{
	const struct CMUnitTest tests[] = {
		on_disk(a_batch_is_one_call),
		on_disk(a_small_reap_leaves_the_rest_readable),
		on_disk(writes_are_read_back),
		on_disk(single_sectors),
		on_disk(short_transfers_go_on),
		on_disk(the_end_of_a_shrunken_file_is_an_error),
		on_disk(a_kernel_that_takes_few_gets_the_rest_again),
		on_disk(only_the_refused_one_fails),
		on_disk(try_again_waits_for_a_completion),
		on_disk(try_again_with_nothing_in_flight_is_an_error),
		on_disk(more_than_the_depth_waits),
		on_disk(flushes_without_aio),
		on_disk(an_image_that_cannot_flush),
		on_disk(a_flush_that_fails_fails_the_opening),
		on_disk(no_more_aio_contexts),
		on_disk(read_only_holds_for_each_write),
		on_disk(buffered),
		on_disk(null_gives_zeros),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
