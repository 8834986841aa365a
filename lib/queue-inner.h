/* SPDX-License-Identifier: MIT */
/*
 * queue-inner - a queue from inside. For queue*.c alone: queue.c is its life, queue-turn.c the way
 * of its requests.
 */
#ifndef TAP_QUEUE_INNER_H
#define TAP_QUEUE_INNER_H

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

struct queue {
	struct queue_setup setup;
	struct loop *loop;
	xengnttab_handle *gnttab; /* of the ring pages */
	struct ring ring;
	struct channel *channel;
	struct pages *pages;
	struct image_io *io;
	struct loop_source channel_source, io_source;
	struct loop_task turn;
	unsigned depth; /* slots: requests in flight at most */
	struct slot *slots;
	struct slot_list free, in_flight;
	struct iovec *iovs;
	struct request_segment *indirects;
	struct slot *barrier; /* fetched and waiting, or running; not in in_flight while it waits */
	bool barrier_running;
	bool masked;   /* an event was taken and the port not yet rearmed */
	bool holding;  /* queue_hold() */
	bool stopped;  /* no more fetching, by queue_stop() or because the ring broke */
	bool stopping; /* queue_stop() was called */
	bool told_held, told_drained;
	bool answering; /* a response was written since the last push */
	/* Room for one batch of each kind; kept here to keep the stack small. */
	struct slot *batch[QUEUE_BATCH_MAX];
	struct pages_indirect fetches[QUEUE_BATCH_MAX];
	struct pages_use *uses[QUEUE_BATCH_MAX], **clear;
	struct image_op *ops[QUEUE_BATCH_MAX];
};

/** A turn: see queue-turn.c. A loop_task's run. */
void queue_turn(struct loop_task *task);

#endif
