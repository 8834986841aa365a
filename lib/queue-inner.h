/* SPDX-License-Identifier: MIT */
/*
 * queue-inner - a queue from inside. For queue*.c alone: queue.c is its life, queue-turn.c the way
 * of its requests.
 */
#ifndef TAP_QUEUE_INNER_H
#define TAP_QUEUE_INNER_H

#include <pthread.h>
#include <sys/queue.h>

#include "channel.h"
#include "queue.h"

/** What is still to be done for a request, in this order. */
enum step { STEP_FLUSH_BEFORE = 1, STEP_DATA = 2, STEP_FLUSH_AFTER = 4 };

/** One request from fetch to answer. */
struct slot {
	struct request request;
	uint64_t length_sectors;
	uint64_t fetched_ns;
	unsigned steps; /* enum step, those not yet started */
	bool has_pages; /* use is acquired */
	struct pages_use use;
	struct image_op op;
	TAILQ_ENTRY(slot) entry;	  /* free, or in flight in the order of fetching */
	struct iovec *iov;		  /* max_segments of them */
	struct request_segment *indirect; /* max_segments of them */
};
TAILQ_HEAD(slot_list, slot);

/** What the control thread wants of a queue. */
struct queue_orders {
	bool start, stop, run_barrier; /* to be done once */
	bool hold;		       /* for as long as it is set ... */
	unsigned holds;		       /* ... and each time anew that it was */
	bool new_limits;
	struct request_limits limits;
};

/** What a queue has to tell; in this order, since the last one is the end of it. */
enum queue_news {
	NEWS_BROKEN = 1,
	NEWS_BARRIER = 2,
	NEWS_HELD = 4,
	NEWS_BARRIER_DONE = 8,
	NEWS_DRAINED = 16,
};

struct queue {
	struct queue_setup setup; /* setup.limits: the serving thread's own copy */
	struct loop *loop, *control;
	/* From the control thread to the serving one, and back, under the lock. */
	pthread_mutex_t lock;
	struct queue_orders orders;
	unsigned news; /* enum queue_news */
	struct loop_task take_orders, tell_news;
	xengnttab_handle *gnttab; /* of the ring pages */
	struct ring ring;
	struct channel *channel;
	struct pages *pages;
	struct image_io *io;
	struct loop_source channel_source, io_source, idle_source;
	struct loop_task turn; /* its share: the guest's, from start to finish */
	unsigned depth;	       /* slots: requests in flight at most */
	struct slot *slots;
	struct slot_list free, in_flight;
	struct iovec *iovs;
	struct request_segment *indirects;
	struct slot *barrier; /* fetched and waiting, or running; not in in_flight while it waits */
	bool masked;	      /* an event was taken and the port not yet rearmed */
	bool judged;	      /* share_event() was told of it: the port is ... */
	uint64_t rearm_ns;    /* ... not rearmed before, unless more is fetched than ... */
	uint64_t rearmed_at;  /* ... stats' requests when it was rearmed last */
	bool holding;	      /* orders.hold as of the last look, and orders.holds */
	unsigned hold_seen;
	bool stopped;  /* no more fetching, by queue_stop() or because the ring broke */
	int broke;     /* why, when nobody asked for it: a negative errno */
	bool stopping; /* queue_stop() was called */
	bool told_held;
	bool finished;	/* drained was told: nothing is left in the loop */
	bool answering; /* a response was written since the last push */
	/* Room for one batch of each kind; kept here to keep the stack small. */
	struct slot *batch[QUEUE_BATCH_MAX];
	struct pages_indirect fetches[QUEUE_BATCH_MAX];
	struct pages_use *uses[QUEUE_BATCH_MAX], **clear;
	struct image_op *ops[QUEUE_BATCH_MAX];
	/* What was reaped, and how much of it is answered. */
	struct image_op *done[QUEUE_BATCH_MAX];
	unsigned done_at, done_end;
	unsigned budget; /* segments that this turn may still deal with */
};

/** A turn, and the start of a barrier that waited: see queue-turn.c. In the serving thread. */
void queue_turn(struct loop_task *task);
void queue_turn_barrier(struct queue *queue);

/** Have the callback made, in the control thread. In the serving thread. */
void queue_tell(struct queue *queue, enum queue_news news);

/** Nothing is in flight and nothing will be: leave the loop, tell of it. Nothing may follow. */
void queue_finish(struct queue *queue);
/** Stop fetching, and say so, for a negative errno. */
void queue_break(struct queue *queue, int why);

#endif
