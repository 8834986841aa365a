/* SPDX-License-Identifier: MIT */
/* Requests that say what cannot be: segments, places, operations; direct and indirect. */
#include <pthread.h>

#include "hostile.h"
#include "num.h"

/* What a request that would write gets before anything else is looked at. */
static enum request_fault writing(const struct hostile *h, enum request_fault fault)
{
	return h->read_only ? FAULT_READ_ONLY : fault;
}

static enum request_fault expect(const struct hostile *h, uint8_t operation, unsigned segments)
{
	enum request_fault fault =
		!segments || segments > REQUEST_SEGMENTS_DIRECT ? FAULT_SEGMENTS : REQUEST_FINE;

	switch (operation) {
	case REQUEST_READ:
		return fault;
	case REQUEST_WRITE:
		return writing(h, fault);
	case REQUEST_FLUSH_DISKCACHE:
		if (!h->flush)
			return FAULT_OPERATION;
		return segments ? writing(h, fault) : REQUEST_FINE;
	case REQUEST_WRITE_BARRIER:
		if (!h->barrier)
			return FAULT_OPERATION;
		return segments ? writing(h, fault) : REQUEST_FINE;
	case REQUEST_DISCARD: /* which has no segments */
		return !h->discard ? FAULT_OPERATION : writing(h, REQUEST_FINE);
	default:
		return FAULT_OPERATION;
	}
}

static void nr_segments(struct hostile *h)
{
	static const uint8_t operations[] = {REQUEST_READ,
					     REQUEST_WRITE,
					     REQUEST_WRITE_BARRIER,
					     REQUEST_FLUSH_DISKCACHE,
					     REQUEST_DISCARD,
					     4,
					     7,
					     255};
	static const uint8_t counts[] = {0, 11, 12, 255};

	for (size_t o = 0; o < ARRAY_SIZE(operations); o++) {
		for (size_t c = 0; c < ARRAY_SIZE(counts); c++) {
			struct request request = hostile_request(h, operations[o], counts[c]);

			request.sector = 0;
			hostile_ask(h, &request, expect(h, operations[o], counts[c]));
		}
	}
	hostile_settle(h);
}

static void unknown_operations(struct hostile *h)
{
	for (unsigned operation = 0; operation < 256; operation++) {
		struct request request;

		if (operation <= REQUEST_FLUSH_DISKCACHE || operation == REQUEST_DISCARD ||
		    operation == REQUEST_INDIRECT)
			continue;
		request = hostile_request(h, (uint8_t)operation, 1);
		hostile_ask(h, &request, FAULT_OPERATION);
	}
	hostile_settle(h);
}

static void segment_bounds(struct hostile *h)
{
	for (unsigned last = 0; last < 256; last++) {
		for (unsigned at = 0; at < 3; at++) {
			struct request request = hostile_request(h, REQUEST_READ, 3);

			request.segment[at].last_sect = (uint8_t)last;
			hostile_ask(h, &request, last < 8 ? REQUEST_FINE : FAULT_BOUNDS);
		}
	}
	for (unsigned first = 1; first < 256; first++) {
		struct request request = hostile_request(h, REQUEST_READ, 3);

		request.segment[first % 3].first_sect = (uint8_t)first;
		request.segment[first % 3].last_sect = (uint8_t)(first - 1);
		hostile_ask(h, &request, FAULT_BOUNDS);
	}
	hostile_settle(h);
}

static void ask_at(struct hostile *h, uint8_t operation, uint64_t sector, enum request_fault fault)
{
	struct request request = hostile_request(h, operation, 1);

	request.sector = sector;
	hostile_ask(h, &request, operation == REQUEST_READ ? fault : writing(h, fault));
}

