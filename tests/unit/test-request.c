/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

#include "num.h"
#include "request.h"

#define DISK_SECTORS 1000u

static const struct request_limits plain = {
	.sectors = DISK_SECTORS,
	.logical_sector_bytes = 512,
	.max_segments = REQUEST_SEGMENTS_DIRECT,
	.can_flush = true,
};
static const struct request_limits read_only = {
	.sectors = DISK_SECTORS,
	.logical_sector_bytes = 512,
	.max_segments = REQUEST_SEGMENTS_DIRECT,
	.read_only = true,
	.can_flush = true,
};
static const struct request_limits large_sectors = {
	.sectors = DISK_SECTORS,
	.logical_sector_bytes = 4096,
	.max_segments = REQUEST_SEGMENTS_DIRECT,
	.can_flush = true,
};
static const struct request_limits no_flush = {
	.sectors = DISK_SECTORS,
	.logical_sector_bytes = 512,
	.max_segments = REQUEST_SEGMENTS_DIRECT,
};
static const struct request_limits huge = {
	.sectors = UINT64_MAX,
	.logical_sector_bytes = 512,
	.max_segments = REQUEST_SEGMENTS_DIRECT,
	.can_flush = true,
};

#define UNTOUCHED 4711u

static void expect(const struct request *request, const struct request_limits *limits,
		   enum request_fault fault, uint64_t length_sectors)
{
	uint64_t length = UNTOUCHED;
	enum request_fault found = request_check(request, limits, &length);

	if (found != fault)
		fail_msg("operation %u, %u segments, sector %llu: %s instead of %s",
			 request->operation, request->nr_segments,
			 (unsigned long long)request->sector, request_fault_name(found),
			 request_fault_name(fault));
	assert_int_equal(length, fault ? UNTOUCHED : length_sectors);
}

/* @n whole pages at @sector. */
static struct request whole(uint8_t operation, uint8_t n, uint64_t sector)
{
	struct request request = {.operation = operation, .nr_segments = n, .sector = sector};

	for (unsigned i = 0; i < REQUEST_SEGMENTS_DIRECT; i++)
		request.segment[i] = (struct request_segment){i, 0, 7};
	return request;
}

/* One segment. */
static struct request part(uint8_t operation, uint8_t first, uint8_t last, uint64_t sector)
{
	struct request request = whole(operation, 1, sector);

	request.segment[0].first_sect = first;
	request.segment[0].last_sect = last;
	return request;
}

static const uint8_t data_operations[] = {REQUEST_READ, REQUEST_WRITE};

static void segment_counts(void **state)
{
	static const struct {
		uint8_t n;
		uint32_t max;
		enum request_fault fault;
	} rows[] = {
		{0, 11, FAULT_SEGMENTS},  {1, 11, REQUEST_FINE},     {11, 11, REQUEST_FINE},
		{12, 11, FAULT_SEGMENTS}, {255, 11, FAULT_SEGMENTS}, {4, 4, REQUEST_FINE},
		{5, 4, FAULT_SEGMENTS},	  {12, 256, FAULT_SEGMENTS}, {255, 256, FAULT_SEGMENTS},
		{1, 0, FAULT_SEGMENTS},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows) * 2; i++) {
		size_t row = i / 2;
		struct request request = whole(data_operations[i % 2], rows[row].n, 0);
		struct request_limits limits = plain;

		limits.max_segments = rows[row].max;
		expect(&request, &limits, rows[row].fault, rows[row].n * 8u);
	}
}

/* All 65536 pairs, in every position. */
static void segment_bounds(void **state)
{
	for (unsigned pair = 0; pair < 1u << 16; pair++) {
		uint8_t first = (uint8_t)pair, last = (uint8_t)(pair >> 8);
		unsigned position = pair % REQUEST_SEGMENTS_DIRECT;
		struct request request =
			whole(data_operations[pair % 2], REQUEST_SEGMENTS_DIRECT, 0);
		bool fine = first <= last && last <= 7;

		request.segment[position].first_sect = first;
		request.segment[position].last_sect = last;
		expect(&request, &plain, fine ? REQUEST_FINE : FAULT_BOUNDS,
		       80u + (fine ? last - first + 1u : 0));
		/* A bad segment after the last one is none. */
		request.nr_segments = (uint8_t)position;
		expect(&request, &plain, position ? REQUEST_FINE : FAULT_SEGMENTS, position * 8u);
	}
}

