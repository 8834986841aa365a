/* SPDX-License-Identifier: MIT */
#include "backend-nodes.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <xen/io/blkif.h>

#include "attach.h"
#include "num.h"

/* A cap that tap-attach wrote; without one, the most that there is. */
static int read_cap(struct store *store, const struct disk *disk, const char *key, unsigned min,
		    unsigned max, unsigned *out, struct err *e)
{
	uint64_t number = max;
	int ret = store_read_number(store, XBT_NULL, disk->backend, key, min, max, &number);

	if (ret && ret != -ENOENT)
		return err_set(e, -EINVAL, TAP_EXIT_SYSTEM, "node '%s' is no number from %u to %u",
			       key, min, max);
	*out = (unsigned)number;
	return 0;
}

static int read_caps(struct store *store, const struct disk *disk, struct backend_caps *caps,
		     struct err *e)
{
	int ret = read_cap(store, disk, NODE_MAX_QUEUES, 1, STATS_QUEUES, &caps->max_queues, e);

	if (!ret)
		ret = read_cap(store, disk, NODE_MAX_RING_ORDER, 0, RING_ORDER_MAX,
			       &caps->max_ring_order, e);
	if (!ret)
		ret = read_cap(store, disk, NODE_MAX_SEGMENTS, 0, REQUEST_SEGMENTS_MAX,
			       &caps->max_indirect_segments, e);
	/* No more than a direct request has anyway: then indirect ones are of no use. */
	if (caps->max_indirect_segments <= REQUEST_SEGMENTS_DIRECT)
		caps->max_indirect_segments = 0;
	return ret;
}

static int read_sector_size(struct store *store, const struct disk *disk, uint32_t *out,
			    struct err *e)
{
	uint64_t bytes = SECTOR_BYTES;
	int ret = store_read_number(store, XBT_NULL, disk->backend, NODE_SECTOR_SIZE, SECTOR_BYTES,
				    LARGE_SECTOR_BYTES, &bytes);

	if ((ret && ret != -ENOENT) || (bytes != SECTOR_BYTES && bytes != LARGE_SECTOR_BYTES))
		return err_set(e, -EINVAL, TAP_EXIT_SYSTEM, "node '%s' is neither %u nor %u",
			       NODE_SECTOR_SIZE, SECTOR_BYTES, LARGE_SECTOR_BYTES);
	*out = (uint32_t)bytes;
	return 0;
}

static bool flag_in(struct store *store, const struct disk *disk, const char *key, bool otherwise)
{
	uint64_t flag;

	if (store_read_number(store, XBT_NULL, disk->backend, key, 0, 1, &flag))
		return otherwise;
	return flag;
}

int backend_config_read(struct store *store, const struct disk *disk, struct backend_config *out,
			struct err *e)
{
	char value[STORE_VALUE_MAX];
	int ret;

	*out = (struct backend_config){0};
	if (store_read_in(store, XBT_NULL, disk->backend, NODE_IMAGE, out->image) <= 0)
		return err_set(e, -ENOENT, TAP_EXIT_NONE, "no image in '%s/%s'", disk->backend,
			       NODE_IMAGE);
	if (store_read_in(store, XBT_NULL, disk->backend, "mode", value) < 0 ||
	    (strcmp(value, "r") && strcmp(value, "w")))
		return err_set(e, -EINVAL, TAP_EXIT_SYSTEM, "node 'mode' is neither r nor w");
	out->read_only = value[0] == 'r';
	if (store_read_in(store, XBT_NULL, disk->backend, "device-type", value) > 0)
		out->cdrom = !strcmp(value, "cdrom");
	out->removable = flag_in(store, disk, "removable", false);
	out->shared = flag_in(store, disk, NODE_SHARED, false);
	out->direct_io_safe = flag_in(store, disk, "direct-io-safe", false);
	out->discard = flag_in(store, disk, "discard-enable", true);
	ret = read_sector_size(store, disk, &out->sector_bytes, e);
	return ret ? ret : read_caps(store, disk, &out->caps, e);
}

int backend_read_online(struct store *store, const struct disk *disk, bool *out)
{
	char value[STORE_VALUE_MAX];
	uint64_t online = 0;
	int ret = store_look(store, XBT_NULL, disk->backend, "online", value);

	*out = ret >= 0 && !num_parse(value, 0, 1, &online) && online;
	return ret >= 0 || ret == -ENOENT || ret == -EMSGSIZE ? 0 : ret;
}

int backend_offer_read(struct store *store, const struct disk *disk,
		       const struct backend_caps *caps, struct front_offer *out, struct err *e)
{
	int ret = offer_read(store, XBT_NULL, disk, out, e);

	if (ret)
		return ret;
	if (!out->queues)
		return err_set(e, -EPROTO, TAP_EXIT_FOUND, "the frontend published no ring-ref");
	if (out->queues > caps->max_queues)
		return err_set(e, -EPROTO, TAP_EXIT_FOUND,
			       "the frontend asks for %u queues, %u at most were offered",
			       out->queues, caps->max_queues);
	if (out->ring_order > caps->max_ring_order)
		return err_set(e, -EPROTO, TAP_EXIT_FOUND,
			       "the frontend asks for ring-page-order %u, %u at most was offered",
			       out->ring_order, caps->max_ring_order);
	return 0;
}

