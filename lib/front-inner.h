/* SPDX-License-Identifier: MIT */
/*
 * front-inner - a front from inside. Used by lib/front*.c alone.
 *
 * front.c owns the object; front-connect.c walks the states; front-pages.c grants the pages of
 * requests; front-io.c puts requests on the ring and judges the answers.
 */
#ifndef TAP_FRONT_INNER_H
#define TAP_FRONT_INNER_H

#include <xengnttab.h>

#include "channel.h"
#include "front.h"
#include "xenbus.h"

/** A request on the ring, and the pages it uses. */
struct front_slot {
	uint64_t id;
	bool busy;
	struct front_op *op; /* NULL: free, or forgotten by its owner */
	uint8_t operation;
	void *data; /* the part of op->data that is its */
	uint64_t length_bytes;
	uint8_t page_offset_sectors;
	unsigned n_pages;
	void *pages; /* granted, contiguous */
	uint32_t refs[REQUEST_SEGMENTS_DIRECT];
};

struct front {
	struct front_options options;
	struct front_facts facts;
	uint32_t vdev;
	struct store *store;
	char dir[STORE_PATH_MAX]; /* our own directory in XenStore */
	xengntshr_handle *gntshr;
	struct channel *channel;
	int poll_fd; /* epoll over channel and store */

	struct ring ring;
	uint32_t ring_ref;
	struct front_slot *slots;
	struct front_slot **free_slots;
	unsigned n_free;
	uint64_t serial;     /* makes ids differ between uses of one slot */
	void *pool;	     /* granted pages of all slots, without fresh grants */
	unsigned pages_held; /* that the backend would not let go */

	struct front_op *queue, **queue_tail; /* not yet wholly on the ring */
	struct front_op *done, **done_tail;

	bool connected, closing, resized;
	bool changed; /* front_poll() has something to say beside finished operations */
	int broken;   /* negative errno once the front is at its end */
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

/** Share the ring and, without fresh grants, the pool; all as seen by the backend's domain. */
int front_pages_open(struct front *front, struct err *e);
/** Take everything back; front->pages_held counts what the backend still maps. */
void front_pages_close(struct front *front);
/** Give a slot its pages, and take them back: -EBUSY when the backend still maps them. */
int front_pages_take(struct front *front, struct front_slot *slot);
int front_pages_give(struct front *front, struct front_slot *slot);

/** Forget all, wait for what is on the ring. */
int front_drain(struct front *front, uint64_t deadline_ns);

#endif
