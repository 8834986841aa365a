/* SPDX-License-Identifier: MIT */
/*
 * front - a block frontend in user space, over xengntshr, xenevtchn and XenStore: the guest's end,
 * in the simulator or in a real guest (gntalloc).
 *
 * Several queues, each with a ring of up to 16 pages and a port of its own; operations go to them
 * in turn. Requests of up to 256 segments through indirect pages. Not thread-safe: one front is
 * used by one thread. Requests are asynchronous: front_submit() many, front_poll() collects.
 *
 * It judges the backend as Linux' blkfront does (protocol.md 10): an answer beyond what was asked,
 * to an id that is not pending on its queue, or with a wrong operation is -EPROTO and the end of
 * the front; so is a page that is still mapped when its answer arrives, where fresh grants make
 * that visible, and an answer that overtook a barrier of the same queue, or was overtaken by it.
 */
#ifndef TAP_FRONT_H
#define TAP_FRONT_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

#include "msg.h"
#include "request.h"
#include "ring.h"
#include "store.h"

struct front;

#define FRONT_QUEUES_MAX 16u
#define FRONT_MAX	 UINT_MAX /* as much as the backend offers, and a front can do */

/** How a front goes through the states. */
enum front_manner {
	FRONT_LINUX, /* waits for InitWait, Initialised, Connected */
	FRONT_UEFI,  /* straight to Connected, without waiting for InitWait (protocol.md 18) */
	FRONT_BOOT,  /* stays at Initialised, and goes away without closing (protocol.md 19): the
			next  frontend closes in its name */
};

struct front_options {
	enum ring_abi abi;
	enum front_manner manner;
	unsigned queues;	    /* 1 to FRONT_QUEUES_MAX, FRONT_MAX; 0 means 1 */
	unsigned ring_order;	    /* 2^order pages a ring: 0 to RING_ORDER_MAX, FRONT_MAX */
	unsigned indirect_segments; /* of one request: 0 to REQUEST_SEGMENTS_MAX, FRONT_MAX. What
				       a direct request can carry is sent as one */
	bool ring_pages;	    /* tell the ring's size as num-ring-pages (protocol.md 6) */
	bool scatter;		    /* segments of 1 to 8 sectors, anywhere in their pages */
	uint64_t timeout_ns;	    /* for connecting and closing; UINT64_MAX waits for ever */
	bool fresh_grants; /* grant anew for every request (pages of a write read-only, as Linux
			      does) and end the grant at its answer; else a pool stays granted */
	bool persistent;   /* say feature-persistent: that pool may stay mapped, too. Not with
			      fresh_grants */
	int wake_fd;	   /* ends every wait with -EINTR while it is readable; -1 for none */
};

/** What the backend offers, as read from XenStore until it became Connected. */
struct front_facts {
	uint64_t sectors; /* 512-byte units */
	uint32_t sector_bytes, physical_sector_bytes;
	uint32_t info; /* VDISK_* */
	bool read_only, flush, barrier, discard, persistent;
	bool discard_secure;
	uint32_t discard_granularity_bytes, discard_alignment_bytes; /* 0: not said */
	uint32_t max_indirect_segments, max_queues, max_ring_order;
	uint32_t backend_domid;
	/** What this front uses of it. */
	uint32_t queues, ring_order, slots; /* slots: of one ring */
	uint32_t max_segments;		    /* of one read or write */
	char backend[STORE_PATH_MAX];
};

/**
 * The number of a disk typed as [DOM/]VDEV. A DOM must be the domain this process is in, since that
 * is whose end a frontend is: else exit 3. Errors: 2 (syntax), 3, 6 (no XenStore).
 */
int front_address(const char *text, uint32_t *vdev, struct err *e);

/**
 * Connect to the disk @vdev of the domain this process is in: grant a ring, offer a port, write the
 * nodes, go through the states until both ends are Connected. What a killed predecessor left is
 * closed first. Errors: exit 2 (more asked for than the backend offers), 3 (no such disk in this
 * domain), 4 (it is being detached), 5 (backend does not come; its state named), 6, 9; -EINTR by
 * the wake descriptor.
 */
int front_open(struct front **out, uint32_t vdev, const struct front_options *options,
	       struct err *e);

/**
 * Close as a guest does: finish what is on the ring, Closing, Closed, wait for the backend, take
 * grants and port back; then Initialising, so that the next frontend can come (protocol.md 18),
 * unless the backend wants the disk closed for good. Errors: what ended the front, if anything did;
 * 5, 9. All is freed whatever is returned. Operations
 * not finished by then are forgotten as by front_forget(). @e may be NULL; so may @front.
 */
int front_close(struct front *front, struct err *e);

const struct front_facts *front_facts(const struct front *front);

/** One operation. Split by the front where it is larger than a request can be. */
struct front_op {
	/** READ and WRITE carry data. FLUSH_DISKCACHE and WRITE_BARRIER do where there is a length,
	 * and then are writes as well. DISCARD has offset and length alone. */
	enum request_operation operation;
	uint64_t offset_bytes, length_bytes; /* multiples of the disk's sector size */
	void *data;  /* to be written, or room for what is read; copied through granted pages */
	void *owner; /* the caller's own */
	uint8_t page_offset_sectors; /* 0-7: where in its first page the data begins */
	bool secure;		     /* of a discard */
	int result;		     /* out: 0, -EIO, -EOPNOTSUPP */
	struct front_op *next;

	/* Private to the front. */
	uint64_t issued_bytes;
	uint32_t pending;
};

/**
 * Queue an operation; it reaches the ring as soon as slots are free. Requests queued since the last
 * front_poll() or front_kick() are pushed together. 0, -EINVAL (alignment, nothing to do),
 * -ERANGE (outside the disk) or what ended the front.
 */
int front_submit(struct front *front, struct front_op *op);
/** Push what is queued, with at most one notify. */
int front_kick(struct front *front);

/**
 * Push, then wait until something finished or @deadline_ns passed. *done is a list of finished
 * operations, oldest first; it may be empty when something else changed (front_closing(),
 * front_resized()). 0, -ETIMEDOUT, -EINTR (the wake descriptor), -EPROTO (the backend misbehaved:
 * @e says how), -ECONNRESET (the backend went away). After the last two each call fails the same.
 */
int front_poll(struct front *front, uint64_t deadline_ns, struct front_op **done, struct err *e);

/**
 * Descriptor that is readable when front_poll() has something to look at. Valid to wait for once
 * front_poll() has said -ETIMEDOUT.
 */
int front_fd(const struct front *front);

/**
 * Let go of every operation that is not finished: its memory is the caller's again at once. What is
 * on the ring already is still done by the backend, and waited for by front_close().
 */
void front_forget(struct front *front);

/** Do one operation, with nothing else submitted, and wait until @op->result is there. */
int front_do(struct front *front, struct front_op *op, struct err *e);

/** The backend said that `sectors` changed: facts are read anew (true once per change). */
bool front_resized(struct front *front);

/** The backend asks for the disk back (Closing); it waits until the front is closed. */
bool front_closing(const struct front *front);

#endif
