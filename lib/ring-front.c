/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <string.h>

#include "ring-abi.h"

void ring_front_init(struct ring *ring)
{
	struct ring_header *header = ring_header(ring);

	memset(header, 0, sizeof(*header));
	header->req_event = 1;
	header->rsp_event = 1;
	ring->req_prod_pvt = 0;
	ring->rsp_cons = 0;
	ring->pushed = 0;
}

uint32_t ring_front_free(const struct ring *ring)
{
	return ring->slots - (ring->req_prod_pvt - ring->rsp_cons);
}

int ring_front_put(struct ring *ring, const struct request *request)
{
	if (!ring_front_free(ring))
		return -ENOSPC;
	ring_slot_put_request(ring, ring->req_prod_pvt++, request);
	return 0;
}

bool ring_front_push(struct ring *ring)
{
	struct ring_header *header = ring_header(ring);

	return index_push(ring, &header->req_prod, &header->req_event, ring->req_prod_pvt);
}

int ring_front_waiting(const struct ring *ring)
{
	uint32_t answered = index_read(&ring_header(ring)->rsp_prod) - ring->rsp_cons;

	if (answered > ring->pushed - ring->rsp_cons)
		return -EPROTO;
	xen_rmb(); /* the index before the slots that it shows */
	return (int)answered;
}

void ring_front_take(struct ring *ring, struct response *out)
{
	ring_slot_get_response(ring, ring->rsp_cons++, out);
}

int ring_front_rest(struct ring *ring)
{
	int waiting = ring_front_waiting(ring);

	if (waiting)
		return waiting;
	index_write(&ring_header(ring)->rsp_event, ring->rsp_cons + 1);
	xen_mb(); /* the wish before the last look: the backend writes and reads the other way */
	return ring_front_waiting(ring);
}
