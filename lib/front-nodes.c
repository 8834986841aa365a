/* SPDX-License-Identifier: MIT */
/* What the two ends tell each other in XenStore. */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xen/io/blkif.h>
#include <xen/io/protocols.h>

#include "front-inner.h"
#include "num.h"

static uint64_t offer(struct front *front, const char *key, uint64_t max, uint64_t missing)
{
	uint64_t value = missing;

	if (store_read_number(front->store, XBT_NULL, front->facts.backend, key, 0, max, &value))
		return missing;
	return value;
}

static void read_maxima(struct front *front)
{
	struct front_facts *facts = &front->facts;

	facts->max_indirect_segments =
		(uint32_t)offer(front, "feature-max-indirect-segments", UINT32_MAX, 0);
	facts->max_queues = (uint32_t)offer(front, "multi-queue-max-queues", UINT32_MAX, 1);
	facts->max_ring_order = (uint32_t)offer(front, "max-ring-page-order", 31, 0);
}

/* @offered: by the backend; @able: by this front. */
static int agree(const char *option, unsigned wanted, uint32_t offered, unsigned able,
		 uint32_t *out, struct err *e)
{
	*out = wanted == FRONT_MAX ? (offered < able ? offered : able) : wanted;
	if (*out <= offered && *out <= able)
		return 0;
	err_set(e, -EINVAL, TAP_EXIT_USAGE, "option '--%s': %u is more than the %s, %u", option,
		wanted, *out > offered ? "backend offers" : "most there can be",
		*out > offered ? offered : able);
	err_hint(e, "--%s=max takes as much as there is", option);
	return -EINVAL;
}

int front_agree(struct front *front, struct err *e)
{
	const struct front_options *options = &front->options;
	struct front_facts *facts = &front->facts;
	int ret;

	read_maxima(front);
	ret = agree("queues", options->queues ? options->queues : 1,
		    facts->max_queues ? facts->max_queues : 1, FRONT_QUEUES_MAX, &facts->queues, e);
	if (!ret)
		ret = agree("ring-order", options->ring_order, facts->max_ring_order,
			    RING_ORDER_MAX, &facts->ring_order, e);
	if (!ret)
		ret = agree("indirect", options->indirect_segments, facts->max_indirect_segments,
			    REQUEST_SEGMENTS_MAX, &facts->max_segments, e);
	if (ret) {
		facts->queues = 0; /* none was opened */
		return ret;
	}
	if (facts->max_segments < REQUEST_SEGMENTS_DIRECT)
		facts->max_segments = REQUEST_SEGMENTS_DIRECT;
	facts->slots = ring_slots(options->abi, facts->ring_order);
	return 0;
}

static int write_ring(struct front *front, xs_transaction_t tx, const char *dir,
		      const struct front_ring *ring)
{
	unsigned pages = 1u << front->facts.ring_order;
	char key[24] = "ring-ref";
	int ret = 0;

	for (unsigned i = 0; !ret && i < pages; i++) {
		if (pages > 1)
			snprintf(key, sizeof(key), "ring-ref%u", i);
		ret = store_write(front->store, tx, dir, key, "%u", ring->refs[i]);
	}
	if (!ret)
		ret = store_write(front->store, tx, dir, "event-channel", "%u",
				  channel_port(ring->channel));
	return ret;
}

/* One queue is told of where it always was, several in directories of their own. */
static int write_rings(struct front *front, xs_transaction_t tx)
{
	unsigned n = front->facts.queues;
	char dir[STORE_PATH_MAX];
	int ret;

	if (n == 1)
		return write_ring(front, tx, front->dir, &front->rings[0]);
	ret = store_write(front->store, tx, front->dir, "multi-queue-num-queues", "%u", n);
	for (unsigned i = 0; !ret && i < n; i++) {
		ret = store_path(dir, "%s/queue-%u", front->dir, i);
		if (!ret)
			ret = write_ring(front, tx, dir, &front->rings[i]);
	}
	return ret;
}

