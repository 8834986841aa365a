/* SPDX-License-Identifier: MIT */
/*
 * slots - the slots of a ring copy, decoded.
 *
 * Answers go into the slots of requests in the order they are given, not in the order the requests
 * came (protocol.md 22). So a slot between rsp_prod and req_prod still holds the request it was
 * given, but that request may be answered already, while an older one, whose slot went to an
 * answer, is not.
 */
#ifndef TAP_SLOTS_H
#define TAP_SLOTS_H

#include <stdbool.h>
#include <stdint.h>

#include "ring-copy.h"
#include "verdict.h"

enum slot_state {
	SLOT_UNUSED,   /* no request was put there yet */
	SLOT_REQUEST,  /* outstanding; whether the backend has fetched it is not known */
	SLOT_WAITING,  /* outstanding, not fetched */
	SLOT_FETCHED,  /* outstanding, fetched */
	SLOT_RESPONSE, /* holds a response */
	SLOT_UNKNOWN,  /* the ring is broken: it may hold either */
};

/** "unused", "request", ... */
const char *slot_state_name(enum slot_state state);

struct slot_view {
	uint32_t slot;	/* place in the ring */
	uint32_t index; /* of the request or response that it last held */
	enum slot_state state;
	struct request request;	  /* of REQUEST, WAITING, FETCHED, UNKNOWN */
	struct response response; /* of RESPONSE */
};

/**
 * Call @each for each slot from the oldest request outstanding to the newest; with @all, for all
 * others too, older ones first. Stops at its first non-zero return, and returns it. Of a broken
 * ring nothing counts as outstanding.
 */
int slots_each(const struct ring_copy *copy, const struct verdict_facts *facts, bool all,
	       int (*each)(const struct slot_view *view, void *opaque), void *opaque);

/** Segments of @request that can be looked at: what the wire says, bounded by what there is. */
unsigned slot_segments(const struct request *request);

/** Length in 512-byte units; segments that are backwards or beyond their page do not count. */
uint64_t slot_sectors(const struct request *request);

#endif
