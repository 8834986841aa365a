/* SPDX-License-Identifier: MIT */
/*
 * front - a block frontend in user space, over xengntshr, xenevtchn and XenStore: the guest's end,
 * in the simulator or in a real guest (gntalloc).
 *
 * One ring page, direct segments; room for queues and indirect segments. Not thread-safe: one front
 * is used by one thread. Requests are asynchronous: front_submit() many, front_poll() collects.
 *
 * It judges the backend as Linux' blkfront does (protocol.md 10): an answer beyond what was asked,
 * to an id that is not pending, or with a wrong operation is -EPROTO and the end of the front; so
 * is a page that is still mapped when its answer arrives, where FRONT_FRESH_GRANTS makes that
 * visible.
 */
#ifndef TAP_FRONT_H
#define TAP_FRONT_H

#include <stdbool.h>
#include <stdint.h>

#include "msg.h"
#include "request.h"
#include "ring.h"
#include "store.h"

struct front;

struct front_options {
	enum ring_abi abi;
	uint64_t timeout_ns;   /* for the connection; UINT64_MAX waits for ever */
	bool fresh_grants;     /* grant anew for every request and end the grant at its answer */
	bool read_only_grants; /* grant pages of writes read-only, as Linux does (default for fresh
				  grants) */
};

/** What the backend offers, as read from XenStore when it became Connected. */
struct front_facts {
	uint64_t sectors; /* 512-byte units */
	uint32_t sector_bytes, physical_sector_bytes;
	uint32_t info; /* VDISK_* */
	bool read_only, flush, barrier, discard, persistent;
	uint32_t max_segments, max_indirect_segments, max_queues, max_ring_order;
	char backend[STORE_PATH_MAX];
};

/**
 * Connect to the disk @vdev of the domain this process is in: grant a ring, offer a port, write the
 * nodes, go through the states until both ends are Connected. Errors: exit 3 (no such disk in this
 * domain), 5 (backend does not come; its state named), 9.
 */
int front_open(struct front **out, uint32_t vdev, const struct front_options *options,
	       struct err *e);

/** Close as a guest does: Closing, Closed, wait for the backend, take grants and port back. @e may
 * be NULL. */
int front_close(struct front *front, struct err *e);

const struct front_facts *front_facts(const struct front *front);

/** One operation. Split by the front where it is larger than a request can be. */
struct front_op {
	enum request_operation operation;
	uint64_t offset_bytes, length_bytes; /* multiples of 512 */
	void *data;  /* to be written, or room for what is read; copied through granted pages */
	void *owner; /* the caller's own */
	int result;  /* out: 0, -EIO, -EOPNOTSUPP, ... */
	struct front_op *next;
	uint32_t pending; /* private */
};

/**
 * Queue an operation; it reaches the ring as soon as slots are free. Requests queued since the last
 * front_poll() or front_kick() are pushed together. 0, -EINVAL (alignment, out of the disk) or
 * -EPROTO.
 */
int front_submit(struct front *front, struct front_op *op);
/** Push what is queued, with at most one notify. */
int front_kick(struct front *front);

/**
 * Push, then wait until something finished or @deadline_ns passed. *done is a list of finished
 * operations (may be empty). 0, -ETIMEDOUT, -EPROTO (the backend misbehaved: @e says how),
 * -ECONNRESET (the backend went away).
 */
int front_poll(struct front *front, uint64_t deadline_ns, struct front_op **done, struct err *e);

/** Descriptor that is readable when front_poll() has something to look at. */
int front_fd(const struct front *front);

/** Do one operation and wait for it. */
int front_do(struct front *front, enum request_operation operation, uint64_t offset_bytes,
	     void *data, uint64_t length_bytes, struct err *e);

/** The backend said that `sectors` changed: facts are read anew (true once per change). */
bool front_resized(struct front *front);

#endif