static int write_nodes(struct store *store, xs_transaction_t tx, void *opaque)
{
	struct front *front = opaque;
	unsigned order = front->facts.ring_order;
	int ret = write_rings(front, tx);

	if (!ret && front->options.ring_pages)
		ret = store_write(store, tx, front->dir, "num-ring-pages", "%u", 1u << order);
	else if (!ret && order)
		ret = store_write(store, tx, front->dir, "ring-page-order", "%u", order);
	if (!ret && front->options.persistent)
		ret = store_write(store, tx, front->dir, "feature-persistent", "1");
	/* Native has to be named too: without the node Linux' backends take it for x86_32. */
	if (!ret)
		ret = store_write(store, tx, front->dir, "protocol", "%s",
				  front->options.abi == RING_ABI_NATIVE
					  ? XEN_IO_PROTO_ABI_NATIVE
					  : ring_abi_name(front->options.abi));
	return ret;
}

int front_nodes_write(struct front *front)
{
	return store_transaction(front->store, write_nodes, front);
}

/* What belongs to rings, whoever wrote it. */
static bool tells_of_ring(const char *name)
{
	static const char *const begins[] = {"ring-ref", "queue-"};
	static const char *const names[] = {
		"ring-page-order", "num-ring-pages", "multi-queue-num-queues",
		"event-channel",   "protocol",	     "feature-persistent"};

	for (size_t i = 0; i < ARRAY_SIZE(begins); i++) {
		if (!strncmp(name, begins[i], strlen(begins[i])))
			return true;
	}
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		if (!strcmp(name, names[i]))
			return true;
	}
	return false;
}

void front_nodes_remove(struct front *front)
{
	char path[STORE_PATH_MAX], **names = NULL;
	int n = store_list(front->store, XBT_NULL, front->dir, &names);

	for (int i = 0; i < n; i++) {
		if (tells_of_ring(names[i]) && !store_path(path, "%s/%s", front->dir, names[i]))
			store_remove(front->store, XBT_NULL, path);
	}
	free(names);
}

/* sectors and sector-size must be there; the rest is optional in the protocol. */
int front_facts_read(struct front *front, struct err *e)
{
	struct front_facts *facts = &front->facts;
	uint64_t sectors = 0, sector_bytes = 0;
	int ret;

	ret = store_read_number(front->store, XBT_NULL, facts->backend, "sectors", 0,
				UINT64_MAX / SECTOR_BYTES, &sectors);
	if (!ret)
		ret = store_read_number(front->store, XBT_NULL, facts->backend, "sector-size",
					SECTOR_BYTES, RING_PAGE_BYTES, &sector_bytes);
	if (!ret && (sector_bytes & (sector_bytes - 1)))
		ret = -EINVAL;
	if (ret)
		return err_set(e, ret, TAP_EXIT_SYSTEM,
			       "the backend does not say what the disk is ('%s/sectors', "
			       "'sector-size'): %s",
			       facts->backend, strerror(-ret));
	facts->sectors = sectors;
	facts->sector_bytes = (uint32_t)sector_bytes;
	facts->physical_sector_bytes =
		(uint32_t)offer(front, "physical-sector-size", UINT32_MAX, sector_bytes);
	facts->info = (uint32_t)offer(front, "info", UINT32_MAX, 0);
	facts->read_only = facts->info & VDISK_READONLY;
	facts->flush = offer(front, "feature-flush-cache", 1, 0);
	facts->barrier = offer(front, "feature-barrier", 1, 0);
	facts->persistent = offer(front, "feature-persistent", 1, 0);
	facts->discard = offer(front, "feature-discard", 1, 0);
	facts->discard_secure = offer(front, "discard-secure", 1, 0);
	facts->discard_granularity_bytes =
		(uint32_t)offer(front, "discard-granularity", UINT32_MAX, 0);
	facts->discard_alignment_bytes = (uint32_t)offer(front, "discard-alignment", UINT32_MAX, 0);
	read_maxima(front); /* UEFI did not wait for them */
	return 0;
}
