/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "slots.h"

const char *slot_state_name(enum slot_state state)
{
	static const char *const names[] = {
		[SLOT_UNUSED] = "unused",     [SLOT_REQUEST] = "request",
		[SLOT_WAITING] = "waiting",   [SLOT_FETCHED] = "fetched",
		[SLOT_RESPONSE] = "response", [SLOT_UNKNOWN] = "unknown",
	};

	return names[state];
}

/* Indices wrap: compare by how far each is behind req_prod. */
static enum slot_state state_of(const struct verdict_facts *facts, uint32_t req_prod,
				uint32_t behind)
{
	if (facts->verdict == VERDICT_BROKEN)
		return SLOT_UNKNOWN;
	if (behind > facts->outstanding)
		/* In the first lap, after 2^32 requests also in that one, slots ahead are empty. */
		return behind > req_prod ? SLOT_UNUSED : SLOT_RESPONSE;
	if (!facts->knows_unfetched)
		return SLOT_REQUEST;
	return behind > facts->unfetched ? SLOT_FETCHED : SLOT_WAITING;
}

int slots_each(const struct ring_copy *copy, const struct verdict_facts *facts, bool all,
	       int (*each)(const struct slot_view *view, void *opaque), void *opaque)
{
	uint32_t req_prod = ring_look(&copy->ring).req_prod;
	uint32_t behind = all ? copy->ring.slots : facts->outstanding;
	int ret = 0;

	for (; !ret && behind; behind--) {
		struct slot_view view = {
			.index = req_prod - behind,
			.slot = (req_prod - behind) & (copy->ring.slots - 1),
			.state = state_of(facts, req_prod, behind),
		};

		if (view.state == SLOT_RESPONSE)
			ring_peek_response(&copy->ring, view.index, &view.response);
		else if (view.state != SLOT_UNUSED)
			ring_peek_request(&copy->ring, view.index, &view.request);
		ret = each(&view, opaque);
	}
	return ret;
}

unsigned slot_segments(const struct request *request)
{
	if (request->operation == REQUEST_DISCARD || request->operation == REQUEST_INDIRECT)
		return 0;
	return request->nr_segments < REQUEST_SEGMENTS_DIRECT ? request->nr_segments
							      : REQUEST_SEGMENTS_DIRECT;
}

uint64_t slot_sectors(const struct request *request)
{
	uint64_t sectors = 0;

	if (request->operation == REQUEST_DISCARD)
		return request->nr_sectors;
	for (unsigned i = 0; i < slot_segments(request); i++) {
		const struct request_segment *segment = &request->segment[i];

		if (segment->first_sect <= segment->last_sect &&
		    segment->last_sect < RING_PAGE_BYTES / 512)
			sectors += segment->last_sect - segment->first_sect + 1u;
	}
	return sectors;
}
