/* SPDX-License-Identifier: MIT */
/*
 * ring-abi - how requests and responses are laid out in a slot, in each ABI; and the only places
 * where a slot's bytes are read or written.
 *
 * For ring*.c alone.
 */
#ifndef TAP_RING_ABI_H
#define TAP_RING_ABI_H

#include "ring.h"

#define xen_mb()  __atomic_thread_fence(__ATOMIC_SEQ_CST)
#define xen_rmb() __atomic_thread_fence(__ATOMIC_ACQUIRE)
#define xen_wmb() __atomic_thread_fence(__ATOMIC_RELEASE)

/** The shared header; the slots follow it. */
struct ring_header {
	uint32_t req_prod, req_event, rsp_prod, rsp_event;
	uint8_t unused[48];
};

static inline struct ring_header *ring_header(const struct ring *ring)
{
	return ring->shared;
}

/** One read, one write of a shared index: the other end may change it at any time. */
static inline uint32_t index_read(const uint32_t *index)
{
	return __atomic_load_n(index, __ATOMIC_RELAXED);
}

static inline void index_write(uint32_t *index, uint32_t value)
{
	__atomic_store_n(index, value, __ATOMIC_RELAXED);
}

/**
 * Publish @now in @producer, after what was written to the slots, and say whether the other end
 * wants an event: whether its event index is among those that @now steps over.
 */
static inline bool index_push(struct ring *ring, uint32_t *producer, uint32_t *event, uint32_t now)
{
	uint32_t before = ring->pushed;

	if (now == before)
		return false;
	xen_wmb(); /* slots before the index that shows them */
	index_write(producer, now);
	ring->pushed = now;
	xen_mb(); /* the index before the other end's wish: it writes and reads the other way */
	return now - index_read(event) < now - before;
}

uint32_t ring_stride_bytes(enum ring_abi abi);
void ring_slot_get_request(const struct ring *ring, uint32_t index, struct request *out);
void ring_slot_put_request(struct ring *ring, uint32_t index, const struct request *request);
void ring_slot_get_response(const struct ring *ring, uint32_t index, struct response *out);
void ring_slot_put_response(struct ring *ring, uint32_t index, const struct response *response);

#endif
