/* SPDX-License-Identifier: MIT */
/*
 * grants - how many grant references a disk may take of its guest, and how many the guest has.
 *
 * A guest grants a ring's pages as long as it is connected, and for each request on the ring the
 * pages of its segments and those that list them. Its table has an end (max_grant_frames of the
 * domain), which all its devices share; a guest that comes to it waits, or fails.
 */
#ifndef TAP_GRANTS_H
#define TAP_GRANTS_H

#include <stdbool.h>
#include <stdint.h>

#include "store.h"
#include "xenbus.h"

/** What a disk is attached with: its frontend may not go beyond. GRANTS_NO_CAP: what tap-serve
 * has. */
#define GRANTS_NO_CAP UINT32_MAX
struct grants_caps {
	uint32_t max_queues, max_ring_order, max_segments;
};
extern const struct grants_caps grants_no_caps;

struct grants_estimate {
	/**
	 * Of the disk: where a cap is given a frontend is taken to use all of it, elsewhere what
	 * Linux does unless told otherwise: 4 queues of one page, 32 segments.
	 */
	uint64_t disk;
	uint64_t disk_most; /* a frontend that takes all that is offered */
	unsigned others;    /* further disks that the guest has of this domain ... */
	uint64_t total;	    /* ... and what all of them may need */
	uint64_t limit;	    /* of the guest */
	bool limit_known;   /* Xen said so; otherwise it is Xen's default */
};

/** What a disk with these caps may need, @most: of a frontend that takes all. */
uint64_t grants_of(const struct grants_caps *caps, bool most);

/** For @disk, attached with @caps or about to be. 0 or a negative errno. */
int grants_estimate(struct store *store, const struct disk *disk, const struct grants_caps *caps,
		    struct grants_estimate *out);

/** Is it close to the guest's limit, or beyond? From three quarters on: a guest has network
 * interfaces, too. */
bool grants_are_scarce(const struct grants_estimate *estimate);

/** How many grants a domain can have, asked of Xen. A negative errno where it cannot be asked: no
 * Xen here (the simulator), or not permitted. */
int64_t grants_limit(uint32_t domid);

#endif
