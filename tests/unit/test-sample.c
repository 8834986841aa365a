/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

#include "sample.h"

#define SECOND_NS 1000000000ull

static struct sample served(uint64_t start_ns, uint64_t taken_ns, uint64_t responses)
{
	struct sample sample = {
		.source = SAMPLE_STATS,
		.start_ns = start_ns,
		.taken_ns = taken_ns,
		.state = "connected",
	};

	sample.total.responses = responses;
	sample.total.fault[FAULT_BOUNDS] = responses / 10;
	sample.total.pages.pages_copied = responses * 2;
	sample.total.in_flight = 7;
	sample.total.oldest_ns = taken_ns - 1;
	return sample;
}

static void since_the_start(void **state)
{
	struct sample now = served(SECOND_NS, 3 * SECOND_NS, 100);
	struct sample_delta delta;

	sample_between(NULL, &now, &delta);
	assert_true(delta.known && delta.has_counters);
	assert_int_equal(delta.requests, 100);
	assert_true(delta.interval_ns == 2 * SECOND_NS);
}

static void since_the_report_before(void **state)
{
	struct sample before = served(SECOND_NS, 3 * SECOND_NS, 100);
	struct sample now = served(SECOND_NS, 4 * SECOND_NS, 150);
	struct sample_delta delta;

	sample_between(&before, &now, &delta);
	assert_int_equal(delta.requests, 50);
	assert_int_equal(delta.counters.fault[FAULT_BOUNDS], 5);
	assert_int_equal(delta.counters.pages.pages_copied, 100);
	assert_true(delta.interval_ns == SECOND_NS);
	/* Gauges do not grow, they are. */
	assert_int_equal(delta.counters.in_flight, 7);
	assert_true(delta.counters.oldest_ns == 4 * SECOND_NS - 1);
}

static void another_server(void **state)
{
	struct sample before = served(SECOND_NS, 3 * SECOND_NS, 100);
	struct sample now = served(3 * SECOND_NS + 500, 4 * SECOND_NS, 20);
	struct sample_delta delta;

	sample_between(&before, &now, &delta);
	assert_int_equal(delta.requests, 20);
	assert_true(delta.interval_ns == SECOND_NS - 500);
}

/* A gauge stays as it is, the counters around it are subtracted. */
static void pages_kept(void **state)
{
	struct sample before = served(SECOND_NS, 3 * SECOND_NS, 100);
	struct sample now = served(SECOND_NS, 4 * SECOND_NS, 100);
	struct sample_delta delta;

	before.total.pages.persistent_kept = 7;
	before.total.pages.persistent_hits = 10;
	now.total.pages.persistent_kept = 5;
	now.total.pages.persistent_hits = 40;
	sample_between(&before, &now, &delta);
	assert_int_equal(delta.counters.pages.persistent_kept, 5);
	assert_int_equal(delta.counters.pages.persistent_hits, 30);
}

static void nothing_to_compare(void **state)
{
	struct sample before = served(SECOND_NS, 3 * SECOND_NS, 100);
	struct sample now = {.source = SAMPLE_NOTHING, .taken_ns = 4 * SECOND_NS};
	struct sample_delta delta;

	sample_between(&before, &now, &delta);
	assert_false(delta.known || delta.has_counters);
	assert_int_equal(delta.requests, 0);
	assert_true(delta.interval_ns > 0);
	/* A clock that did not move divides nothing by zero. */
	before = served(SECOND_NS, SECOND_NS, 1);
	sample_between(NULL, &before, &delta);
	assert_true(delta.interval_ns > 0);
}

static void which_disk(void **state)
{
	struct sample a = {.disk = {.domid = 1, .vdev = 51712, .kind = "tap"}};
	struct sample b = a;

	assert_true(sample_same_disk(&a, &b));
	b.disk.vdev++;
	assert_false(sample_same_disk(&a, &b));
	b = a;
	b.disk.domid = 2;
	assert_false(sample_same_disk(&a, &b));
	b = a;
	strcpy(b.disk.kind, "vbd");
	assert_false(sample_same_disk(&a, &b));
}

static void errors_once_each(void **state)
{
	struct stats_queue counters = {0};

	counters.image_errors = 3;
	for (unsigned fault = 0; fault < REQUEST_FAULTS; fault++)
		counters.fault[fault] = 1;
	/* What the image failed also stands as failed of its operation. */
	counters.op[STATS_READ].failed = 3;
	assert_int_equal(sample_errors(&counters), 3 + REQUEST_FAULTS - 1);
}

static void times(void **state)
{
	struct stats_queue counters = {0};

	assert_int_equal(sample_await_ns(&counters.op[STATS_READ]), 0);
	assert_int_equal(sample_percentile_ns(&counters, 990), 0);
	for (unsigned i = 0; i < 99; i++)
		stats_count(&counters, i % 2 ? STATS_READ : STATS_WRITE, 1, 8, 1000);
	stats_count(&counters, STATS_FLUSH, 0, 0, 1000000);
	assert_int_equal(sample_await_ns(&counters.op[STATS_READ]), 1000);
	assert_int_equal(sample_await_ns(&counters.op[STATS_FLUSH]), 1000000);
	assert_int_equal(sample_percentile_ns(&counters, 990), 1024);
	assert_int_equal(sample_percentile_ns(&counters, 999), 1 << 20);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(since_the_start), cmocka_unit_test(since_the_report_before),
		cmocka_unit_test(another_server),  cmocka_unit_test(nothing_to_compare),
		cmocka_unit_test(which_disk),	   cmocka_unit_test(errors_once_each),
		cmocka_unit_test(times),	   cmocka_unit_test(pages_kept),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
