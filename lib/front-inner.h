/* SPDX-License-Identifier: MIT */
/*
 * front-inner - a front from inside. Used by lib/front*.c alone.
 *
 * front.c owns the object; front-connect.c walks the states; front-nodes.c reads and writes what
 * the two ends tell each other; front-pages.c grants the pages of rings and requests;
 * front-request.c lays the data of a request out in its pages; front-io.c puts requests on the
 * rings and judges the answers.
 */
#ifndef TAP_FRONT_INNER_H
#define TAP_FRONT_INNER_H

#include <xengnttab.h>

#include "channel.h"
#include "front.h"
#include "xenbus.h"

/** A page that is granted to the backend. */
struct front_page {
	void *at;
	uint32_t ref;
};

/** A request on a ring, and the pages it uses. */
struct front_slot {
	uint64_t id;
	bool busy;
	struct front_op *op; /* NULL: free, or forgotten by its owner */
	uint8_t operation;   /* what its answer must carry */
	void *data;	     /* the part of op->data that is its */
	uint64_t length_bytes;
	unsigned n_segments;		 /* each in a page of its own */
	unsigned n_tables;		 /* pages that hold segments, of an indirect request */
	struct request_segment *segment; /* room for max_segments */
	struct front_page *page;	 /* n_segments of data, then n_tables; room for all */
};

/** One queue: a ring, its port, its requests and pages. */
struct front_ring {
	struct ring ring;
	uint32_t refs[1u << RING_ORDER_MAX];
	struct channel *channel;
	struct front_slot *slots;
	struct front_slot **free_slots;
	unsigned n_free;
	struct request_segment *segments; /* of all slots */
	struct front_page *pages;	  /* of all slots */
	unsigned barriers;		  /* on the ring */

	unsigned budget_pages, free_pages; /* for requests: at most, and left */
	void *pool;			   /* without fresh grants: budget_pages, granted */
	struct front_page *pool_pages;	   /* the first free_pages of them are free */

	struct front_op *queue, **queue_tail; /* not yet wholly on the ring */
};

struct front {
	struct front_options options;
	struct front_facts facts;
	uint32_t vdev;
	struct store *store;
	char dir[STORE_PATH_MAX]; /* our own directory in XenStore */
	xengntshr_handle *gntshr;
	int poll_fd; /* epoll over channels and store */

	struct front_ring rings[FRONT_QUEUES_MAX]; /* facts.queues of them */
	unsigned next_ring;			   /* gets the next operation */
	uint64_t serial;     /* makes ids differ between queues, and between uses of one slot */
	unsigned pages_held; /* that the backend would not let go */

	struct front_op *done, **done_tail;

	bool connected, closing, resized;
	bool store_lost; /* XenStore went away after connected: nothing is heard of it any more */
	bool changed;	 /* front_poll() has something to say beside finished operations */
	int broken;	 /* negative errno once the front is at its end */
	struct err why;
};

/** The front is at its end: remember why. Returns @ret. */
int front_break(struct front *front, int ret, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/** When what begins now has to be done. */
uint64_t front_deadline(const struct front *front);

/** Where the disk is in XenStore. */
int front_find(struct front *front, struct err *e);
/** Close what a predecessor left, then wait for a backend that is ready to connect. */
int front_invite(struct front *front, struct err *e);
/** Go through the states to Connected and read the facts. Undone by front_disconnect(). */
int front_connect(struct front *front, struct err *e);
/** Go through the states to Closed. front_rewind() follows when the ring is taken back. */
int front_disconnect(struct front *front, struct err *e);
void front_rewind(struct front *front);
/** XenStore has news: look at the backend's state. 0 or what ended the front. */
int front_look(struct front *front);
/** Wait for channel, store or wake descriptor. 0, -ETIMEDOUT, -EINTR. */
int front_wait(struct front *front, uint64_t deadline_ns);

/** How many queues, pages and segments there will be: the options against what the backend offers.
 */
int front_agree(struct front *front, struct err *e);
/** Tell the backend of the rings, and take that back. */
int front_nodes_write(struct front *front);
void front_nodes_remove(struct front *front);
/** What the disk is. */
int front_facts_read(struct front *front, struct err *e);

/** Share the rings and, without fresh grants, the pools; all as seen by the backend's domain. */
int front_pages_open(struct front *front, struct err *e);
/** Take everything back; front->pages_held counts what the backend still maps. */
void front_pages_close(struct front *front);
/** Give a slot the pages for its segments and tables: -EAGAIN when answers have to come first. */
int front_pages_take(struct front *front, struct front_ring *ring, struct front_slot *slot);
/** Take them back: -EBUSY when the backend still maps them. */
int front_pages_give(struct front *front, struct front_ring *ring, struct front_slot *slot);

/** Does @op carry data? Does it name a part of the disk? */
bool front_op_has_data(const struct front_op *op);
bool front_op_has_extent(const struct front_op *op);
/** What of @op goes into its next request: fills length, segments (without grefs), tables. */
void front_request_plan(const struct front *front, const struct front_op *op,
			struct front_slot *slot);
/** The request itself, once @slot has its pages: segments and data are in them afterwards. */
void front_request_make(const struct front *front, const struct front_op *op,
			struct front_slot *slot, struct request *request);
/** Data that was read, out of the pages. */
void front_request_fetch(struct front_slot *slot);

/** Forget all, wait for what is on the rings. */
int front_drain(struct front *front, uint64_t deadline_ns);

#endif
