/* SPDX-License-Identifier: MIT */
/* Illegal requests: each is a legal one with one thing changed, so that nothing else refuses it. */
#include "model.h"
#include "num.h"

/* A request with data that would pass. */
struct wrong {
	unsigned queue;
	struct request request;
	struct asked *asked;
	struct request_segment *segments; /* of the request, or of its table */
};

static uint8_t pick_task(struct model *m)
{
	return m->life.read_only || chance(m, 50) ? REQUEST_READ : REQUEST_WRITE;
}

static void begin(struct model *m, struct wrong *w, bool indirect)
{
	unsigned most = indirect ? 12 : REQUEST_SEGMENTS_DIRECT;

	if (indirect)
		w->asked = ask_make_indirect(m, w->queue, pick_task(m), most, &w->request);
	else
		w->asked = ask_make(m, w->queue, pick_task(m), most, &w->request);
	w->segments = indirect ? ask_table(m, w->asked) : w->request.segment;
	w->asked->effect = EFFECT_NONE;
}

static void begin_any(struct model *m, struct wrong *w)
{
	begin(m, w, m->h.max_indirect && chance(m, 40));
}

static void put(struct model *m, struct wrong *w, enum request_fault fault)
{
	w->asked->fault = fault;
	ask_put(m, w->asked, &w->request);
}

/* The first value that is none, as often as all others. */
static uint8_t just_beyond(struct model *m, unsigned first)
{
	return (uint8_t)(chance(m, 50) ? first : first + dice(m, 256 - first));
}

static struct request_segment *any_segment(struct model *m, struct wrong *w)
{
	return &w->segments[dice(m, w->asked->spans)];
}

static void unknown_operation(struct model *m, struct wrong *w)
{
	uint8_t operation = (uint8_t)(chance(m, 30) ? 4 : 7 + dice(m, 249));

	begin(m, w, false);
	w->request.operation = w->asked->operation = operation;
	put(m, w, FAULT_OPERATION);
}

static void segment_count(struct model *m, struct wrong *w)
{
	begin(m, w, false);
	w->request.nr_segments = (uint8_t)(chance(m, 50) ? 0 : just_beyond(m, 12));
	put(m, w, FAULT_SEGMENTS);
}

static void segment_backwards(struct model *m, struct wrong *w)
{
	struct request_segment *segment;

	begin_any(m, w);
	segment = any_segment(m, w);
	segment->first_sect = just_beyond(m, 1);
	segment->last_sect =
		(uint8_t)(chance(m, 50) ? segment->first_sect - 1u : dice(m, segment->first_sect));
	put(m, w, FAULT_BOUNDS);
}

static void segment_too_long(struct model *m, struct wrong *w)
{
	begin_any(m, w);
	any_segment(m, w)->last_sect = just_beyond(m, 8);
	put(m, w, FAULT_BOUNDS);
}

static void beyond_the_end(struct model *m, struct wrong *w)
{
	uint64_t unit = m->life.sector_bytes / SECTOR_BYTES, places[6];

	begin_any(m, w);
	places[0] = SECTORS - w->asked->sectors + unit;
	places[1] = SECTORS;
	places[2] = UINT64_MAX;
	places[3] = (UINT64_MAX - w->asked->sectors + 1) & ~7ull;
	places[4] = INT64_MAX / SECTOR_BYTES;
	places[5] = SECTORS + dice64(m) % (UINT64_MAX - SECTORS);
	w->request.sector = places[dice(m, ARRAY_SIZE(places))];
	put(m, w, FAULT_CAPACITY);
}

/* Of a disk whose sectors are 512 bytes nothing is unaligned: then it is beyond the end. */
static void unaligned(struct model *m, struct wrong *w)
{
	uint64_t by = 1 + dice(m, 7);

	if (m->life.sector_bytes == SECTOR_BYTES) {
		beyond_the_end(m, w);
		return;
	}
	begin_any(m, w);
	w->request.sector = w->request.sector > by ? w->request.sector - by : by;
	put(m, w, FAULT_ALIGNMENT);
}

/* One page that cannot be had: the others may be filled already. */
static void bad_grant(struct model *m, struct wrong *w)
{
	const uint32_t bad[] = {0, HOSTILE_GREF, UINT32_MAX, m->h.foreign_ref, m->h.read_only_ref};
	uint32_t ref = bad[dice(m, ARRAY_SIZE(bad))];

	begin_any(m, w);
	/* Guest memory is only read by a write: a page granted for that is no fault. */
	if (w->asked->operation == REQUEST_WRITE && ref == m->h.read_only_ref)
		ref = HOSTILE_GREF;
	any_segment(m, w)->gref = ref;
	w->asked->effect = w->asked->operation == REQUEST_READ ? EFFECT_SPOILS : EFFECT_NONE;
	put(m, w, FAULT_GRANT);
}

