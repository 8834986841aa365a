/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "offer.h"

static int malformed(const char *dir, const char *key, int why, struct err *e)
{
	return err_set(e, -EPROTO, TAP_EXIT_FOUND, "cannot use node '%s/%s': %s", dir, key,
		       why == -ENOENT ? "it is missing" : strerror(-why));
}

static int read_abi(struct store *store, xs_transaction_t tx, const struct disk *disk,
		    struct front_offer *out, struct err *e)
{
	char value[STORE_VALUE_MAX];
	int ret = store_read_in(store, tx, disk->frontend, "protocol", value);

	if (ret == -ENOENT) {
		out->abi = !strcmp(disk->kind, "qdisk") ? RING_ABI_NATIVE : RING_ABI_X86_32;
		return 0;
	}
	if (ret >= 0)
		ret = ring_abi_parse(value, &out->abi);
	return ret < 0 ? malformed(disk->frontend, "protocol", ret, e) : 0;
}

static int read_order(struct store *store, xs_transaction_t tx, const char *dir,
		      struct front_offer *out, struct err *e)
{
	uint64_t number;
	int ret = store_read_number(store, tx, dir, "ring-page-order", 0, RING_ORDER_MAX, &number);

	if (!ret) {
		out->ring_order = (unsigned)number;
		return 0;
	}
	if (ret != -ENOENT)
		return malformed(dir, "ring-page-order", ret, e);
	ret = store_read_number(store, tx, dir, "num-ring-pages", 1, 1u << RING_ORDER_MAX, &number);
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

static int read_number(struct store *store, xs_transaction_t tx, const char *dir, const char *key,
		       uint64_t max, uint32_t *out)
{
	uint64_t number;
	int ret = store_read_number(store, tx, dir, key, 1, max, &number);

	if (!ret)
		*out = (uint32_t)number;
	return ret;
}

/* One queue's nodes below @dir. -ENOENT: its ring is not published (yet). */
static int read_queue(struct store *store, xs_transaction_t tx, const char *dir, unsigned order,
		      struct front_queue *queue, struct err *e)
{
	char key[24];
	int ret = -ENOENT;

	if (!order) {
		ret = read_number(store, tx, dir, "ring-ref", UINT32_MAX, &queue->ring_refs[0]);
		if (ret && ret != -ENOENT)
			return malformed(dir, "ring-ref", ret, e);
	}
	for (unsigned i = 0; ret && i < 1u << order; i++) {
		int missing;

		snprintf(key, sizeof(key), "ring-ref%u", i);
		missing = read_number(store, tx, dir, key, UINT32_MAX, &queue->ring_refs[i]);
		if (missing == -ENOENT && !i)
			return missing;
		if (missing)
			return malformed(dir, key, missing, e);
	}
	ret = read_number(store, tx, dir, "event-channel", INT32_MAX, &queue->port);
	return ret ? malformed(dir, "event-channel", ret, e) : 0;
}

static int read_queues(struct store *store, xs_transaction_t tx, const struct disk *disk,
		       struct front_offer *out, struct err *e)
{
	char dir[STORE_PATH_MAX];
	uint64_t queues;
	int ret = store_read_number(store, tx, disk->frontend, "multi-queue-num-queues", 1,
				    STATS_QUEUES, &queues);

	if (ret == -ENOENT)
		queues = 1;
	else if (ret)
		return malformed(disk->frontend, "multi-queue-num-queues", ret, e);
	for (unsigned i = 0; i < queues; i++) {
		ret = store_path(dir, "%s/queue-%u", disk->frontend, i);
		if (ret)
			return ret;
		/* One queue's nodes may be in either place. What stands below queue-0 then may be
		 * an earlier connection's, as blkback does not look there. */
		if (queues == 1)
			ret = read_queue(store, tx, disk->frontend, out->ring_order, &out->queue[i],
					 e);
		if (queues > 1 || ret == -ENOENT)
			ret = read_queue(store, tx, dir, out->ring_order, &out->queue[i], e);
		if (ret == -ENOENT && !i)
			return 0;
		if (ret)
			return ret == -ENOENT ? malformed(dir, "ring-ref", ret, e) : ret;
	}
	out->queues = (unsigned)queues;
	return 0;
}

int offer_read(struct store *store, xs_transaction_t tx, const struct disk *disk,
	       struct front_offer *out, struct err *e)
{
	uint64_t flag;
	int ret;

	memset(out, 0, sizeof(*out));
	if (!store_read_number(store, tx, disk->frontend, "feature-persistent", 0, 1, &flag))
		out->persistent = flag;
	ret = read_abi(store, tx, disk, out, e);
	if (!ret)
		ret = read_order(store, tx, disk->frontend, out, e);
	return ret ? ret : read_queues(store, tx, disk, out, e);
}
