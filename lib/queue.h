/* SPDX-License-Identifier: MIT */
/*
 * queue - one ring being served: fetch, check, acquire, submit; reap, release, respond, push,
 * notify.
 *
 * A queue is served in the thread of its loop, which may be another than the one that opened it
 * (the control thread): every function here is called, and every callback made, in the control
 * thread, and nothing waits for the other one.
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
/** And no more once they, and what is answered, have so many segments: how long a turn takes. */
#define QUEUE_TURN_SEGMENTS 256u

struct queue;

/**
 * Pages of requests in flight in one queue, at most (64 MiB): what a guest can make us hold. A
 * queue of large requests takes fewer of them at a time than its ring has slots.
 */
#define QUEUE_PAGES_MAX 16384u

/** What the two ends agreed on, for one queue. */
struct queue_setup {
	uint32_t domid;
	uint32_t ring_refs[1u << RING_ORDER_MAX];
	unsigned ring_order;
	enum ring_abi abi;
	uint32_t port;	       /* the frontend's event channel */
	unsigned max_segments; /* of one request: what was offered, indirect or not */
	enum pages_mode mode;
	unsigned keep_pages; /* PAGES_PERSISTENT: see pages.h */
	uint64_t keep_idle_ns;
	struct image *image;
	struct request_limits limits; /* queue_set_limits() changes them */
	struct stats_queue *stats;
	/** Called once when the queue stopped fetching by itself: @why is -EPROTO when the ring's
	 * indices became impossible, else what its event channel or the loop failed with. */
	void (*broken)(struct queue *queue, int why, void *opaque);
	/**
	 * A barrier was fetched. No request after it is, until queue_release(). To be answered with
	 * queue_hold() on every queue of the disk and then queue_run_barrier() on this one.
	 */
	void (*barrier)(struct queue *queue, void *opaque);
	/** After queue_hold(): nothing is in flight (but a barrier that waits). */
	void (*held)(struct queue *queue, void *opaque);
	/** After queue_run_barrier(): it was answered. */
	void (*barrier_done)(struct queue *queue, void *opaque);
	/** Called once after queue_stop(), when nothing is in flight any more (at once if so
	 * already). */
	void (*drained)(struct queue *queue, void *opaque);
	void *opaque;
};

/**
 * Map the ring, bind the port, make the arena. On failure everything is undone and @e says which of
 * ring, port or memory it was: -EPROTO when the ring is not granted, or the port not to be bound,
 * which is the frontend's affair, another negative errno for our own. Nothing is fetched before
 * queue_start().
 */
int queue_open(struct queue **out, const struct queue_setup *setup, struct loop *loop,
	       struct loop *control, struct err *e);

/** By the ring's own indices, has every request that was ever pushed been answered? */
bool queue_is_quiet(const struct queue *queue);

/** The shared rsp_prod where this queue goes on. */
uint32_t queue_resume_index(const struct queue *queue);

/** Begin: events are listened to, and what waits in the ring already is fetched. */
void queue_start(struct queue *queue);

/** The disk's limits changed (a resize): for what is fetched from now on. */
void queue_set_limits(struct queue *queue, const struct request_limits *limits);

/** Fetch nothing, until queue_release(); setup.held is called once nothing is in flight. */
void queue_hold(struct queue *queue);

/** Do the barrier that setup.barrier told of; every queue of the disk is held. */
void queue_run_barrier(struct queue *queue);

/** Go on fetching. */
void queue_release(struct queue *queue);

/** Stop fetching. What is in flight goes on and is answered; then setup.drained is called. */
void queue_stop(struct queue *queue);

/**
 * Give back the port, the ring and every page. Nothing may be in flight (setup.drained was called,
 * or queue_start() never was). Returns the number of pages that were still mapped, which must be 0.
 */
unsigned queue_close(struct queue *queue);

#endif