/* A page that was good until now. Nothing else is granted before the answer. */
static void revoked_grant(struct model *m, struct wrong *w)
{
	uint32_t ref;
	void *page = xengntshr_share_pages(m->h.gntshr, 0, 1, &ref, true);

	need(page && !xengntshr_unshare(m->h.gntshr, page, 1), "grant: %m");
	begin_any(m, w);
	any_segment(m, w)->gref = ref;
	w->asked->effect = w->asked->operation == REQUEST_READ ? EFFECT_SPOILS : EFFECT_NONE;
	put(m, w, FAULT_GRANT);
	answers_settle(m);
}

static void indirect_count(struct model *m, struct wrong *w)
{
	const unsigned counts[] = {0, m->h.max_indirect + 1, 257, 4096, UINT16_MAX};

	begin(m, w, true);
	w->request.indirect_segments = (uint16_t)counts[dice(m, ARRAY_SIZE(counts))];
	put(m, w, m->h.max_indirect ? FAULT_SEGMENTS : FAULT_OPERATION);
}

static void indirect_operation(struct model *m, struct wrong *w)
{
	begin(m, w, true);
	w->request.indirect_operation = w->asked->operation = (uint8_t)(2 + dice(m, 254));
	put(m, w, FAULT_OPERATION);
}

static void indirect_table(struct model *m, struct wrong *w)
{
	const uint32_t bad[] = {0, HOSTILE_GREF, UINT32_MAX, m->h.foreign_ref};

	begin(m, w, true);
	w->request.indirect_gref[0] = bad[dice(m, ARRAY_SIZE(bad))];
	put(m, w, m->h.max_indirect ? FAULT_GRANT : FAULT_OPERATION);
}

static void discard(struct model *m, struct wrong *w)
{
	const uint64_t extents[][2] = {{0, SECTORS + 8},	 {8, UINT64_MAX},
				       {UINT64_MAX - 7, 16},	 {SECTORS, 8},
				       {1ull << 63, 1ull << 63}, {8, 0}};
	unsigned which = dice(m, ARRAY_SIZE(extents));
	enum request_fault fault = extents[which][1] ? FAULT_CAPACITY : FAULT_BOUNDS;

	w->asked = ask_make(m, w->queue, REQUEST_DISCARD, 0, &w->request);
	w->request.sector = extents[which][0];
	w->request.nr_sectors = extents[which][1];
	put(m, w, !m->h.discard ? FAULT_OPERATION : m->life.read_only ? FAULT_READ_ONLY : fault);
}

/* Two requests of one id: two answers, and nothing else about it. */
static void same_id(struct model *m, struct wrong *w)
{
	uint64_t id = dice64(m);

	for (unsigned i = 0; i < 2; i++) {
		w->asked = ask_make(m, w->queue, (uint8_t)(100 + i), 0, &w->request);
		w->request.id = w->asked->id = id;
		put(m, w, FAULT_OPERATION);
	}
}

/*
 * A slot that changes after it was shown: the request is done one way or the other, and what is
 * checked is what is used. Its bytes that say where on the disk, and how much of each page.
 */
static void slot_changes(struct model *m, struct wrong *w)
{
	struct ring *ring = &m->queue[w->queue].ring;
	bool x86_32 = m->h.abi == RING_ABI_X86_32;
	unsigned at_sector = x86_32 ? 12 : 16, at_segments = x86_32 ? 20 : 24;
	volatile uint8_t *slot;

	w->asked = ask_make(m, w->queue, REQUEST_READ, REQUEST_SEGMENTS_DIRECT, &w->request);
	w->asked->effect = EFFECT_SPOILS;
	w->asked->either = true;
	slot = (uint8_t *)ring->shared + 64 +
	       (size_t)(ring->req_prod_pvt & (ring->slots - 1)) * ring->stride_bytes;
	ask_put(m, w->asked, &w->request);
	guest_push(m, w->queue);
	for (unsigned i = 0; i < 64; i++) {
		slot[at_sector + 1] = (uint8_t)dice(m, 256);
		slot[at_segments + 8 * dice(m, w->asked->spans) + 4 + i % 2] = (uint8_t)dice(m, 16);
	}
}

static const struct {
	const char *name;
	void (*ask)(struct model *m, struct wrong *w);
} classes[] = {
	{"unknown operation", unknown_operation},
	{"number of segments", segment_count},
	{"segment backwards", segment_backwards},
	{"segment too long", segment_too_long},
	{"beyond the end", beyond_the_end},
	{"unaligned", unaligned},
	{"bad grant", bad_grant},
	{"revoked grant", revoked_grant},
	{"number of indirect segments", indirect_count},
	{"indirect operation", indirect_operation},
	{"indirect page", indirect_table},
	{"discard", discard},
	{"same id", same_id},
	{"slot changes", slot_changes},
};

void ask_wrong(struct model *m, unsigned queue)
{
	unsigned which = dice(m, ARRAY_SIZE(classes));
	struct wrong w = {.queue = queue};

	tell(m, "wrong: %s, ", classes[which].name);
	classes[which].ask(m, &w);
}
