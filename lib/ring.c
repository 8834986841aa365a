/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <string.h>

#include "ring-abi.h"

uint32_t ring_slots(enum ring_abi abi, unsigned order)
{
	uint32_t fit, slots = 1;

	if (order > RING_ORDER_MAX)
		return 0;
	fit = ((RING_PAGE_BYTES << order) - (uint32_t)sizeof(struct ring_header)) /
	      ring_stride_bytes(abi);
	while (slots * 2 <= fit)
		slots *= 2;
	return slots;
}

int ring_setup(struct ring *ring, void *shared, enum ring_abi abi, unsigned order)
{
	uint32_t slots = ring_slots(abi, order);

	if (!slots)
		return -EINVAL;
	*ring = (struct ring){
		.shared = shared,
		.abi = abi,
		.order = order,
		.slots = slots,
		.stride_bytes = ring_stride_bytes(abi),
	};
	return 0;
}

struct ring_indices ring_look(const struct ring *ring)
{
	const struct ring_header *header = ring_header(ring);

	return (struct ring_indices){
		.req_prod = index_read(&header->req_prod),
		.req_event = index_read(&header->req_event),
		.rsp_prod = index_read(&header->rsp_prod),
		.rsp_event = index_read(&header->rsp_event),
	};
}

void ring_back_resume(struct ring *ring)
{
	uint32_t rsp_prod = index_read(&ring_header(ring)->rsp_prod);

	ring->req_cons = rsp_prod;
	ring->rsp_prod_pvt = rsp_prod;
	ring->pushed = rsp_prod;
}

int ring_back_waiting(const struct ring *ring)
{
	uint32_t unanswered = index_read(&ring_header(ring)->req_prod) - ring->rsp_prod_pvt;
	uint32_t fetched = ring->req_cons - ring->rsp_prod_pvt;

	if (unanswered > ring->slots || unanswered < fetched)
		return -EPROTO;
	xen_rmb(); /* the index before the slots that it shows */
	return (int)(unanswered - fetched);
}

void ring_back_fetch(struct ring *ring, struct request *out)
{
	ring_slot_get_request(ring, ring->req_cons++, out);
}

void ring_back_respond(struct ring *ring, uint64_t id, uint8_t operation, int16_t status)
{
	const struct response response = {.id = id, .operation = operation, .status = status};

	ring_slot_put_response(ring, ring->rsp_prod_pvt++, &response);
}

bool ring_back_push(struct ring *ring)
{
	struct ring_header *header = ring_header(ring);

	return index_push(ring, &header->rsp_prod, &header->rsp_event, ring->rsp_prod_pvt);
}

int ring_back_rest(struct ring *ring)
{
	int waiting = ring_back_waiting(ring);

	if (waiting)
		return waiting;
	index_write(&ring_header(ring)->req_event, ring->req_cons + 1);
	xen_mb(); /* the wish before the last look: the frontend writes and reads the other way */
	return ring_back_waiting(ring);
}

void ring_peek_request(const struct ring *ring, uint32_t index, struct request *out)
{
	ring_slot_get_request(ring, index, out);
}

void ring_peek_response(const struct ring *ring, uint32_t index, struct response *out)
{
	ring_slot_get_response(ring, index, out);
}
