/* SPDX-License-Identifier: MIT */
/*
 * backend-nodes - the XenStore nodes a backend reads and writes: what the toolstack asks for, what
 * the frontend offers, what the backend tells.
 */
#ifndef TAP_BACKEND_NODES_H
#define TAP_BACKEND_NODES_H

#include <stdbool.h>
#include <stdint.h>

#include "data-path.h"
#include "image.h"
#include "offer.h"
#include "store.h"
#include "xenbus.h"

/** What is offered to a frontend, at most. */
struct backend_caps {
	unsigned max_queues;
	unsigned max_ring_order;
	unsigned max_indirect_segments; /* 0: none */
};

/** What the toolstack put into the backend's directory. */
struct backend_config {
	char image[STORE_VALUE_MAX]; /* params */
	bool read_only, shared, cdrom, removable, direct_io_safe;
	bool discard;	       /* discard-enable: not 0 */
	uint32_t sector_bytes; /* 512 or 4096 */
	struct backend_caps caps;
};

/** -ENOENT (exit 3) without `params`; -EINVAL (exit 9) for a `mode` that is neither r nor w, and
 * for a number of ours that is none. */
int backend_config_read(struct store *store, const struct disk *disk, struct backend_config *out,
			struct err *e);

/** Read the frontend's offer (offer.h) and hold it against the caps: -EPROTO beyond them or without
 * a ring. */
int backend_offer_read(struct store *store, const struct disk *disk,
		       const struct backend_caps *caps, struct front_offer *out, struct err *e);

/** The node `online`; one that is missing or holds anything else means no. 0, or a negative errno
 * when XenStore did not answer. */
int backend_read_online(struct store *store, const struct disk *disk, bool *out);

/** Before InitWait: the features. 0 or a negative errno. */
int backend_publish_features(struct store *store, const struct disk *disk,
			     const struct backend_config *config, const struct image_facts *image,
			     enum data_path data_path);

/** Is feature-persistent offered, by us or by an earlier server? */
bool backend_offered_persistent(struct store *store, const struct disk *disk);

/** sectors, sector-size, info and state Connected, in one transaction. */
int backend_publish_connected(struct store *store, const struct disk *disk,
			      const struct backend_config *config, const struct image_facts *image);

/**
 * sectors, where the guest was told of fewer (a connected disk never shrinks), and a state that is
 * Connected once more, which is the frontend's signal (protocol.md 14).
 */
int backend_publish_size(struct store *store, const struct disk *disk, uint64_t sectors);

#endif
