/* SPDX-License-Identifier: MIT */
/* What is asked of the server, and whether each answer is the one that it must be. */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <string.h>

#include "hostile.h"
#include "num.h"

struct request hostile_request(struct hostile *h, uint8_t operation, unsigned segments)
{
	struct request request = {
		.id = h->next_id++, .operation = operation, .nr_segments = (uint8_t)segments};

	if (operation == REQUEST_DISCARD) {
		request.nr_segments = 0;
		request.nr_sectors = 8;
	}
	for (unsigned i = 0; i < REQUEST_SEGMENTS_DIRECT; i++)
		request.segment[i] = (struct request_segment){
			.gref = h->page_ref[i], .first_sect = 0, .last_sect = 7};
	return request;
}

struct request_segment *hostile_table(struct hostile *h, unsigned table)
{
	return (struct request_segment *)(void *)(h->table + (size_t)table * RING_PAGE_BYTES);
}

struct request hostile_indirect(struct hostile *h, uint8_t operation, unsigned count,
				unsigned table)
{
	struct request request = {.id = h->next_id++,
				  .operation = REQUEST_INDIRECT,
				  .indirect_operation = operation,
				  .indirect_segments = (uint16_t)count};
	struct request_segment *segments = hostile_table(h, table);

	for (unsigned i = 0; i < RING_PAGE_BYTES / sizeof(*segments); i++)
		segments[i] = (struct request_segment){
			.gref = h->page_ref[i % HOSTILE_PAGES], .first_sect = 0, .last_sect = 7};
	for (unsigned i = 0; i < REQUEST_INDIRECT_PAGES; i++)
		request.indirect_gref[i] = h->table_ref[table];
	return request;
}

static void ask(struct hostile *h, const struct request *request, enum request_fault fault,
		bool either)
{
	unsigned i = 0;

	while (i < HOSTILE_ASKED && h->asked[i].waits)
		i++;
	need(i < HOSTILE_ASKED, "too much is asked");
	if (!ring_front_free(&h->ring))
		hostile_settle(h);
	h->asked[i] = (struct hostile_asked){.id = request->id,
					     .operation = request_task(request),
					     .waits = true,
					     .fault = fault,
					     .either = either};
	h->waiting++;
	need(!ring_front_put(&h->ring, request), "the ring is full");
}

void hostile_ask(struct hostile *h, const struct request *request, enum request_fault fault)
{
	ask(h, request, fault, false);
}

void hostile_ask_either(struct hostile *h, const struct request *request)
{
	ask(h, request, REQUEST_FINE, true);
}

/* The response in its slot, byte for byte: nothing but what belongs there (XSA-216). */
static void check_padding(struct hostile *h)
{
	uint32_t at = h->ring.rsp_cons & (h->ring.slots - 1);
	const uint8_t *slot =
		(const uint8_t *)h->ring_page + 64 + (size_t)at * h->ring.stride_bytes;
	unsigned bytes = h->abi == RING_ABI_X86_32 ? 12 : 16;

	need(!slot[9], "a response has %#x in its padding", slot[9]);
	for (unsigned i = 12; i < bytes; i++)
		need(!slot[i], "a response has %#x in its padding", slot[i]);
}

static void take_answer(struct hostile *h)
{
	struct hostile_asked *asked = NULL;
	struct response response;

	check_padding(h);
	ring_front_take(&h->ring, &response);
	/* Several may have one id; who asked first is answered first. */
	for (unsigned i = 0; !asked && i < HOSTILE_ASKED; i++) {
		struct hostile_asked *a = &h->asked[i];

		if (a->waits && a->id == response.id && a->operation == response.operation &&
		    (a->either || (int16_t)request_fault_status(a->fault) == response.status))
			asked = a;
	}
	need(asked, "answer %" PRIu64 ", operation %u, status %d: not what was asked", response.id,
	     response.operation, response.status);
	asked->waits = false;
	h->waiting--;
	h->total++;
	if (asked->either)
		h->either++;
	else
		h->fault[asked->fault]++;
}

static void wait_for_event(struct hostile *h)
{
	struct pollfd event = {.fd = channel_fd(h->channel), .events = POLLIN};

	need(poll(&event, 1, (int)(HOSTILE_WAIT_NS / 1000000)) == 1, "%u requests are not answered",
	     h->waiting);
	need(channel_take(h->channel) >= 0 && !channel_rearm(h->channel), "event channel: %m");
}

void hostile_settle(struct hostile *h)
{
	if (ring_front_push(&h->ring))
		channel_notify(h->channel);
	while (h->waiting) {
		int n = ring_front_waiting(&h->ring);

		need(n >= 0, "the server's response index is impossible");
		for (; n > 0; n--)
			take_answer(h);
		if (h->waiting && !ring_front_rest(&h->ring))
			wait_for_event(h);
	}
	need(!ring_front_waiting(&h->ring), "answers to nothing");
}

/* In pages of their own, at a place of the disk that no attack writes to. */
void hostile_prove(struct hostile *h)
{
	uint8_t *wrote = h->page + (size_t)(HOSTILE_PAGES - 2) * RING_PAGE_BYTES;
	uint8_t *seen = wrote + RING_PAGE_BYTES;
	struct request write = hostile_request(h, REQUEST_WRITE, 1);
	struct request read = hostile_request(h, REQUEST_READ, 1);

	memset(wrote, (int)(h->next_id & 0xff), RING_PAGE_BYTES);
	memset(seen, 0, RING_PAGE_BYTES);
	write.segment[0].gref = h->page_ref[HOSTILE_PAGES - 2];
	read.segment[0].gref = h->page_ref[HOSTILE_PAGES - 1];
	write.sector = read.sector = h->sectors / 2 & ~7ull;
	if (!h->read_only) {
		hostile_ask(h, &write, REQUEST_FINE);
		hostile_settle(h);
	}
	hostile_ask(h, &read, REQUEST_FINE);
	hostile_settle(h);
	need(h->read_only || !memcmp(wrote, seen, RING_PAGE_BYTES),
	     "what was read is not what was written");
}

void hostile_judge(struct hostile *h)
{
	struct stats_queue before, now;
	struct stats_file after;
	uint64_t refused = 0, expected = 0;

	need(!stats_read(&h->disk, &after), "the disk is no longer served");
	h->before.queues = after.queues = STATS_QUEUES;
	stats_sum(&h->before, &before);
	stats_sum(&after, &now);
	need(after.breaks - h->before.breaks == h->breaks, "%u rings were stopped, not %" PRIu64,
	     after.breaks - h->before.breaks, h->breaks);
	need(now.requests - before.requests == now.responses - before.responses,
	     "%" PRIu64 " consumed, %" PRIu64 " answered", now.requests - before.requests,
	     now.responses - before.responses);
	need(now.responses - before.responses == h->total,
	     "%" PRIu64 " answers were counted, %" PRIu64 " came", now.responses - before.responses,
	     h->total);
	for (unsigned fault = REQUEST_FINE + 1; fault < REQUEST_FAULTS; fault++) {
		uint64_t counted = now.fault[fault] - before.fault[fault];

		refused += counted;
		expected += h->fault[fault];
		need(h->either || counted == h->fault[fault],
		     "%s: %" PRIu64 " are counted, %" PRIu64 " were refused",
		     request_fault_name(fault), counted, h->fault[fault]);
	}
	need(refused >= expected && refused <= expected + h->either,
	     "%" PRIu64 " are counted, %" PRIu64 " were refused", refused, expected);
}
