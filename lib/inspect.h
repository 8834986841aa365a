/* SPDX-License-Identifier: MIT */
/*
 * inspect - a disk seen from outside, whoever serves it: its XenStore nodes, its ring, its grants.
 *
 * The ring pages are mapped a second time, read-only, copied and unmapped at once: a frontend
 * cannot end a grant that is still mapped.
 */
#ifndef TAP_INSPECT_H
#define TAP_INSPECT_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "msg.h"
#include "ring.h"
#include "stats.h"
#include "store.h"
#include "xenbus.h"

#define INSPECT_RING_BYTES_MAX (RING_PAGE_BYTES << RING_ORDER_MAX)

/** What XenStore says of a disk. */
struct inspection {
	struct disk disk;
	enum xenbus_state backend_state, frontend_state;
	char backend_error[STORE_VALUE_MAX], frontend_error[STORE_VALUE_MAX];
	char image[STORE_VALUE_MAX]; /* params */
	char mode;		     /* 'r' or 'w' */
	uint64_t sectors;
	uint32_t sector_bytes;
	enum ring_abi abi;
	unsigned ring_order;
	unsigned queues; /* 0: the frontend has not published a ring */
	struct {
		uint32_t ring_refs[1u << RING_ORDER_MAX];
		uint32_t port;
	} queue[STATS_QUEUES];
	pid_t server; /* live tap-serve, or 0 */
	bool has_stats;
	struct stats_file stats;
};

/** Read a disk's nodes and stat file. Guest-written numbers are bounded; what is malformed is
 * -EPROTO with @e. */
int inspect_disk(struct store *store, const struct disk *disk, struct inspection *out,
		 struct err *e);

/** A copy of one ring, and what is known beside it. Free bytes with free(). */
struct ring_copy {
	char disk[ADDRESS_MAX]; /* printable */
	unsigned queue;
	enum ring_abi abi;
	unsigned order;
	uint64_t taken_ns; /* CLOCK_MONOTONIC */
	bool has_private;  /* the server's own indices are known (tap-serve's stat file) */
	uint32_t req_cons, rsp_prod_pvt;
	uint64_t oldest_age_ns; /* age of the oldest request in flight, 0 when unknown or none */
	uint8_t *bytes;		/* RING_PAGE_BYTES << order */
	struct ring ring;	/* set up over bytes */
};

/** Map, copy, unmap the ring of one queue. Exit 3 when the frontend has no ring, 6 when the map is
 * denied. */
int inspect_ring(const struct inspection *inspection, unsigned queue, struct ring_copy *out,
		 struct err *e);

/**
 * A ring copy as a file: a text header (`taptools-ring 1`, then KEY VALUE lines, then an empty
 * line) and the pages. Written by tap-map --dump, read by tap-ring. The reader takes nothing on
 * trust: exit 2 or 3 with the line that is wrong.
 */
int ring_copy_write(const struct ring_copy *copy, FILE *to);
int ring_copy_read(struct ring_copy *out, FILE *from, const char *name, struct err *e);

#endif
