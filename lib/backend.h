/* SPDX-License-Identifier: MIT */
/*
 * backend - one device being served: what it offers, the states of xenbus, connect and disconnect.
 *
 * A backend reacts to its own directory (the toolstack: state, online, removal) and to the
 *frontend's state. It never trusts that the frontend follows the usual order: each step looks at
 *both states as they are and does what is due, and every step may be repeated (XSA-350).
 *
 *	frontend		what the backend does
 *	Initialising		offers its features, InitWait (again after Closed, while online)
 *	Initialised, Connected	reads ring-ref, event-channel, protocol; maps; Connected
 *	Closing			Closing; the ring is served until Closed, since it may be in use
 *	Closed, gone		drains, disconnects, Closed
 *
 * Stopping the server is not the end of the disk: backend_stop() drains and leaves the state at
 *Connected, and the next server goes on where this one was (protocol.md 15).
 */
#ifndef TAP_BACKEND_H
#define TAP_BACKEND_H

#include <stdbool.h>
#include <stdint.h>

#include "data-path.h"
#include "image.h"
#include "loop.h"
#include "store.h"
#include "xenbus.h"

struct backend;
struct accounts;

/** What all backends of a server share. The server fills it and keeps it for as long as they live.
 */
struct backend_host {
	struct store *store;
	struct loop *loop; /* of the control thread */
	struct accounts *accounts;
	struct loop *(*pick_loop)(void *opaque); /* where the next queue is to be served */
	const struct log *log;
	enum data_path data_path;
	unsigned keep_pages;   /* persistent: of each queue */
	uint64_t keep_idle_ns; /* persistent */
	bool buffered;	       /* do not try O_DIRECT */
	/** Some backend ended: see backend_has_ended(). The receiver calls backend_close(), but not
	 * from here. */
	void (*ended)(void *opaque);
	void *opaque;
};

/**
 * Claim the disk, open its image, offer it: state InitWait, or, where the frontend is connected
 * already, resume its ring. @token is what the watches of this backend carry. On failure nothing is
 * held, the reason is in @e and in XenStore's error node. Errors: 4 served already (with the pid),
 * 7 image, 8 the last server died with requests in flight, so that going on could lose or repeat
 * some.
 */
int backend_open(struct backend **out, const struct backend_host *host, const struct disk *disk,
		 const char *token, struct err *e);

/** A watch of this backend fired: look at both ends and do what is due. */
void backend_step(struct backend *backend);

/**
 * 0, or until when (CLOCK_MONOTONIC) backend_step() is better put off: its guest changed states
 * more than is its part. See account.h.
 */
uint64_t backend_rests_until(const struct backend *backend);

/** host.store is a new connection: set the watches again, in it. backend_step() is to follow. */
int backend_rewatch(struct backend *backend);

/** Stop serving; host.ended is called when everything consumed is answered. The state stays as it
 * is. */
void backend_stop(struct backend *backend);

/**
 * Is the device done with? Its nodes are gone, or it is Closed and no longer online, or
 * backend_stop() has finished.
 */
bool backend_has_ended(const struct backend *backend);

/** Give everything back. Only once backend_has_ended(). */
void backend_close(struct backend *backend);

const struct disk *backend_disk(const struct backend *backend);

#endif