static void capacity(struct hostile *h)
{
	const uint64_t beyond[] = {h->sectors - 7,  h->sectors,	     h->sectors + 1, 1ull << 40,
				   1ull << 55,	    INT64_MAX / 512, INT64_MAX - 7,  INT64_MAX,
				   UINT64_MAX - 15, UINT64_MAX - 8,  UINT64_MAX - 7, UINT64_MAX};

	for (uint8_t operation = REQUEST_READ; operation <= REQUEST_WRITE; operation++) {
		for (size_t i = 0; i < ARRAY_SIZE(beyond); i++)
			ask_at(h, operation, beyond[i], FAULT_CAPACITY);
		ask_at(h, operation, h->sectors - 8, REQUEST_FINE);
	}
	hostile_settle(h);
}

static void discard(struct hostile *h)
{
	const uint64_t extents[][2] = {
		{0, h->sectors + 8}, {8, UINT64_MAX}, {8, UINT64_MAX - 7},     {UINT64_MAX - 7, 16},
		{UINT64_MAX, 1},     {h->sectors, 8}, {1ull << 63, 1ull << 63}};

	for (size_t i = 0; i < ARRAY_SIZE(extents); i++) {
		struct request request = hostile_request(h, REQUEST_DISCARD, 0);

		request.sector = extents[i][0];
		request.nr_sectors = extents[i][1];
		request.flag = (uint8_t)(i * 37);
		hostile_ask(h, &request,
			    !h->discard ? FAULT_OPERATION : writing(h, FAULT_CAPACITY));
	}
	for (unsigned flag = 0; flag < 256; flag += 5) {
		struct request request = hostile_request(h, REQUEST_DISCARD, 0);

		request.nr_sectors = 0;
		request.flag = (uint8_t)flag;
		hostile_ask(h, &request, !h->discard ? FAULT_OPERATION : writing(h, FAULT_BOUNDS));
	}
	hostile_settle(h);
}

/* Of a disk whose sectors are 512 bytes nothing is unaligned. */
static void alignment(struct hostile *h)
{
	enum request_fault fault = h->sector_bytes > 512 ? FAULT_ALIGNMENT : REQUEST_FINE;

	for (uint64_t off = 1; off < 8; off++) {
		struct request shorter = hostile_request(h, REQUEST_READ, 1);

		ask_at(h, REQUEST_READ, off, fault);
		shorter.segment[0].last_sect = (uint8_t)(off - 1);
		hostile_ask(h, &shorter, fault);
	}
	hostile_settle(h);
}

/* Everything that would change a disk that may not be changed. */
static void read_only(struct hostile *h)
{
	static const uint8_t operations[] = {REQUEST_WRITE, REQUEST_WRITE_BARRIER,
					     REQUEST_FLUSH_DISKCACHE, REQUEST_DISCARD};

	need(h->read_only, "the disk is not read-only");
	for (size_t i = 0; i < ARRAY_SIZE(operations); i++) {
		struct request request = hostile_request(h, operations[i], 1);

		hostile_ask(h, &request, expect(h, operations[i], 1));
	}
	if (h->max_indirect) {
		struct request request = hostile_indirect(h, REQUEST_WRITE, 16, 0);

		hostile_ask(h, &request, FAULT_READ_ONLY);
		hostile_settle(h);
	}
	hostile_settle(h);
}

const struct hostile_class request_classes[] = {
	{"nr_segments", "0, 11, 12 and 255 segments, with each operation", nr_segments},
	{"unknown-operations", "each operation that there is not", unknown_operations},
	{"segment-bounds", "first_sect behind last_sect, last_sect to 255", segment_bounds},
	{"capacity", "sector_number at the end of the disk and near 2^64", capacity},
	{"discard", "extents that wrap or are nothing, and each flag", discard},
	{"alignment", "sectors that are no multiple of the disk's", alignment},
	{"read-only", "every way to write, on a disk that is not to be written", read_only},
	{0},
};

/* --- indirect --------------------------------------------------------------------------------- */

static void need_indirect(const struct hostile *h)
{
	need(h->max_indirect, "no indirect requests are offered");
}

/* Answered before the next one changes the table. */
static void ask_alone(struct hostile *h, const struct request *request, enum request_fault fault)
{
	hostile_ask(h, request, fault);
	hostile_settle(h);
}

