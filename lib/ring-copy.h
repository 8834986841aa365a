/* SPDX-License-Identifier: MIT */
/*
 * ring-copy - one ring as it was at one moment, and the pages that a disk's frontend has granted.
 *
 * Pages are mapped a second time, read-only, copied and unmapped at once: a frontend cannot end a
 * grant that is still mapped.
 */
#ifndef TAP_RING_COPY_H
#define TAP_RING_COPY_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "address.h"
#include "inspect.h"
#include "msg.h"
#include "ring.h"

/** A copy of one ring, and what is known beside it. End it with ring_copy_free(). */
struct ring_copy {
	char disk[ADDRESS_MAX]; /* printable; empty when a file does not tell */
	unsigned queue;
	enum ring_abi abi;
	unsigned order;
	uint64_t taken_ns; /* CLOCK_MONOTONIC; 0 when a file does not tell */
	bool has_private;  /* the server's own indices are known (tap-serve's stat file) */
	uint32_t req_cons, rsp_prod_pvt;
	uint32_t stopped;	/* why the server stopped it: see stats.h. 0 when it did not */
	uint64_t oldest_age_ns; /* age of the oldest request in flight, 0 when unknown or none */
	uint8_t *bytes;		/* RING_PAGE_BYTES << order */
	struct ring ring;	/* set up over bytes */
};

/**
 * Map, copy, unmap the ring of one queue. The copy is of one moment: no response was published
 * while it was taken. Errors: exit 3 when the frontend has no such ring or has it no longer
 * granted, 6 when mapping is not permitted or there is no Xen.
 */
int ring_copy_take(const struct inspection *inspection, unsigned queue, struct ring_copy *out,
		   struct err *e);

/** Free what a copy holds. A zeroed copy is fine. */
void ring_copy_free(struct ring_copy *copy);

/** Copy one page that domain @domid granted to this one. Errors as ring_copy_take(). */
int page_copy_take(uint32_t domid, uint32_t gref, uint8_t out[static RING_PAGE_BYTES],
		   struct err *e);

/**
 * A ring copy as a file: a text header (`taptools-ring 1`, then KEY VALUE lines, then an empty
 * line) and the pages. Written by tap-map --dump, read by tap-ring. 0 or a negative errno.
 */
int ring_copy_write(const struct ring_copy *copy, FILE *to);

/**
 * Read such a file. Takes nothing on trust: -EINVAL with exit 2 and the line that is wrong, or what
 * else is (too short, too long). @name stands for the file in messages.
 */
int ring_copy_read(struct ring_copy *out, FILE *from, const char *name, struct err *e);

#endif
