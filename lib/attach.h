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
#include <sys/types.h>

#include "grants.h"
#include "image.h"
#include "msg.h"
#include "plan.h"
#include "store.h"
#include "xenbus.h"

/** Nodes of the backend's directory that are ours, beside the protocol's own. */
#define NODE_IMAGE	    "params"	      /* ENGINE:REST */
#define NODE_SHARED	    "taptools-shared" /* "1": other writers are wanted */
#define NODE_MAX_QUEUES	    "taptools-max-queues"
#define NODE_MAX_RING_ORDER "taptools-max-ring-order"
#define NODE_MAX_SEGMENTS   "taptools-max-segments"
#define NODE_SECTOR_SIZE    "taptools-sector-size" /* "4096": what the guest is told; else 512 */
#define NODE_ATTACHING \
	"taptools-attaching" /* a tap-attach --wait not yet done: see waiter_name() */

struct attach_request {
	uint32_t domid;
	bool pick_vdev; /* the next free xvd */
	uint32_t vdev;
	const char *image; /* spec */
	struct image_options options;
	const char *kind;
	const char *device_type; /* "disk" or "cdrom"; a cdrom is removable, and to be read-only */
	bool removable;
	bool no_discard; /* do not offer it; else it is offered where the image can */
	struct grants_caps caps;
	bool attaching; /* leave NODE_ATTACHING until attach_settle() */
};

/**
 * Check everything (domain, image, image's other users, vdev free), then write. With @dry_run,
 * print the writes in order on it instead (plan_print()). Errors: 3, 4 (disk exists; image in use:
 * by which disk or process), 7.
 */
int attach_disk(struct store *store, const struct attach_request *request, FILE *dry_run,
		struct disk *out, struct err *e);

/** One line per step, for -v: "backend InitWait(2), frontend Initialising(1)". */
typedef void attach_step_fn(void *opaque, const char *text);

/**
 * Wait until both ends are Connected, then remove NODE_ATTACHING. At the deadline, when an end
 * fails or at an interrupt (store_set_interrupt()): undo the attach and explain (states, error
 * nodes, whether a server runs). Errors: 5, 7, 9.
 */
int attach_settle(struct store *store, const struct disk *disk, uint64_t deadline_ns,
		  attach_step_fn *step, void *opaque, struct err *e);

/* --- detach.c --- */

struct detach_options {
	uint64_t deadline_ns;
	bool force; /* do not wait: remove now; what is in flight is lost */
	FILE *dry_run;
	attach_step_fn *step;
	void *opaque;
};

/**
 * online = 0, state = Closing; wait until both ends are Closed; only then remove the nodes of both
 * ends in one transaction (nothing is removed before: it corrupts rings). Where nobody serves the
 * disk and its frontend has no ring, nobody maps anything, and it is removed at once; so it is when
 * the frontend's ring is no longer granted. At the deadline the request stays: the server and the
 * guest finish it, or the next call does.
 *
 * Errors: 4 the guest holds it, or another toolstack's disk; 5 timed out; 8 nobody serves it while
 * the guest's end is connected.
 */
int detach_disk(struct store *store, const struct disk *disk, const struct detach_options *options,
		struct err *e);

/** What options.force would lose: one sentence. */
void detach_loss(struct store *store, const struct disk *disk, char *buf, size_t buf_bytes);

/* --- resize.c --- */

/** Ask the server for a new look at the image's size; grow the file to @size_bytes first unless 0.
 * *sectors is the size the guest now sees. 3 when nobody serves the disk, 8 for shrinking. */
int attach_resize(struct store *store, const struct disk *disk, uint64_t size_bytes,
		  uint64_t deadline_ns, uint64_t *sectors, struct err *e);

/* --- rival.c: who else uses an image --- */

/**
 * Find another disk of this domain, of any kind, that uses @image, where the two may not share it:
 * two readers may, and two that both ask for it. Compared by what the paths lead to, also through a
 * loop device. Returns -EBUSY with exit 4 naming the disk, or 0, or another negative errno.
 */
int rival_find(struct store *store, xs_transaction_t tx, const char *image,
	       const struct image_options *options, struct err *e);

/* --- waiter.c: who waits --- */

/** This process as NODE_ATTACHING names it: PID:STARTTIME, the latter since pids come again. */
int waiter_name(char buf[static 48]);
bool waiter_is_alive(const char *name);

/* --- stale.c --- */

/** Why a disk, or half of one, is stale. */
enum stale_reason {
	STALE_NOT = 0,
	STALE_DOMAIN_GONE,   /* backend nodes of a domain that is no more */
	STALE_NO_FRONTEND,   /* backend without its frontend */
	STALE_NO_BACKEND,    /* frontend whose backend, in this domain, is missing */
	STALE_HALF_ATTACHED, /* its tap-attach --wait died */
	STALE_CLOSED,	     /* both ends closed: nobody serves it, or it was to be detached */
	STALE_RING_GONE,     /* connected, but the frontend's ring is no longer granted */
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

/** Why one disk (its backend's directory is there) is stale, or STALE_NOT. */
enum stale_reason stale_reason_of(struct store *store, xs_transaction_t tx,
				  const struct disk *disk);

/**
 * Is a connected frontend's ring no longer granted? That is so when its process or kernel died
 * without closing. Maps the ring page read-only for a moment. False when it cannot be told.
 */
bool stale_ring_is_gone(struct store *store, xs_transaction_t tx, const struct disk *disk);

/* --- disk-nodes.c: what several of these know of a disk's nodes --- */

/** May the disk be served by someone tap-serve's pid file does not tell of (blkback, QEMU)? */
bool disk_has_other_server(const struct disk *disk);

/** No ring is up in this state of the frontend: it never connected, or has closed. */
bool frontend_is_at_rest(enum xenbus_state front);

/** The disk was made by libxl and is in its own records: only libxl can remove it. */
bool disk_is_libxls(struct store *store, xs_transaction_t tx, const struct disk *disk);

/** Add the removal of all of a disk's nodes: both ends, their error nodes. A frontend that
 * names another backend stays. */
void disk_plan_removal(struct store *store, xs_transaction_t tx, const struct disk *disk,
		       struct plan *plan);

/** Add the removal of the error nodes of both ends alone. */
void disk_plan_clear_errors(struct store *store, xs_transaction_t tx, const struct disk *disk,
			    struct plan *plan);

/** "backend InitWait(2), frontend Initialising(1)" */
void disk_states_text(enum xenbus_state back, enum xenbus_state front, char buf[static 96]);

#endif
