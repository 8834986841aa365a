/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <xengnttab.h>

#include "ring-copy.h"
#include "xenquiet.h"

/* A server that pushes between any two of so many copies does not exist; a hostile guest may. */
#define COPY_TRIES 1000

static int open_failed(struct err *e)
{
	int ret = -errno;

	err_set(e, ret, TAP_EXIT_DENIED, "cannot open the grant device: %s", strerror(-ret));
	err_hint(e, "this needs root in a Xen domain, or 'tap-sim' to try it without Xen");
	return ret;
}

static int map_failed(uint32_t domid, uint32_t gref, uint32_t pages, struct err *e)
{
	int ret = -errno;

	if (ret == -EPERM || ret == -EACCES)
		return err_set(e, ret, TAP_EXIT_DENIED, "cannot map grant %u of domain %u: %s",
			       gref, domid, strerror(-ret));
	/* gntdev says EINVAL for whatever the hypervisor refused. */
	return err_set(e, -ENXIO, TAP_EXIT_NONE,
		       "cannot map %u page(s) from grant %u of domain %u: not granted (%s)", pages,
		       gref, domid, strerror(-ret));
}

/*
 * Copy a ring that others are using. The producer index of the responses is the same before, amid
 * and after: no slot between it and req_prod was given back meanwhile, and req_prod, read amid,
 * belongs to it.
 */
static void copy_one_moment(const struct ring *live, uint8_t *bytes, size_t length_bytes)
{
	struct ring_indices before, amid, after;

	_Static_assert(sizeof(amid) == 16, "the four indices as they stand in the shared page");
	for (unsigned i = 0; i < COPY_TRIES; i++) {
		before = ring_look(live);
		__atomic_thread_fence(__ATOMIC_SEQ_CST);
		amid = ring_look(live);
		__atomic_thread_fence(__ATOMIC_SEQ_CST);
		memcpy(bytes, live->shared, length_bytes);
		__atomic_thread_fence(__ATOMIC_SEQ_CST);
		after = ring_look(live);
		if (before.rsp_prod == amid.rsp_prod && amid.rsp_prod == after.rsp_prod)
			break;
	}
	memcpy(bytes, &amid, sizeof(amid));
}

static int map_and_copy(const struct inspection *inspection, const uint32_t *refs,
			struct ring_copy *out, struct err *e)
{
	uint32_t pages = 1u << out->order;
	uint32_t domid = inspection->disk.domid;
	uint32_t grefs[1u << RING_ORDER_MAX];
	struct ring live;
	int ret = 0;
	void *shared;
	xengnttab_handle *gnttab = xengnttab_open(xenquiet(), 0);

	if (!gnttab)
		return open_failed(e);
	memcpy(grefs, refs, sizeof(grefs));
	shared = xengnttab_map_domain_grant_refs(gnttab, pages, domid, grefs, PROT_READ);
	if (!shared) {
		ret = map_failed(domid, refs[0], pages, e);
		goto close;
	}
	ret = ring_setup(&live, shared, out->abi, out->order);
	if (!ret)
		copy_one_moment(&live, out->bytes, (size_t)RING_PAGE_BYTES << out->order);
	else
		err_set(e, ret, TAP_EXIT_FOUND, "a ring of order %u cannot be", out->order);
	xengnttab_unmap(gnttab, shared, pages);
close:
	xengnttab_close(gnttab);
	return ret;
}

/*
 * The server's own indices, where tap-serve tells them and they fit: they were read a moment before
 * the ring, so a busy server may have gone on since.
 */
static void add_private(const struct stats_file *stats, struct ring_copy *copy)
{
	const struct stats_queue *queue = &stats->queue[copy->queue];
	struct ring_indices shared = ring_look(&copy->ring);
	uint32_t consumed = queue->req_cons - shared.rsp_prod;

	if (copy->queue >= stats->queues)
		return;
	if (queue->oldest_ns && queue->oldest_ns < copy->taken_ns)
		copy->oldest_age_ns = copy->taken_ns - queue->oldest_ns;
	if (stats->connected)
		copy->stopped = (uint32_t)queue->stopped;
	if (consumed > shared.req_prod - shared.rsp_prod ||
	    queue->rsp_prod - shared.rsp_prod > consumed)
		return;
	copy->has_private = true;
	copy->req_cons = queue->req_cons;
	copy->rsp_prod_pvt = queue->rsp_prod;
}

int ring_copy_take(const struct inspection *inspection, unsigned queue, struct ring_copy *out,
		   struct err *e)
{
	struct stats_file stats;
	bool told = inspection->server && !stats_read(&inspection->disk, &stats);
	int ret;

	memset(out, 0, sizeof(*out));
	if (!inspection->offer.queues)
		return err_set(e, -ENXIO, TAP_EXIT_NONE,
			       "the frontend has published no ring (backend %s, frontend %s)",
			       xenbus_state_text(inspection->backend_state),
			       xenbus_state_text(inspection->frontend_state));
	if (queue >= inspection->offer.queues)
		return err_set(e, -ENXIO, TAP_EXIT_NONE, "there is no queue %u: the disk has %u",
			       queue, inspection->offer.queues);
	out->queue = queue;
	out->abi = inspection->offer.abi;
	out->order = inspection->offer.ring_order;
	msg_printable(inspection->disk.name, strlen(inspection->disk.name), out->disk,
		      sizeof(out->disk));
	out->bytes = calloc(1u << out->order, RING_PAGE_BYTES);
	if (!out->bytes)
		return err_set(e, -ENOMEM, TAP_EXIT_SYSTEM, "no memory for a copy of the ring");
	ret = map_and_copy(inspection, inspection->offer.queue[queue].ring_refs, out, e);
	if (!ret)
		ret = ring_setup(&out->ring, out->bytes, out->abi, out->order);
	if (ret) {
		ring_copy_free(out);
		return ret;
	}
	out->taken_ns = now_ns();
	if (told)
		add_private(&stats, out);
	return 0;
}

void ring_copy_free(struct ring_copy *copy)
{
	free(copy->bytes);
	memset(copy, 0, sizeof(*copy));
}

int page_copy_take(uint32_t domid, uint32_t gref, uint8_t out[static RING_PAGE_BYTES],
		   struct err *e)
{
	xengnttab_handle *gnttab = xengnttab_open(xenquiet(), 0);
	int ret = 0;
	void *page;

	if (!gnttab)
		return open_failed(e);
	page = xengnttab_map_grant_ref(gnttab, domid, gref, PROT_READ);
	if (page) {
		memcpy(out, page, RING_PAGE_BYTES);
		xengnttab_unmap(gnttab, page, 1);
	} else {
		ret = map_failed(domid, gref, 1, e);
	}
	xengnttab_close(gnttab);
	return ret;
}
