/* SPDX-License-Identifier: MIT */
/*
 * ring - a shared block ring of any size and ABI: safe fetch and push for the backend, its mirror
 * for a frontend, and a look from outside.
 *
 * The shared page is written by somebody hostile. Indices are read once into private memory and
 * checked; a request's bytes are copied once (volatile) and decoded from the copy (protocol.md 5,
 * XSA-155). Layout: xen/io/ring.h; the header is 64 bytes, then slots of 112 bytes (x86_64) or 108
 * bytes (x86_32), their number rounded down to a power of two.
 */
#ifndef TAP_RING_H
#define TAP_RING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "request.h"

#define RING_PAGE_BYTES 4096u
#define RING_ORDER_MAX	4u /* 16 pages */

/** The `protocol` node. RING_ABI_NATIVE is laid out as this build's own (x86_64 here). */
enum ring_abi { RING_ABI_NATIVE, RING_ABI_X86_64, RING_ABI_X86_32 };

/** "x86_64-abi", "x86_32-abi", "native" */
const char *ring_abi_name(enum ring_abi abi);
/** The ABI of a `protocol` node's value (also "native"); NULL text means native. -EINVAL for any
 * other. */
int ring_abi_parse(const char *text, enum ring_abi *out);

/** The four shared indices, copied once each, and what follows from them. Any value is possible. */
struct ring_indices {
	uint32_t req_prod, req_event, rsp_prod, rsp_event;
};

struct ring {
	void *shared; /* mapped ring pages, contiguous */
	enum ring_abi abi;
	unsigned order;
	uint32_t slots; /* power of two */
	uint32_t stride_bytes;
	uint32_t req_cons;     /* backend: next request to fetch */
	uint32_t rsp_prod_pvt; /* backend: next response to write */
	uint32_t req_prod_pvt; /* frontend: next request to write */
	uint32_t rsp_cons;     /* frontend: next response to take */
	uint32_t pushed;       /* the producer index that the other end was last shown */
};

/** Slots of a ring of 2^order pages. 0 when order > RING_ORDER_MAX. */
uint32_t ring_slots(enum ring_abi abi, unsigned order);

/** Prepare @ring over @shared without touching it: indices all zero. -EINVAL for an impossible
 * geometry. */
int ring_setup(struct ring *ring, void *shared, enum ring_abi abi, unsigned order);

/** Copy the indices, each read once. */
struct ring_indices ring_look(const struct ring *ring);

/* The backend's side. */

/** Go on where the last backend stopped: req_cons = rsp_prod_pvt = the shared rsp_prod. */
void ring_back_resume(struct ring *ring);

/**
 * Requests waiting to be fetched, or -EPROTO when the producer index is impossible: more than a
 * ring's worth ahead of what was answered, or behind what was fetched (RING_REQUEST_PROD_OVERFLOW,
 * tested explicitly: protocol.md 5).
 */
int ring_back_waiting(const struct ring *ring);

/** Copy the next request out and decode it; ring_back_waiting() must have said there is one. */
void ring_back_fetch(struct ring *ring, struct request *out);

/**
 * Write a response, padding zeroed in every ABI (XSA-216). Not visible until ring_back_push(). Only
 * as many as requests were fetched.
 */
void ring_back_respond(struct ring *ring, uint64_t id, uint8_t operation, int16_t status);

/** Publish the responses written since the last push. Returns true when the frontend wants an
 * event. */
bool ring_back_push(struct ring *ring);

/**
 * Ask for an event at the next request, then look once more: returns ring_back_waiting() as of
 * after the asking, so that 0 means it is safe to wait.
 */
int ring_back_rest(struct ring *ring);

/* The frontend's side. */

/** Write the header of a fresh ring, before the backend is told of it. */
void ring_front_init(struct ring *ring);
/** Slots that can take a request. */
uint32_t ring_front_free(const struct ring *ring);
/**
 * Encode into the next slot, whatever it says (segments beyond REQUEST_SEGMENTS_DIRECT have no
 * place in a slot and are left out). -ENOSPC without a free slot.
 */
int ring_front_put(struct ring *ring, const struct request *request);
/** Publish the requests put since the last push. True when the backend wants an event. */
bool ring_front_push(struct ring *ring);

struct response {
	uint64_t id;
	uint8_t operation;
	int16_t status;
};
/** Responses waiting, or -EPROTO when the backend's index is beyond what was asked, or went back.
 */
int ring_front_waiting(const struct ring *ring);
/** Copy the next response out; ring_front_waiting() must have said there is one. */
void ring_front_take(struct ring *ring, struct response *out);
/** As ring_back_rest(), for responses. */
int ring_front_rest(struct ring *ring);

/* From outside: any slot of a copied ring, whatever it holds. @index is taken modulo the slots. */

void ring_peek_request(const struct ring *ring, uint32_t index, struct request *out);
void ring_peek_response(const struct ring *ring, uint32_t index, struct response *out);

#endif
