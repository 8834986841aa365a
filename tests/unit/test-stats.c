/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "rundir.h"
#include "stats.h"

static const struct disk disk = {.domid = 3, .vdev = 51712, .name = "web1/xvda"};
static char dir[] = "/tmp/taptools-test-XXXXXX";

static int make_dir(void **state)
{
	strcpy(strrchr(dir, '-'), "-XXXXXX");
	return mkdtemp(dir) ? setenv("TAPTOOLS_RUNDIR", dir, 1) : -1;
}

static int remove_dir(void **state)
{
	return rundir_remove(&disk) || rmdir(dir);
}

static void write_stat(const void *bytes, size_t length)
{
	char path[PATH_MAX];
	FILE *file;

	assert_int_equal(rundir_path(&disk, "stat", path), 0);
	file = fopen(path, "w");
	assert_non_null(file);
	assert_int_equal(fwrite(bytes, 1, length, file), length);
	assert_int_equal(fclose(file), 0);
}

static void reader_sees_what_the_writer_counts(void **state)
{
	static struct stats_file copy;
	struct stats_file *stats;

	assert_int_equal(stats_read(&disk, &copy), -ENOENT);
	assert_int_equal(stats_create(&stats, &disk, NULL), 0);
	stats->queues = 1;
	stats->queue[0].requests = 7;
	assert_int_equal(stats_read(&disk, &copy), 0);
	assert_int_equal(copy.domid, 3);
	assert_int_equal(copy.vdev, 51712);
	assert_int_equal(copy.pid, getpid());
	assert_string_equal(copy.disk, "web1/xvda");
	assert_int_equal(copy.queue[0].requests, 7);
	stats->queue[0].requests = 8;
	stats_unmap(stats);
	/* The server is gone, its figures stay. */
	assert_int_equal(stats_read(&disk, &copy), 0);
	assert_int_equal(copy.queue[0].requests, 8);
}

static void a_new_file_starts_at_zero(void **state)
{
	static struct stats_file copy;
	struct stats_file *old, *new;

	assert_int_equal(stats_create(&old, &disk, NULL), 0);
	old->queue[5].pushes = 9;
	assert_int_equal(stats_create(&new, &disk, NULL), 0);
	assert_int_equal(stats_read(&disk, &copy), 0);
	assert_int_equal(copy.queue[5].pushes, 0);
	/* Who still has the old one mapped writes to nobody. */
	old->queue[5].pushes = 10;
	assert_int_equal(new->queue[5].pushes, 0);
	stats_unmap(old);
	stats_unmap(new);
}

static void where_rings_stopped_outlives_a_server_that_did_not_start(void **state)
{
	static struct stats_file copy;
	struct stats_file *stats;

	assert_int_equal(stats_create(&stats, &disk, NULL), 0);
	stats->stopped_clean = 1;
	stats->queues = 2;
	stats->queue[1].rsp_prod = 77;
	stats->queue[1].requests = 5;
	stats_unmap(stats);
	assert_int_equal(stats_read(&disk, &copy), 0);
	assert_int_equal(stats_create(&stats, &disk, &copy), 0);
	stats_unmap(stats);
	assert_int_equal(stats_read(&disk, &copy), 0);
	assert_int_equal(copy.stopped_clean, 1);
	assert_int_equal(copy.queues, 2);
	assert_int_equal(copy.queue[1].rsp_prod, 77);
	assert_int_equal(copy.queue[1].requests, 0);
}

static void damaged_files_are_refused(void **state)
{
	static struct stats_file good, bad;
	struct stats_file *stats;

	assert_int_equal(stats_create(&stats, &disk, NULL), 0);
	stats_unmap(stats);
	assert_int_equal(stats_read(&disk, &good), 0);

	bad = good;
	bad.version++;
	write_stat(&bad, sizeof(bad));
	assert_int_equal(stats_read(&disk, &bad), -EPROTO);

	bad = good;
	bad.queues = STATS_QUEUES + 1;
	write_stat(&bad, sizeof(bad));
	assert_int_equal(stats_read(&disk, &bad), -EPROTO);

	write_stat(&good, sizeof(good) - 8);
	assert_int_equal(stats_read(&disk, &bad), -EPROTO);
	write_stat("", 0);
	assert_int_equal(stats_read(&disk, &bad), -EPROTO);

	bad = good;
	memset(bad.image, 'x', sizeof(bad.image));
	write_stat(&bad, sizeof(bad));
	assert_int_equal(stats_read(&disk, &bad), 0);
	assert_int_equal(strlen(bad.image), sizeof(bad.image) - 1);
}

