/* SPDX-License-Identifier: MIT */
#define __XEN_TOOLS__ /* the hypercalls as they are today */
#include "grants.h"

#include <errno.h>
#include <xen/xen.h>
#include <xen/grant_table.h>
#include <xencall.h>

#include "attach.h"
#include "num.h"
#include "request.h"
#include "ring.h"
#include "stats.h"
#include "xenquiet.h"

#define FRAME_BYTES    4096u
#define FRAMES_DEFAULT 64u /* of Xen: gnttab_max_frames */
#define RESERVED       8u  /* GNTTAB_NR_RESERVED_ENTRIES: the first ones are the toolstack's */

/* What Linux' blkfront uses unless its parameters say otherwise (protocol.md 13). */
static const struct grants_caps linux_usual = {4, 0, 32};
static const struct grants_caps all = {STATS_QUEUES, RING_ORDER_MAX, REQUEST_SEGMENTS_MAX};

const struct grants_caps grants_no_caps = {GRANTS_NO_CAP, GRANTS_NO_CAP, GRANTS_NO_CAP};

static uint32_t either(uint32_t cap, uint32_t otherwise)
{
	return cap == GRANTS_NO_CAP ? otherwise : cap;
}

uint64_t grants_of(const struct grants_caps *caps, bool most)
{
	const struct grants_caps *otherwise = most ? &all : &linux_usual;
	uint32_t order = either(caps->max_ring_order, otherwise->max_ring_order);
	uint32_t segments = either(caps->max_segments, otherwise->max_segments);
	struct request request = {.indirect_segments = (uint16_t)segments};
	uint64_t per_request = REQUEST_SEGMENTS_DIRECT;

	if (segments > REQUEST_SEGMENTS_DIRECT)
		per_request = segments + request_indirect_pages(&request);
	return either(caps->max_queues, otherwise->max_queues) *
	       ((1u << order) + ring_slots(RING_ABI_X86_64, order) * per_request);
}

static int64_t entries(uint32_t version, uint32_t frames)
{
	uint32_t bytes = version == 2 ? sizeof(grant_entry_v2_t) : sizeof(grant_entry_v1_t);

	return (int64_t)frames * (FRAME_BYTES / bytes) - RESERVED;
}

/* The size of the table is in frames; what fits one depends on the version that the guest chose. */
static int64_t ask(xencall_handle *xen, void *buf, uint32_t domid)
{
	struct gnttab_query_size *size = buf;
	struct gnttab_get_version *version = buf;
	uint32_t frames;

	*size = (struct gnttab_query_size){.dom = (domid_t)domid};
	if (xencall3(xen, __HYPERVISOR_grant_table_op, GNTTABOP_query_size, (uintptr_t)buf, 1))
		return -errno;
	if (size->status != GNTST_okay)
		return -EPERM;
	frames = size->max_nr_frames;
	*version = (struct gnttab_get_version){.dom = (domid_t)domid};
	if (xencall3(xen, __HYPERVISOR_grant_table_op, GNTTABOP_get_version, (uintptr_t)buf, 1))
		return -errno;
	return entries(version->version, frames);
}

int64_t grants_limit(uint32_t domid)
{
	xencall_handle *xen = xencall_open(xenquiet(), 0);
	int64_t limit = -ENOMEM;
	void *buf;

	if (!xen)
		return -ENODEV;
	buf = xencall_alloc_buffer(xen, sizeof(struct gnttab_query_size));
	if (buf) {
		limit = ask(xen, buf, domid);
		xencall_free_buffer(xen, buf);
	}
	xencall_close(xen);
	return limit;
}

struct adding {
	struct store *store;
	const struct disk *disk;
	struct grants_estimate *out;
};

static void read_cap(struct store *store, const struct disk *disk, const char *key, uint32_t max,
		     uint32_t *cap)
{
	uint64_t number;

	if (!store_read_number(store, XBT_NULL, disk->backend, key, 0, max, &number))
		*cap = (uint32_t)number;
}

static int add_disk(const struct disk *disk, void *opaque)
{
	struct adding *adding = opaque;
	struct grants_caps caps = grants_no_caps;

	if (disk->domid != adding->disk->domid || disk->vdev == adding->disk->vdev)
		return 0;
	read_cap(adding->store, disk, NODE_MAX_QUEUES, all.max_queues, &caps.max_queues);
	read_cap(adding->store, disk, NODE_MAX_RING_ORDER, all.max_ring_order,
		 &caps.max_ring_order);
	read_cap(adding->store, disk, NODE_MAX_SEGMENTS, all.max_segments, &caps.max_segments);
	adding->out->others++;
	adding->out->total += grants_of(&caps, false);
	return 0;
}

int grants_estimate(struct store *store, const struct disk *disk, const struct grants_caps *caps,
		    struct grants_estimate *out)
{
	struct adding adding = {.store = store, .disk = disk, .out = out};
	int64_t limit = grants_limit(disk->domid);

	*out = (struct grants_estimate){.disk = grants_of(caps, false),
					.disk_most = grants_of(caps, true)};
	out->total = out->disk;
	out->limit_known = limit > 0;
	out->limit = (uint64_t)(limit > 0 ? limit : entries(1, FRAMES_DEFAULT));
	return disk_each(store, NULL, add_disk, &adding);
}

bool grants_are_scarce(const struct grants_estimate *estimate)
{
	return estimate->total > estimate->limit / 4 * 3;
}