static void indirect_counts(struct hostile *h)
{
	const unsigned counts[][2] = {{0, FAULT_SEGMENTS},
				      {1, REQUEST_FINE},
				      {h->max_indirect, REQUEST_FINE},
				      {h->max_indirect + 1, FAULT_SEGMENTS},
				      {4096, FAULT_SEGMENTS},
				      {UINT16_MAX, FAULT_SEGMENTS}};

	need_indirect(h);
	for (uint8_t operation = REQUEST_READ; operation <= REQUEST_WRITE; operation++) {
		for (size_t i = 0; i < ARRAY_SIZE(counts); i++) {
			struct request request = hostile_indirect(h, operation, counts[i][0], 0);

			ask_alone(h, &request, (enum request_fault)counts[i][1]);
		}
	}
}

static void indirect_operations(struct hostile *h)
{
	need_indirect(h);
	for (unsigned operation = REQUEST_WRITE + 1; operation < 256; operation++) {
		struct request request = hostile_indirect(h, (uint8_t)operation, 4, 0);

		hostile_ask(h, &request, FAULT_OPERATION);
	}
	hostile_settle(h);
}

static void indirect_tables(struct hostile *h)
{
	const uint32_t bad[] = {0, HOSTILE_GREF, UINT32_MAX, h->foreign_ref, h->revoked_ref};

	need_indirect(h);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct request request = hostile_indirect(h, REQUEST_READ, 16, 0);

		request.indirect_gref[0] = bad[i];
		ask_alone(h, &request, FAULT_GRANT);
	}
}

static void indirect_segments(struct hostile *h)
{
	need_indirect(h);
	for (unsigned at = 0; at < h->max_indirect; at += 51) {
		struct request request = hostile_indirect(h, REQUEST_READ, h->max_indirect, 0);

		hostile_table(h, 0)[at].last_sect = (uint8_t)(8 + at % 248);
		ask_alone(h, &request, FAULT_BOUNDS);
		request = hostile_indirect(h, REQUEST_READ, h->max_indirect, 0);
		hostile_table(h, 0)[at].first_sect = 8;
		ask_alone(h, &request, FAULT_BOUNDS);
		request = hostile_indirect(h, REQUEST_READ, h->max_indirect, 0);
		hostile_table(h, 0)[at].gref = HOSTILE_GREF;
		ask_alone(h, &request, FAULT_GRANT);
	}
}

static void *flip(void *opaque)
{
	struct hostile *h = opaque;
	volatile struct request_segment *segments = hostile_table(h, 0);
	const uint32_t grefs[] = {h->page_ref[0], HOSTILE_GREF, h->foreign_ref, h->page_ref[1]};

	for (unsigned i = 0;; i++) {
		volatile struct request_segment *segment = &segments[i % 16];

		segment->gref = grefs[i / 16 % 4];
		segment->last_sect = i / 64 % 2 ? 255 : 7;
		segment->first_sect = i / 128 % 2 ? 9 : 0;
		if (i % 4096 == 0)
			pthread_testcancel();
	}
	return NULL;
}

/* What is checked is what is used: each is answered one way or the other, and nothing breaks. */
static void indirect_changes(struct hostile *h)
{
	struct request request = hostile_indirect(h, REQUEST_READ, 16, 0);
	pthread_t flipper;

	need_indirect(h);
	need(!pthread_create(&flipper, NULL, flip, h), "pthread_create");
	for (unsigned i = 0; i < 8 * h->ring.slots; i++) {
		request.id = h->next_id++;
		request.sector = i % 8;
		hostile_ask_either(h, &request);
	}
	hostile_settle(h);
	pthread_cancel(flipper);
	pthread_join(flipper, NULL);
}

const struct hostile_class indirect_classes[] = {
	{"indirect-counts", "0, 1, the most, one more, 65535 segments", indirect_counts},
	{"indirect-operations", "each inner operation that there is not", indirect_operations},
	{"indirect-pages", "tables that cannot be read", indirect_tables},
	{"indirect-segments", "one bad segment, in several places of the largest request",
	 indirect_segments},
	{"indirect-changes", "tables that change after they were pushed", indirect_changes},
	{0},
};