static void counting(void **state)
{
	struct stats_queue queue = {0};

	stats_count(&queue, STATS_READ, 1, 8, 1);
	stats_count(&queue, STATS_READ, 1, 16, 1024);
	stats_count(&queue, STATS_READ, 0, 16, UINT64_MAX);
	stats_count(&queue, STATS_FLUSH, 1, 0, 0);
	assert_int_equal(queue.op[STATS_READ].done, 2);
	assert_int_equal(queue.op[STATS_READ].failed, 1);
	assert_int_equal(queue.op[STATS_READ].sectors, 24);
	assert_int_equal(queue.op[STATS_READ].bucket[0], 1);
	assert_int_equal(queue.op[STATS_READ].bucket[10], 1);
	assert_int_equal(queue.op[STATS_READ].bucket[STATS_BUCKETS - 1], 1);
	assert_int_equal(queue.op[STATS_FLUSH].bucket[0], 1);
	assert_int_equal(queue.op[STATS_WRITE].done, 0);
}

static void percentiles(void **state)
{
	struct stats_op_counters counters = {0};

	assert_int_equal(stats_percentile_ns(&counters, 500), 0);
	counters.bucket[10] = 990;
	counters.bucket[20] = 9;
	counters.bucket[30] = 1;
	assert_int_equal(stats_percentile_ns(&counters, 0), 1u << 11);
	assert_int_equal(stats_percentile_ns(&counters, 500), 1u << 11);
	assert_int_equal(stats_percentile_ns(&counters, 990), 1u << 11);
	assert_int_equal(stats_percentile_ns(&counters, 991), 1u << 21);
	assert_int_equal(stats_percentile_ns(&counters, 999), 1u << 21);
	assert_int_equal(stats_percentile_ns(&counters, 1000), 1u << 31);
	counters.bucket[STATS_BUCKETS - 1] = UINT64_MAX / 2;
	assert_int_equal(stats_percentile_ns(&counters, 999), 1ull << STATS_BUCKETS);
}

static void sums(void **state)
{
	static struct stats_file stats;
	struct stats_queue sum;

	stats.queues = 3;
	for (unsigned i = 0; i < STATS_QUEUES; i++) {
		stats.queue[i].op[STATS_WRITE].bucket[4] = 1;
		stats.queue[i].fault[REQUEST_FAULTS - 1] = 2;
		stats.queue[i].pages.pages_copied = 3;
		stats.queue[i].in_flight = 4;
		stats.queue[i].oldest_ns = i ? 100 - i : 0;
		stats.queue[i].req_cons = 5;
		stats.queue[i].rsp_prod = 6;
	}
	stats_sum(&stats, &sum);
	/* of all that there ever were */
	assert_int_equal(sum.op[STATS_WRITE].bucket[4], STATS_QUEUES);
	assert_int_equal(sum.fault[REQUEST_FAULTS - 1], 2 * STATS_QUEUES);
	assert_int_equal(sum.pages.pages_copied, 3 * STATS_QUEUES);
	assert_int_equal(sum.in_flight, 4 * STATS_QUEUES);
	/* of those that there are */
	assert_int_equal(sum.oldest_ns, 98);
	assert_int_equal(sum.req_cons, 15);
	assert_int_equal(sum.rsp_prod, 18);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(reader_sees_what_the_writer_counts, make_dir,
						remove_dir),
		cmocka_unit_test_setup_teardown(a_new_file_starts_at_zero, make_dir, remove_dir),
		cmocka_unit_test_setup_teardown(
			where_rings_stopped_outlives_a_server_that_did_not_start, make_dir,
			remove_dir),
		cmocka_unit_test_setup_teardown(damaged_files_are_refused, make_dir, remove_dir),
		cmocka_unit_test(counting),
		cmocka_unit_test(percentiles),
		cmocka_unit_test(sums),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
