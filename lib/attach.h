/* SPDX-License-Identifier: MIT */
/*
 * attach - the toolstack's half of a disk: what `tap-attach` writes, watches and removes.
 *
 * Nodes and permissions are libxl's: the backend's directory belongs to the backend's domain and
 * the guest may read it; the frontend's belongs to the guest and the backend's domain may read it.
 * All writes of an attach are one transaction, so that a killed tap-attach leaves all of it or
 * nothing.
 */
#ifndef TAP_ATTACH_H
#define TAP_ATTACH_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "image.h"
#include "msg.h"
#include "store.h"
#include "xenbus.h"

/** Nodes of the backend's directory that are ours, beside the protocol's own. */
#define NODE_IMAGE     "params"		    /* ENGINE:REST */
#define NODE_SHARED    "taptools-shared"    /* "1": other writers are wanted */
#define NODE_ATTACHING "taptools-attaching" /* PID:STARTTIME of a tap-attach --wait not yet done \
					     */

struct attach_request {
	uint32_t domid;
	bool pick_vdev; /* the next free xvd */
	uint32_t vdev;
	const char *image; /* spec */
	struct image_options options;
	const char *kind;
	const char *device_type; /* "disk" or "cdrom" */
	bool attaching;		 /* leave NODE_ATTACHING until attach_settle() */
};

/**
 * Check everything (domain, image, image's other users, vdev free), then write. With @dry_run,
 * print the writes in order on it instead: "write PATH = VALUE" and "permit PATH owner N, reader
 * M". Errors: 3, 4 (disk exists; image in use: by which disk or process), 7.
 */
int attach_disk(struct store *store, const struct attach_request *request, FILE *dry_run,
		struct disk *out, struct err *e);

/** One line per step, for -v and for what is printed when it fails: "web1/xvda: backend
 * InitWait(2), frontend Initialising(1)". */
typedef void attach_step_fn(void *opaque, const char *text);

/**
 * Wait until both ends are Connected, then remove NODE_ATTACHING. At the deadline or when an end
 * fails: undo the attach and explain (states, error nodes, whether a server runs). Errors: 5, 7,
 * ...
 */
int attach_settle(struct store *store, const struct disk *disk, uint64_t deadline_ns,
		  attach_step_fn *step, void *opaque, struct err *e);

struct detach_options {
	uint64_t deadline_ns;
	bool force; /* do not wait: remove now; what is in flight is lost */
	FILE *dry_run;
	attach_step_fn *step;
	void *opaque;
};

/**
 * online = 0, state = Closing; wait until both ends are Closed; only then remove the nodes of both
 * ends in one transaction (nothing is removed before: it corrupts rings). Errors: 4 the guest holds
 * it, 5 timed out.
 */
int detach_disk(struct store *store, const struct disk *disk, const struct detach_options *options,
		struct err *e);

/** Ask the server for a new look at the image's size; grow the file to @size_bytes first unless 0.
 * 8 for shrinking. */
int attach_resize(struct store *store, const struct disk *disk, uint64_t size_bytes,
		  uint64_t deadline_ns, uint64_t *sectors, struct err *e);

/** Why a disk, or half of one, is stale. */
enum stale_reason {
	STALE_NOT = 0,
	STALE_DOMAIN_GONE,   /* backend nodes of a domain that is no more */
	STALE_NO_FRONTEND,   /* backend without its frontend */
	STALE_NO_BACKEND,    /* frontend whose backend, in this domain, is missing */
	STALE_HALF_ATTACHED, /* its tap-attach --wait died */
	STALE_CLOSED,	     /* both ends Closed and nobody serves it */
	STALE_RING_GONE,     /* nobody serves it and the frontend's ring is no longer granted */
	STALE_RUNDIR,	     /* run-time folder of a disk that is no more, without a live server */
};
const char *stale_reason_text(enum stale_reason reason);

struct stale {
	enum stale_reason reason;
	struct disk disk;	   /* whatever is known */
	char path[STORE_PATH_MAX]; /* what would be removed: a node or a folder */
};

/** Find stale disks of @kind. Calls @each for every one; stops at its first non-zero return. */
int stale_each(struct store *store, const char *kind,
	       int (*each)(const struct stale *stale, void *opaque), void *opaque);
/** Remove one, after a second look inside a transaction. @dry_run prints the removals instead. */
int stale_remove(struct store *store, const struct stale *stale, FILE *dry_run, struct err *e);

#endif