static void capacity(void **state)
{
	static const struct {
		uint64_t sector;
		const struct request_limits *limits;
		enum request_fault fault;
	} rows[] = {
		{0, &plain, REQUEST_FINE},
		{DISK_SECTORS - 8, &plain, REQUEST_FINE},
		{DISK_SECTORS - 7, &plain, FAULT_CAPACITY},
		{DISK_SECTORS - 1, &plain, FAULT_CAPACITY},
		{DISK_SECTORS, &plain, FAULT_CAPACITY},
		{UINT64_MAX, &plain, FAULT_CAPACITY},
		{UINT64_MAX - 7, &plain, FAULT_CAPACITY}, /* ends at 2^64: wraps to 0 */
		{UINT64_MAX - 8, &plain, FAULT_CAPACITY},
		{1ull << 63, &plain, FAULT_CAPACITY},
		{1ull << 55, &plain, FAULT_CAPACITY}, /* 2^64 bytes */
		{UINT64_MAX - 8, &huge, REQUEST_FINE},
		{UINT64_MAX - 7, &huge, FAULT_CAPACITY},
		{UINT64_MAX, &huge, FAULT_CAPACITY},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows) * 2; i++) {
		size_t row = i / 2;
		struct request request = whole(data_operations[i % 2], 1, rows[row].sector);

		expect(&request, rows[row].limits, rows[row].fault, 8);
	}
}

static void alignment(void **state)
{
	static const struct {
		uint8_t first, last;
		uint64_t sector;
		enum request_fault fault;
	} rows[] = {
		{0, 7, 0, REQUEST_FINE},     {0, 7, 8, REQUEST_FINE},	 {0, 7, 1, FAULT_ALIGNMENT},
		{0, 7, 4, FAULT_ALIGNMENT},  {0, 6, 0, FAULT_ALIGNMENT}, {1, 7, 0, FAULT_ALIGNMENT},
		{0, 0, 16, FAULT_ALIGNMENT}, {0, 7, 992, REQUEST_FINE},
	};
	struct request split = whole(REQUEST_WRITE, 2, 8);

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct request request =
			part(REQUEST_READ, rows[i].first, rows[i].last, rows[i].sector);

		expect(&request, &large_sectors, rows[i].fault, 8);
		if (rows[i].fault)
			expect(&request, &plain, REQUEST_FINE, rows[i].last - rows[i].first + 1u);
	}
	/* A buffer that straddles two pages: the request is aligned, its segments are not. */
	split.segment[0].first_sect = 3;
	split.segment[1].last_sect = 2;
	expect(&split, &large_sectors, REQUEST_FINE, 8);
}

static void read_only_disk(void **state)
{
	struct request read = whole(REQUEST_READ, 1, 0), write = whole(REQUEST_WRITE, 1, 0);
	struct request flush = whole(REQUEST_FLUSH_DISKCACHE, 0, 0);
	struct request flush_data = whole(REQUEST_FLUSH_DISKCACHE, 1, 0);

	expect(&read, &read_only, REQUEST_FINE, 8);
	expect(&write, &read_only, FAULT_READ_ONLY, 0);
	expect(&write, &plain, REQUEST_FINE, 8);
	expect(&flush, &read_only, REQUEST_FINE, 0);
	expect(&flush_data, &read_only, FAULT_READ_ONLY, 0);
}

static void flushes(void **state)
{
	struct request empty = {.operation = REQUEST_FLUSH_DISKCACHE, .sector = UINT64_MAX};

	expect(&empty, &plain, REQUEST_FINE, 0); /* its sector means nothing */
	expect(&empty, &no_flush, FAULT_OPERATION, 0);
	for (unsigned n = 1; n < 256; n++) {
		struct request data = whole(REQUEST_FLUSH_DISKCACHE, (uint8_t)n, 0);

		expect(&data, &plain, n > 11 ? FAULT_SEGMENTS : REQUEST_FINE, n * 8u);
		expect(&data, &no_flush, FAULT_OPERATION, 0);
	}
}

/* With data it is a write, wherever it is offered; without it has no place on the disk. */
static void barriers(void **state)
{
	struct request_limits limits = plain, reading = read_only;
	struct request empty = {.operation = REQUEST_WRITE_BARRIER, .sector = UINT64_MAX};
	struct request data = whole(REQUEST_WRITE_BARRIER, 2, 0);
	struct request beyond = whole(REQUEST_WRITE_BARRIER, 1, DISK_SECTORS);

	expect(&empty, &limits, FAULT_OPERATION, 0);
	limits.can_barrier = reading.can_barrier = true;
	expect(&empty, &limits, REQUEST_FINE, 0);
	expect(&empty, &reading, REQUEST_FINE, 0);
	expect(&data, &limits, REQUEST_FINE, 16);
	expect(&data, &reading, FAULT_READ_ONLY, 0);
	expect(&beyond, &limits, FAULT_CAPACITY, 0);
}