bool backend_offered_persistent(struct store *store, const struct disk *disk)
{
	return flag_in(store, disk, "feature-persistent", false);
}

static int withdraw(struct store *store, xs_transaction_t tx, const char *dir, const char *key)
{
	char path[STORE_PATH_MAX];
	int ret = store_path(path, "%s/%s", dir, key);

	return ret ? ret : store_remove(store, tx, path);
}

struct features {
	const struct disk *disk;
	const struct backend_config *config;
	const struct image_facts *image;
	bool persistent;
};

/* Never into a directory that is gone: to write there would bring it back. */
static int write_features(struct store *store, xs_transaction_t tx, void *opaque)
{
	const struct features *f = opaque;
	const struct image_facts *image = f->image;
	const struct backend_caps *caps = &f->config->caps;
	const char *dir = f->disk->backend;
	bool discard = f->config->discard && image->can_discard && !f->config->read_only;
	const struct {
		const char *key;
		uint64_t value;
		bool absent; /* where it is not offered at all */
	} nodes[] = {
		{"feature-flush-cache", image->can_flush, false},
		{"feature-barrier", image->can_flush, false},
		{"feature-persistent", f->persistent, false},
		{"feature-max-indirect-segments", caps->max_indirect_segments,
		 !caps->max_indirect_segments},
		{"max-ring-page-order", caps->max_ring_order, false},
		{"max-ring-pages", 1u << caps->max_ring_order, false},
		{"multi-queue-max-queues", caps->max_queues, false},
		{"feature-discard", discard, false},
		{"discard-granularity", image->discard_granularity_bytes, !discard},
		{"discard-alignment", image->discard_alignment_bytes, !discard},
		{"discard-secure", image->can_discard_secure, !discard},
	};
	int ret = store_exists(store, tx, dir) ? 0 : -ENOENT;

	for (size_t i = 0; !ret && i < ARRAY_SIZE(nodes); i++) {
		if (!nodes[i].absent)
			ret = store_write(store, tx, dir, nodes[i].key, "%" PRIu64, nodes[i].value);
		else /* another backend of the disk may have offered it before */
			ret = withdraw(store, tx, dir, nodes[i].key);
	}
	return ret;
}

int backend_publish_features(struct store *store, const struct disk *disk,
			     const struct backend_config *config, const struct image_facts *image,
			     enum data_path data_path)
{
	struct features features = {.disk = disk,
				    .config = config,
				    .image = image,
				    .persistent = data_path_wants_persistent(data_path)};

	return store_transaction(store, write_features, &features);
}

struct connected {
	const struct disk *disk;
	const struct image_facts *image;
	uint32_t sector_bytes;
	unsigned info;
};

static int write_connected(struct store *store, xs_transaction_t tx, void *opaque)
{
	const struct connected *c = opaque;
	const char *dir = c->disk->backend;
	uint32_t physical = c->image->physical_sector_bytes;
	int ret;

	if (!store_exists(store, tx, dir))
		return -ENOENT;
	ret = store_write(store, tx, dir, "sectors", "%" PRIu64,
			  c->image->size_bytes / SECTOR_BYTES);
	if (!ret)
		ret = store_write(store, tx, dir, "sector-size", "%u", c->sector_bytes);
	if (!ret)
		ret = store_write(store, tx, dir, "physical-sector-size", "%u",
				  physical > c->sector_bytes ? physical : c->sector_bytes);
	if (!ret)
		ret = store_write(store, tx, dir, "info", "%u", c->info);
	if (!ret)
		ret = store_write(store, tx, dir, "state", "%d", XENBUS_CONNECTED);
	return ret;
}

int backend_publish_connected(struct store *store, const struct disk *disk,
			      const struct backend_config *config, const struct image_facts *image)
{
	struct connected connected = {
		.disk = disk, .image = image, .sector_bytes = config->sector_bytes};

	connected.info = (config->cdrom ? VDISK_CDROM : 0) |
			 (config->removable ? VDISK_REMOVABLE : 0) |
			 (config->read_only ? VDISK_READONLY : 0);
	return store_transaction(store, write_connected, &connected);
}

struct new_size {
	const struct disk *disk;
	uint64_t sectors;
};

static int write_size(struct store *store, xs_transaction_t tx, void *opaque)
{
	const struct new_size *size = opaque;
	const char *dir = size->disk->backend;
	uint64_t told;
	int ret;

	if (!store_exists(store, tx, dir))
		return -ENOENT;
	if (!store_read_number(store, tx, dir, "sectors", 0, UINT64_MAX, &told) &&
	    told >= size->sectors)
		return 0;
	ret = store_write(store, tx, dir, "sectors", "%" PRIu64, size->sectors);
	/* A detach that waits is not undone. */
	if (!ret && xenbus_state_in(store, tx, dir) == XENBUS_CONNECTED)
		ret = store_write(store, tx, dir, "state", "%d", XENBUS_CONNECTED);
	return ret;
}

int backend_publish_size(struct store *store, const struct disk *disk, uint64_t sectors)
{
	struct new_size size = {.disk = disk, .sectors = sectors};

	return store_transaction(store, write_size, &size);
}
