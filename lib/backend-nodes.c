/* SPDX-License-Identifier: MIT */
#include "backend-nodes.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <xen/io/blkif.h>

#include "attach.h"
#include "num.h"

int backend_config_read(struct store *store, const struct disk *disk, struct backend_config *out,
			struct err *e)
{
	char value[STORE_VALUE_MAX];
	uint64_t flag;

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
	if (!store_read_number(store, XBT_NULL, disk->backend, "removable", 0, 1, &flag))
		out->removable = flag;
	if (!store_read_number(store, XBT_NULL, disk->backend, NODE_SHARED, 0, 1, &flag))
		out->shared = flag;
	return 0;
}

bool backend_is_online(struct store *store, const struct disk *disk)
{
	uint64_t online;

	return !store_read_number(store, XBT_NULL, disk->backend, "online", 0, 1, &online) &&
	       online;
}

/* A number the guest wrote. @e names the node, never its bytes. */
static int front_number(struct store *store, const struct disk *disk, const char *key, uint64_t min,
			uint64_t max, uint64_t *out, struct err *e)
{
	int ret = store_read_number(store, XBT_NULL, disk->frontend, key, min, max, out);

	if (ret == -ENOENT)
		return err_set(e, -EPROTO, TAP_EXIT_SYSTEM, "the frontend has no node '%s'", key);
	if (ret < 0)
		return err_set(e, -EPROTO, TAP_EXIT_SYSTEM,
			       "the frontend's node '%s' is no number from %" PRIu64 " to %" PRIu64,
			       key, min, max);
	return 0;
}

static int read_abi(struct store *store, const struct disk *disk, enum ring_abi *abi, struct err *e)
{
	char value[STORE_VALUE_MAX];
	int ret = store_read_in(store, XBT_NULL, disk->frontend, "protocol", value);

	if (ret == -ENOENT) {
		*abi = RING_ABI_X86_32;
		return 0;
	}
	if (ret < 0 || ring_abi_parse(value, abi) < 0)
		return err_set(e, -EPROTO, TAP_EXIT_SYSTEM,
			       "the frontend's node 'protocol' names no known ABI");
	return 0;
}

int front_offer_read(struct store *store, const struct disk *disk, struct front_offer *out,
		     struct err *e)
{
	uint64_t number;
	int ret;

	*out = (struct front_offer){.queues = 1};
	ret = read_abi(store, disk, &out->abi, e);
	if (ret < 0)
		return ret;
	/* Neither was offered; a frontend that takes them all the same speaks of another ring. */
	if (!store_read_number(store, XBT_NULL, disk->frontend, "multi-queue-num-queues", 0,
			       UINT32_MAX, &number) &&
	    number > 1)
		return err_set(e, -EPROTO, TAP_EXIT_SYSTEM,
			       "the frontend asks for %" PRIu64 " queues, 1 was offered", number);
	if (!store_read_number(store, XBT_NULL, disk->frontend, "ring-page-order", 0, UINT32_MAX,
			       &number) &&
	    number > 0)
		return err_set(e, -EPROTO, TAP_EXIT_SYSTEM,
			       "the frontend asks for ring-page-order %" PRIu64 ", 0 was offered",
			       number);
	ret = front_number(store, disk, "ring-ref", 1, UINT32_MAX, &number, e);
	if (ret < 0)
		return ret;
	out->queue[0].ring_refs[0] = (uint32_t)number;
	ret = front_number(store, disk, "event-channel", 1, INT32_MAX, &number, e);
	if (ret < 0)
		return ret;
	out->queue[0].port = (uint32_t)number;
	return 0;
}

int backend_publish_features(struct store *store, const struct disk *disk,
			     const struct image_facts *image)
{
	static const char *const not_offered[] = {"feature-barrier", "feature-discard",
						  "feature-persistent"};
	int ret;

	ret = store_write(store, XBT_NULL, disk->backend, "feature-flush-cache", "%d",
			  image->can_flush);
	for (size_t i = 0; !ret && i < ARRAY_SIZE(not_offered); i++)
		ret = store_write(store, XBT_NULL, disk->backend, not_offered[i], "0");
	return ret;
}

struct connected {
	const struct disk *disk;
	const struct image_facts *image;
	unsigned info;
};

static int write_connected(struct store *store, xs_transaction_t tx, void *opaque)
{
	const struct connected *c = opaque;
	const char *dir = c->disk->backend;
	int ret;

	if (!store_exists(store, tx, dir))
		return -ENOENT;
	ret = store_write(store, tx, dir, "sectors", "%" PRIu64,
			  c->image->size_bytes / SECTOR_BYTES);
	if (!ret)
		ret = store_write(store, tx, dir, "sector-size", "%u", SECTOR_BYTES);
	if (!ret)
		ret = store_write(store, tx, dir, "physical-sector-size", "%u",
				  c->image->physical_sector_bytes);
	if (!ret)
		ret = store_write(store, tx, dir, "info", "%u", c->info);
	if (!ret)
		ret = store_write(store, tx, dir, "state", "%d", XENBUS_CONNECTED);
	return ret;
}

int backend_publish_connected(struct store *store, const struct disk *disk,
			      const struct backend_config *config, const struct image_facts *image)
{
	struct connected connected = {.disk = disk, .image = image};

	connected.info = (config->cdrom ? VDISK_CDROM : 0) |
			 (config->removable ? VDISK_REMOVABLE : 0) |
			 (config->read_only ? VDISK_READONLY : 0);
	return store_transaction(store, write_connected, &connected);
}

struct new_size {
	const struct disk *disk;
	uint64_t sectors;
	bool connected;
};

static int write_size(struct store *store, xs_transaction_t tx, void *opaque)
{
	const struct new_size *size = opaque;
	int ret;

	ret = store_write(store, tx, size->disk->backend, "sectors", "%" PRIu64, size->sectors);
	if (!ret && size->connected)
		ret = store_write(store, tx, size->disk->backend, "state", "%d", XENBUS_CONNECTED);
	return ret;
}

int backend_publish_size(struct store *store, const struct disk *disk, uint64_t sectors,
			 bool connected)
{
	struct new_size size = {.disk = disk, .sectors = sectors, .connected = connected};

	return store_transaction(store, write_size, &size);
}