static void discards(void **state)
{
	static const struct {
		uint64_t sector, nr_sectors;
		enum request_fault fault;
	} rows[] = {
		{0, 1, REQUEST_FINE},
		{0, DISK_SECTORS, REQUEST_FINE},
		{DISK_SECTORS - 1, 1, REQUEST_FINE},
		{0, 0, FAULT_BOUNDS},
		{1, DISK_SECTORS, FAULT_CAPACITY},
		{DISK_SECTORS, 1, FAULT_CAPACITY},
		{1, UINT64_MAX, FAULT_CAPACITY},
		{UINT64_MAX, UINT64_MAX, FAULT_CAPACITY},
	};
	struct request_limits limits = plain, reading = read_only;

	limits.can_discard = reading.can_discard = true;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct request request = {.operation = REQUEST_DISCARD,
					  .sector = rows[i].sector,
					  .nr_sectors = rows[i].nr_sectors};

		expect(&request, &limits, rows[i].fault, rows[i].nr_sectors);
		expect(&request, &plain, FAULT_OPERATION, 0);
		expect(&request, &reading, FAULT_READ_ONLY, 0);
	}
}

static void indirect(void **state)
{
	static const struct {
		uint8_t inner;
		uint16_t count;
		enum request_fault fault;
	} rows[] = {
		{REQUEST_READ, 1, REQUEST_FINE},
		{REQUEST_WRITE, 32, REQUEST_FINE},
		{REQUEST_READ, 0, FAULT_SEGMENTS},
		{REQUEST_READ, 33, FAULT_SEGMENTS},
		{REQUEST_READ, 65535, FAULT_SEGMENTS},
		{REQUEST_WRITE_BARRIER, 1, FAULT_OPERATION},
		{REQUEST_FLUSH_DISKCACHE, 1, FAULT_OPERATION},
		{REQUEST_DISCARD, 1, FAULT_OPERATION},
		{REQUEST_INDIRECT, 1, FAULT_OPERATION},
		{255, 1, FAULT_OPERATION},
	};
	struct request_segment segments[32];
	struct request_limits limits = plain;

	for (size_t i = 0; i < ARRAY_SIZE(segments); i++)
		segments[i] = (struct request_segment){(uint32_t)i, 0, 7};
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct request request = {.operation = REQUEST_INDIRECT,
					  .indirect_operation = rows[i].inner,
					  .indirect_segments = rows[i].count,
					  .indirect = segments};

		limits.max_indirect_segments = 0;
		expect(&request, &limits, FAULT_OPERATION, 0);
		limits.max_indirect_segments = 32;
		assert_int_equal(request_check_indirect(&request, &limits), rows[i].fault);
		expect(&request, &limits, rows[i].fault, rows[i].count * 8u);
		request.indirect = NULL;
		expect(&request, &limits, rows[i].fault ? rows[i].fault : FAULT_GRANT, 0);
	}
}

static void other_operations(void **state)
{
	for (unsigned operation = 0; operation < 256; operation++) {
		struct request request = whole((uint8_t)operation, 1, 0);

		if (operation == REQUEST_READ || operation == REQUEST_WRITE ||
		    operation == REQUEST_FLUSH_DISKCACHE || operation == REQUEST_INDIRECT)
			continue;
		expect(&request, &plain, FAULT_OPERATION, 0);
		expect(&request, &read_only, FAULT_OPERATION, 0);
		request.nr_segments = 0;
		expect(&request, &plain, FAULT_OPERATION, 0);
	}
}

static void statuses(void **state)
{
	assert_int_equal(request_fault_status(REQUEST_FINE), 0);
	for (unsigned fault = 1; fault < REQUEST_FAULTS; fault++)
		assert_int_equal(request_fault_status(fault), fault == FAULT_OPERATION ? -2 : -1);
}

static void names(void **state)
{
	for (unsigned a = 0; a < REQUEST_FAULTS; a++) {
		for (unsigned b = 0; b < a; b++)
			assert_string_not_equal(request_fault_name(a), request_fault_name(b));
	}
	assert_string_equal(request_fault_name(REQUEST_FAULTS), "unknown");
	assert_string_equal(request_fault_name(FAULT_READ_ONLY), "read-only");
	assert_string_equal(request_operation_name(0), "READ");
	assert_string_equal(request_operation_name(3), "FLUSH_DISKCACHE");
	assert_string_equal(request_operation_name(4), "UNKNOWN");
	assert_string_equal(request_operation_name(255), "UNKNOWN");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(segment_counts), cmocka_unit_test(segment_bounds),
		cmocka_unit_test(capacity),	  cmocka_unit_test(alignment),
		cmocka_unit_test(read_only_disk), cmocka_unit_test(flushes),
		cmocka_unit_test(barriers),	  cmocka_unit_test(discards),
		cmocka_unit_test(indirect),	  cmocka_unit_test(other_operations),
		cmocka_unit_test(statuses),	  cmocka_unit_test(names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
