/* SPDX-License-Identifier: MIT */
/*
 * storelink - a connection to XenStore that outlives xenstored: its events in a loop, its loss,
 * noticed when it happens, and a new connection once there is somebody to connect to.
 */
#ifndef TAP_STORELINK_H
#define TAP_STORELINK_H

#include <stdbool.h>

#include "loop.h"
#include "store.h"

/** How often a XenStore that went away is looked for. There is no event for its coming. */
#define STORELINK_RETRY_NS 500000000

struct storelink {
	/* Set by the owner before storelink_open(). */
	struct loop *loop;
	/** Watch events may wait: see store_next_event(). */
	void (*ready)(void *opaque);
	/** XenStore is gone, for @why (a negative errno). Calls on the store fail from now on. */
	void (*gone)(int why, void *opaque);
	/** There is a new store, without watches yet: 0, or another is tried later. */
	int (*back)(void *opaque);
	void *opaque;

	/* To be read. */
	struct store *store;
	bool lost;

	/* Its own. */
	bool has_lifeline; /* there was one */
	struct loop_source events, lifeline, retry;
};

/** 0 or a negative errno, with the reason in @e; then there is nothing to close. */
int storelink_open(struct storelink *link, struct err *e);
void storelink_close(struct storelink *link);

/** A call on the store failed in a way that says that XenStore is gone. */
void storelink_lose(struct storelink *link, int why);

#endif
