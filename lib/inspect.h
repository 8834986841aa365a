/* SPDX-License-Identifier: MIT */
/*
 * inspect - a disk seen from outside, whoever serves it: its XenStore nodes and its server.
 *
 * What it has granted is looked at by ring-copy.h.
 */
#ifndef TAP_INSPECT_H
#define TAP_INSPECT_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "msg.h"
#include "offer.h"
#include "ring.h"
#include "stats.h"
#include "store.h"
#include "xenbus.h"

/** What XenStore says of a disk. Texts are printable. */
struct inspection {
	struct disk disk;
	enum xenbus_state backend_state, frontend_state;
	char backend_error[STORE_VALUE_MAX], frontend_error[STORE_VALUE_MAX];
	char image[STORE_VALUE_MAX]; /* params */
	char mode;		     /* 'r', 'w', or 0 when unknown */
	uint64_t sectors;	     /* 0 when not known (yet) */
	uint32_t sector_bytes;
	struct front_offer offer;
	pid_t server;	/* live tap-serve, or 0 */
	bool has_stats; /* also those that a server left behind */
	struct stats_file stats;
};

/**
 * Read a disk's nodes and stat file. Numbers that the guest wrote are bounded; what is malformed is
 * -EPROTO with @e (exit 1) naming the node. Also with -EPROTO everything but the ring (queues 0) is
 * filled in.
 */
int inspect_disk(struct store *store, const struct disk *disk, struct inspection *out,
		 struct err *e);

#endif
