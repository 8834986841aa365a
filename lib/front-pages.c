/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "front-inner.h"
#include "xenquiet.h"

/* Pages of requests on all rings together, at most: a quarter of what a domain can grant by default
 * (64 frames of 512), so that it can have several disks. */
#define BUDGET_PAGES 8192u

static unsigned tables_max(const struct front *front)
{
	struct request largest = {.indirect_segments = (uint16_t)front->facts.max_segments};

	return front->facts.max_segments > REQUEST_SEGMENTS_DIRECT
		       ? request_indirect_pages(&largest)
		       : 0;
}

static int make_slots(struct front *front, struct front_ring *ring)
{
	unsigned n = ring->ring.slots, segments = front->facts.max_segments;
	unsigned pages = segments + tables_max(front);

	ring->slots = calloc(n, sizeof(*ring->slots));
	ring->free_slots = calloc(n, sizeof(struct front_slot *));
	ring->segments = calloc((size_t)n * segments, sizeof(*ring->segments));
	ring->pages = calloc((size_t)n * pages, sizeof(*ring->pages));
	if (!ring->slots || !ring->free_slots || !ring->segments || !ring->pages)
		return -ENOMEM;
	for (unsigned i = n; i-- > 0;) {
		ring->slots[i].segment = ring->segments + (size_t)i * segments;
		ring->slots[i].page = ring->pages + (size_t)i * pages;
		ring->free_slots[ring->n_free++] = &ring->slots[i];
	}
	/* One request of the largest kind always fits: 8192 / 16 queues > 256 + 1. */
	ring->budget_pages = BUDGET_PAGES / front->facts.queues;
	if (ring->budget_pages > n * pages)
		ring->budget_pages = n * pages;
	ring->free_pages = ring->budget_pages;
	return 0;
}

static int share_pool(struct front *front, struct front_ring *ring)
{
	unsigned n = ring->budget_pages;
	uint32_t *refs = calloc(n, sizeof(*refs));
	int ret = 0;

	ring->pool_pages = calloc(n, sizeof(*ring->pool_pages));
	if (!refs || !ring->pool_pages) {
		free(refs);
		return -ENOMEM;
	}
	ring->pool =
		xengntshr_share_pages(front->gntshr, front->facts.backend_domid, (int)n, refs, 1);
	if (!ring->pool)
		ret = -errno;
	for (unsigned i = 0; !ret && i < n; i++)
		ring->pool_pages[n - 1 - i] = (struct front_page){
			.at = (char *)ring->pool + (size_t)i * RING_PAGE_BYTES, .ref = refs[i]};
	free(refs);
	return ret;
}

static int open_ring(struct front *front, struct front_ring *ring)
{
	unsigned order = front->facts.ring_order;
	void *shared = xengntshr_share_pages(front->gntshr, front->facts.backend_domid, 1 << order,
					     ring->refs, 1);
	int ret;

	if (!shared)
		return -errno;
	ret = ring_setup(&ring->ring, shared, front->options.abi, order);
	if (ret)
		return ret;
	ring_front_init(&ring->ring);
	ret = make_slots(front, ring);
	if (ret || front->options.fresh_grants)
		return ret;
	return share_pool(front, ring);
}

int front_pages_open(struct front *front, struct err *e)
{
	int ret = 0;

	front->gntshr = xengntshr_open(xenquiet(), 0);
	if (!front->gntshr)
		ret = -errno;
	for (unsigned i = 0; !ret && i < front->facts.queues; i++)
		ret = open_ring(front, &front->rings[i]);
	if (!ret)
		return 0;
	return err_set(e, ret, err_exit_of(ret), "cannot grant pages to domain %u: %s",
		       front->facts.backend_domid, strerror(-ret));
}

static int unshare(struct front *front, void *pages, unsigned n)
{
	if (!n || !xengntshr_unshare(front->gntshr, pages, n))
		return 0;
	front->pages_held += n;
	return -errno;
}

/* Fresh grants: one run of data pages, one of tables. */
static int unshare_slot(struct front *front, struct front_slot *slot)
{
	int ret = unshare(front, slot->page[0].at, slot->n_segments);
	int tables = 0;

	if (slot->n_tables)
		tables = unshare(front, slot->page[slot->n_segments].at, slot->n_tables);
	return ret ? ret : tables;
}

static void close_ring(struct front *front, struct front_ring *ring)
{
	if (ring->pool)
		unshare(front, ring->pool, ring->budget_pages);
	/* Fresh grants of requests that were never answered. */
	for (unsigned i = 0; front->options.fresh_grants && ring->slots && i < ring->ring.slots;
	     i++) {
		if (ring->slots[i].busy)
			unshare_slot(front, &ring->slots[i]);
	}
	unshare(front, ring->ring.shared, 1u << front->facts.ring_order);
	free(ring->pool_pages);
	free(ring->pages);
	free(ring->segments);
	free(ring->free_slots);
	free(ring->slots);
	*ring = (struct front_ring){.channel = ring->channel};
}

void front_pages_close(struct front *front)
{
	for (unsigned i = 0; i < front->facts.queues; i++) {
		if (front->rings[i].ring.shared)
			close_ring(front, &front->rings[i]);
	}
}

static int share_run(struct front *front, struct front_page *pages, unsigned n, bool writable)
{
	uint32_t refs[REQUEST_SEGMENTS_MAX];
	char *shared;

	if (!n)
		return 0;
	shared = xengntshr_share_pages(front->gntshr, front->facts.backend_domid, (int)n, refs,
				       writable);
	if (!shared)
		return -errno;
	for (unsigned i = 0; i < n; i++)
		pages[i] = (struct front_page){.at = shared + (size_t)i * RING_PAGE_BYTES,
					       .ref = refs[i]};
	return 0;
}

static int share_slot(struct front *front, struct front_slot *slot)
{
	int ret = share_run(front, slot->page, slot->n_segments, slot->operation == REQUEST_READ);

	if (ret)
		return ret;
	ret = share_run(front, slot->page + slot->n_segments, slot->n_tables, false);
	if (ret)
		unshare(front, slot->page[0].at, slot->n_segments);
	return ret;
}

int front_pages_take(struct front *front, struct front_ring *ring, struct front_slot *slot)
{
	unsigned n = slot->n_segments + slot->n_tables;
	int ret;

	if (n > ring->free_pages)
		return -EAGAIN;
	if (front->options.fresh_grants) {
		ret = share_slot(front, slot);
		if (ret)
			return ret;
		ring->free_pages -= n;
		return 0;
	}
	for (unsigned i = 0; i < n; i++)
		slot->page[i] = ring->pool_pages[--ring->free_pages];
	return 0;
}

int front_pages_give(struct front *front, struct front_ring *ring, struct front_slot *slot)
{
	unsigned n = slot->n_segments + slot->n_tables;

	if (front->options.fresh_grants) {
		ring->free_pages += n;
		return unshare_slot(front, slot);
	}
	while (n-- > 0)
		ring->pool_pages[ring->free_pages++] = slot->page[n];
	return 0;
}
