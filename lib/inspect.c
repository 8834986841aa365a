/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "inspect.h"
#include "rundir.h"

/* A sector size beyond a page would not fit in a segment. */
#define SECTOR_BYTES_MAX 4096

static int malformed(const char *dir, const char *key, int why, struct err *e)
{
	return err_set(e, -EPROTO, TAP_EXIT_FOUND, "cannot use node '%s/%s': %s", dir, key,
		       why == -ENOENT ? "it is missing" : strerror(-why));
}

static void read_text(struct store *store, const char *dir, const char *key,
		      char out[static STORE_VALUE_MAX])
{
	char value[STORE_VALUE_MAX];
	int length = store_read_in(store, XBT_NULL, dir, key, value);

	out[0] = '\0';
	if (length > 0)
		msg_printable(value, (size_t)length, out, STORE_VALUE_MAX);
}

static void read_error(struct store *store, const char *dir, char out[static STORE_VALUE_MAX])
{
	char value[STORE_VALUE_MAX];

	out[0] = '\0';
	if (xenbus_read_error(store, dir, value) > 0)
		msg_printable(value, strlen(value), out, STORE_VALUE_MAX);
}

static void read_backend(struct store *store, struct inspection *out)
{
	char mode[STORE_VALUE_MAX];
	uint64_t number;
	const char *dir = out->disk.backend;

	out->backend_state = xenbus_state(store, dir);
	read_error(store, dir, out->backend_error);
	read_text(store, dir, "params", out->image);
	read_text(store, dir, "mode", mode);
	if (mode[0] == 'r' || mode[0] == 'w')
		out->mode = mode[0];
	if (!store_read_number(store, XBT_NULL, dir, "sectors", 0, UINT64_MAX >> 9, &number))
		out->sectors = number;
	if (!store_read_number(store, XBT_NULL, dir, "sector-size", 512, SECTOR_BYTES_MAX, &number))
		out->sector_bytes = (uint32_t)number;
}

/* Without the node a guest is native to QEMU, but x86_32 to blkback and to us. */
static int read_abi(struct store *store, struct inspection *out, struct err *e)
{
	char value[STORE_VALUE_MAX];
	int ret = store_read_in(store, XBT_NULL, out->disk.frontend, "protocol", value);

	if (ret == -ENOENT) {
		out->abi = !strcmp(out->disk.kind, "qdisk") ? RING_ABI_NATIVE : RING_ABI_X86_32;
		return 0;
	}
	if (ret >= 0)
		ret = ring_abi_parse(value, &out->abi);
	return ret < 0 ? malformed(out->disk.frontend, "protocol", ret, e) : 0;
}

/* `num-ring-pages` is the older dialect (protocol.md 6). */
static int read_order(struct store *store, struct inspection *out, struct err *e)
{
	const char *dir = out->disk.frontend;
	uint64_t number;
	int ret = store_read_number(store, XBT_NULL, dir, "ring-page-order", 0, RING_ORDER_MAX,
				    &number);

	if (!ret) {
		out->ring_order = (unsigned)number;
		return 0;
	}
	if (ret != -ENOENT)
		return malformed(dir, "ring-page-order", ret, e);
	ret = store_read_number(store, XBT_NULL, dir, "num-ring-pages", 1, 1u << RING_ORDER_MAX,
				&number);
	if (ret == -ENOENT)
		return 0;
	if (!ret && (number & (number - 1)))
		ret = -EINVAL;
	if (ret)
		return malformed(dir, "num-ring-pages", ret, e);
	while ((1u << out->ring_order) < number)
		out->ring_order++;
	return 0;
}

static int read_ref(struct store *store, const char *dir, const char *key, uint32_t *out)
{
	uint64_t number;
	int ret = store_read_number(store, XBT_NULL, dir, key, 1, UINT32_MAX, &number);

	if (!ret)
		*out = (uint32_t)number;
	return ret;
}

/* One queue's nodes below @dir. -ENOENT: its ring is not published (yet). */
static int read_queue(struct store *store, const char *dir, unsigned order,
		      struct inspected_queue *queue, struct err *e)
{
	char key[24];
	int ret;

	if (!order) {
		ret = read_ref(store, dir, "ring-ref", &queue->ring_refs[0]);
		if (ret && ret != -ENOENT)
			return malformed(dir, "ring-ref", ret, e);
		if (!ret)
			goto port;
	}
	for (unsigned i = 0; i < 1u << order; i++) {
		snprintf(key, sizeof(key), "ring-ref%u", i);
		ret = read_ref(store, dir, key, &queue->ring_refs[i]);
		if (ret == -ENOENT && !i)
			return ret;
		if (ret)
			return malformed(dir, key, ret, e);
	}
port:
	ret = read_ref(store, dir, "event-channel", &queue->port);
	return ret ? malformed(dir, "event-channel", ret, e) : 0;
}

static int read_queues(struct store *store, struct inspection *out, struct err *e)
{
	char dir[STORE_PATH_MAX];
	uint64_t queues;
	int ret = store_read_number(store, XBT_NULL, out->disk.frontend, "multi-queue-num-queues",
				    1, STATS_QUEUES, &queues);

	if (ret == -ENOENT)
		queues = 1;
	else if (ret)
		return malformed(out->disk.frontend, "multi-queue-num-queues", ret, e);
	for (unsigned i = 0; i < queues; i++) {
		/* With one queue its nodes may be in either place. */
		ret = store_path(dir, "%s/queue-%u", out->disk.frontend, i);
		if (ret)
			return ret;
		ret = read_queue(store, dir, out->ring_order, &out->queue[i], e);
		if (ret == -ENOENT && queues == 1)
			ret = read_queue(store, out->disk.frontend, out->ring_order, &out->queue[i],
					 e);
		if (ret == -ENOENT && !i)
			return 0;
		if (ret)
			return ret == -ENOENT ? malformed(dir, "ring-ref", ret, e) : ret;
	}
	out->queues = (unsigned)queues;
	return 0;
}

int inspect_disk(struct store *store, const struct disk *disk, struct inspection *out,
		 struct err *e)
{
	int ret;

	memset(out, 0, sizeof(*out));
	out->disk = *disk;
	read_backend(store, out);
	out->frontend_state = xenbus_state(store, disk->frontend);
	read_error(store, disk->frontend, out->frontend_error);
	out->server = rundir_server(disk);
	out->has_stats = !stats_read(disk, &out->stats);
	if (out->backend_state == XENBUS_GONE)
		return err_set(e, -ENOENT, TAP_EXIT_NONE, "the disk is gone");
	ret = read_abi(store, out, e);
	if (!ret)
		ret = read_order(store, out, e);
	return ret ? ret : read_queues(store, out, e);
}
