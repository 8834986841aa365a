/* SPDX-License-Identifier: MIT */
/*
 * queue - one ring being served: fetch, check, acquire, submit; reap, release, respond, push,
 * notify.
 *
 * Each step works on a batch. A queue owns its ring mapping, its port, its page arena and its way
 * to the image, and shares nothing that is written with other queues.
 */
#ifndef TAP_QUEUE_H
#define TAP_QUEUE_H

#include <stdbool.h>
#include <stdint.h>
#include <xengnttab.h>

#include "image.h"
#include "loop.h"
#include "pages.h"
#include "request.h"
#include "ring.h"
#include "stats.h"

/** Requests taken from one ring in one turn, at most: one guest's share (BATCH_PER_DOMAIN of old).
 */
#define QUEUE_BATCH_MAX 64u

struct queue;

/** What the two ends agreed on, for one queue. */
struct queue_setup {
	uint32_t domid;
	uint32_t ring_refs[1u << RING_ORDER_MAX];
	unsigned ring_order;
	enum ring_abi abi;
	uint32_t port; /* the frontend's event channel */
	unsigned max_segments;
	enum pages_mode mode;
	struct image *image;
	const struct request_limits
		*limits; /* shared by all queues of the disk; a resize changes it */
	struct stats_queue *stats;
	/** Called once when the ring's indices became impossible: the queue has stopped fetching.
	 */
	void (*broken)(struct queue *queue, void *opaque);
	void *opaque;
};

/**
 * Map the ring, bind the port, make the arena. On failure everything is undone and @e says which of
 * ring, port or memory it was. The queue is added to @loop.
 */
int queue_open(struct queue **out, const struct queue_setup *setup, struct loop *loop,
	       struct err *e);

/**
 * A bounded turn: reap and answer what has finished, then fetch and start at most QUEUE_BATCH_MAX
 * requests. Returns true when there is more to fetch at once. Called by the loop's end-of-turn for
 * queues that have more.
 */
bool queue_turn(struct queue *queue);

/** True when requests wait that the last turn left behind. */
bool queue_has_more(const struct queue *queue);

/** Stop fetching; wait for what is in flight; answer it. Afterwards req_cons == rsp_prod. */
void queue_drain(struct queue *queue);

/**
 * Drain, then give back the port, the ring and every page. Returns the number of pages that were
 * still mapped, which must be 0.
 */
unsigned queue_close(struct queue *queue);

/** Is nothing outstanding by the ring's own indices? (For resume: see backend.h.) */
bool queue_is_quiet(const struct queue *queue);

#endif
