/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "front-inner.h"
#include "xenquiet.h"

/* Slots of the pool are whole requests, so that a request's pages are contiguous. */
static int share_pool(struct front *front)
{
	unsigned n = front->ring.slots * REQUEST_SEGMENTS_DIRECT;
	uint32_t *refs = calloc(n, sizeof(*refs));
	int ret = 0;

	if (!refs)
		return -ENOMEM;
	front->pool =
		xengntshr_share_pages(front->gntshr, front->facts.backend_domid, (int)n, refs, 1);
	if (!front->pool)
		ret = -errno;
	for (uint32_t i = 0; !ret && i < front->ring.slots; i++) {
		struct front_slot *slot = &front->slots[i];
		size_t first = (size_t)i * REQUEST_SEGMENTS_DIRECT;

		slot->pages = (char *)front->pool + first * RING_PAGE_BYTES;
		memcpy(slot->refs, refs + first, sizeof(slot->refs));
	}
	free(refs);
	return ret;
}

int front_pages_open(struct front *front, struct err *e)
{
	void *shared = NULL;
	int ret = 0;

	front->gntshr = xengntshr_open(xenquiet(), 0);
	if (front->gntshr)
		shared = xengntshr_share_pages(front->gntshr, front->facts.backend_domid, 1,
					       &front->ring_ref, 1);
	if (!shared)
		ret = -errno;
	if (!ret)
		ret = ring_setup(&front->ring, shared, front->options.abi, 0);
	if (!ret) {
		ring_front_init(&front->ring);
		if (!front->options.fresh_grants)
			ret = share_pool(front);
	}
	if (!ret)
		return 0;
	return err_set(e, ret, err_exit_of(ret), "cannot grant pages to domain %u: %s",
		       front->facts.backend_domid, strerror(-ret));
}

static void unshare(struct front *front, void *pages, unsigned n)
{
	if (xengntshr_unshare(front->gntshr, pages, n))
		front->pages_held += n;
}

void front_pages_close(struct front *front)
{
	if (!front->ring.shared)
		return;
	if (front->pool)
		unshare(front, front->pool, front->ring.slots * REQUEST_SEGMENTS_DIRECT);
	/* Fresh grants of requests that were never answered. */
	for (uint32_t i = 0; front->options.fresh_grants && i < front->ring.slots; i++) {
		struct front_slot *slot = &front->slots[i];

		if (slot->pages)
			unshare(front, slot->pages, slot->n_pages);
		slot->pages = NULL;
	}
	front->pool = NULL;
	unshare(front, front->ring.shared, 1);
	front->ring.shared = NULL;
}

int front_pages_take(struct front *front, struct front_slot *slot)
{
	if (!front->options.fresh_grants || !slot->n_pages)
		return 0;
	slot->pages =
		xengntshr_share_pages(front->gntshr, front->facts.backend_domid, (int)slot->n_pages,
				      slot->refs, slot->operation == REQUEST_READ);
	return slot->pages ? 0 : -errno;
}

int front_pages_give(struct front *front, struct front_slot *slot)
{
	void *pages = slot->pages;

	if (!front->options.fresh_grants || !slot->n_pages)
		return 0;
	slot->pages = NULL;
	if (!xengntshr_unshare(front->gntshr, pages, slot->n_pages))
		return 0;
	front->pages_held += slot->n_pages;
	return -errno;
}
