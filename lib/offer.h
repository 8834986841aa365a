/* SPDX-License-Identifier: MIT */
/*
 * offer - what a frontend published in XenStore: its rings, its ports, its ABI.
 *
 * All of it was written by the guest. Every number is bounded here; whether it is within what the
 * backend offered is the backend's to say.
 */
#ifndef TAP_OFFER_H
#define TAP_OFFER_H

#include <stdint.h>

#include "msg.h"
#include "ring.h"
#include "stats.h"
#include "store.h"
#include "xenbus.h"

/** One queue. */
struct front_queue {
	uint32_t ring_refs[1u << RING_ORDER_MAX];
	uint32_t port;
};

struct front_offer {
	enum ring_abi abi;
	unsigned ring_order;
	unsigned queues; /* 0: the frontend has not published a ring */
	bool persistent; /* feature-persistent: its grants stay the same */
	struct front_queue queue[STATS_QUEUES];
};

/**
 * Read a frontend's nodes: protocol, ring-page-order (or the older num-ring-pages, protocol.md 6),
 * multi-queue-num-queues, ring-ref and event-channel of each queue, feature-persistent.
 *
 * Without a ring-ref at all: 0, and out->queues is 0. What is malformed or half there is -EPROTO
 * (exit 1), out->queues is 0 and @e names the node. A missing protocol means native to QEMU's
 * qdisk, and x86_32 to Linux' backend and to us (protocol.md 2).
 */
int offer_read(struct store *store, xs_transaction_t tx, const struct disk *disk,
	       struct front_offer *out, struct err *e);

#endif
