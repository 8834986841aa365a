/* SPDX-License-Identifier: MIT */
/* libxengnttab, the side that maps and copies what others have granted. */
#include "preload.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <xengnttab.h>

SIM_EXPORT xengnttab_handle *xengnttab_open(struct xentoollog_logger *logger, unsigned open_flags)
{
	xengnttab_handle *xgt;

	if (SIM_FAILS(xengnttab_open))
		return NULL;
	xgt = malloc(sizeof(*xgt));
	if (xgt && !sim_open(&xgt->sim, SIM_KIND_GNTTAB, true))
		return xgt;
	free(xgt);
	return NULL;
}

/* A close cannot fail half-way: a call that TAP_SIM_FAIL names says -1, and all is released. */
SIM_EXPORT int xengnttab_close(xengnttab_handle *xgt)
{
	bool fails = SIM_FAILS(xengnttab_close);
	int error = errno;

	if (!xgt)
		return 0;
	sim_close(&xgt->sim);
	free(xgt);
	errno = error;
	return fails ? -1 : 0;
}

SIM_EXPORT int xengnttab_fd(xengnttab_handle *xgt)
{
	return xgt->sim.socket;
}

SIM_EXPORT int xengnttab_set_max_grants(xengnttab_handle *xgt, uint32_t nr_grants)
{
	struct sim_request limit = {.op = SIM_LIMIT, .arg = {nr_grants}};

	if (SIM_FAILS(xengnttab_set_max_grants))
		return -1;
	return sim_call(&xgt->sim, &limit, NULL, 0, NULL);
}

static void unmap_by_id(struct sim_handle *h, uint32_t id)
{
	struct sim_request unmap = {.op = SIM_UNMAP, .arg = {id}};
	int saved = errno;

	sim_call(h, &unmap, NULL, 0, NULL);
	errno = saved;
}

static void *map_refs(xengnttab_handle *xgt, const struct sim_ref *refs, uint32_t count, int prot,
		      uint32_t notify_offset, uint32_t notify_port)
{
	struct sim_handle *h = &xgt->sim;
	struct sim_request map = {.op = SIM_MAP,
				  .arg = {!!(prot & PROT_WRITE), notify_offset, notify_port}};
	struct wire_message reply;
	uint32_t id;
	char *start;

	if (sim_call(h, &map, refs, count * sizeof(*refs), &reply) < 0)
		return NULL;
	id = reply.head.reply.arg[0];
	start = sim_map_frames(h, reply.payload, 1, count, prot);
	wire_message_free(&reply);
	if (!start) {
		unmap_by_id(h, id);
		return NULL;
	}
	if (sim_range_add(h, start, count, id) < 0) {
		munmap(start, (size_t)count * SIM_PAGE_BYTES);
		unmap_by_id(h, id);
		return NULL;
	}
	return start;
}

/* @domids has one entry for each reference, or one for all with a stride of 0. */
static void *map_list(xengnttab_handle *xgt, uint32_t count, const uint32_t *domids,
		      uint32_t domid_stride, const uint32_t *refs, int prot)
{
	struct sim_ref *list;
	void *start;

	if (!count || count > SIM_BATCH) {
		errno = EINVAL;
		return NULL;
	}
	list = malloc(count * sizeof(*list));
	if (!list)
		return NULL;
	for (uint32_t i = 0; i < count; i++)
		list[i] = (struct sim_ref){domids[i * domid_stride], refs[i]};
	start = map_refs(xgt, list, count, prot, SIM_NONE, SIM_NONE);
	free(list);
	return start;
}

SIM_EXPORT void *xengnttab_map_grant_ref(xengnttab_handle *xgt, uint32_t domid, uint32_t ref,
					 int prot)
{
	if (SIM_FAILS(xengnttab_map_grant_ref))
		return NULL;
	return map_list(xgt, 1, &domid, 0, &ref, prot);
}

SIM_EXPORT void *xengnttab_map_grant_refs(xengnttab_handle *xgt, uint32_t count, uint32_t *domids,
					  uint32_t *refs, int prot)
{
	if (SIM_FAILS(xengnttab_map_grant_refs))
		return NULL;
	return map_list(xgt, count, domids, 1, refs, prot);
}

SIM_EXPORT void *xengnttab_map_domain_grant_refs(xengnttab_handle *xgt, uint32_t count,
						 uint32_t domid, uint32_t *refs, int prot)
{
	if (SIM_FAILS(xengnttab_map_domain_grant_refs))
		return NULL;
	return map_list(xgt, count, &domid, 0, refs, prot);
}

SIM_EXPORT void *xengnttab_map_grant_ref_notify(xengnttab_handle *xgt, uint32_t domid, uint32_t ref,
						int prot, uint32_t notify_offset,
						evtchn_port_t notify_port)
{
	struct sim_ref one = {domid, ref};

	if (SIM_FAILS(xengnttab_map_grant_ref_notify))
		return NULL;
	return map_refs(xgt, &one, 1, prot, notify_offset, notify_port);
}

SIM_EXPORT int xengnttab_unmap(xengnttab_handle *xgt, void *start_address, uint32_t count)
{
	struct sim_request unmap = {.op = SIM_UNMAP};

	if (SIM_FAILS(xengnttab_unmap))
		return -1;
	if (!start_address || !sim_range_find(&xgt->sim, start_address, count, &unmap.arg[0])) {
		errno = EINVAL;
		return -1;
	}
	/* Out of the list first: once the pages are gone, another thread may map at their address.
	 */
	sim_range_drop(&xgt->sim, unmap.arg[0]);
	munmap(start_address, (size_t)count * SIM_PAGE_BYTES);
	return sim_call(&xgt->sim, &unmap, NULL, 0, NULL);
}

static struct sim_end end_of(const union xengnttab_copy_ptr *p, bool foreign)
{
	if (!foreign)
		return (struct sim_end){.domid = SIM_NONE};
	return (struct sim_end){p->foreign.domid, p->foreign.ref, p->foreign.offset};
}

static char *memory_of(struct sim_handle *h)
{
	char *memory;

	pthread_mutex_lock(&h->lock);
	if (!h->memory) {
		memory = mmap(NULL, (size_t)SIM_FRAMES * SIM_PAGE_BYTES, PROT_READ | PROT_WRITE,
			      MAP_SHARED | MAP_NORESERVE, h->fd, 0);
		if (memory != MAP_FAILED) {
			h->memory = memory;
			madvise(memory, (size_t)SIM_FRAMES * SIM_PAGE_BYTES, MADV_DONTDUMP);
		}
	}
	memory = h->memory;
	pthread_mutex_unlock(&h->lock);
	return memory;
}

static void copy_segments(char *memory, uint32_t count, xengnttab_grant_copy_segment_t *segs,
			  const struct sim_verdict *verdicts)
{
	for (uint32_t i = 0; i < count; i++) {
		xengnttab_grant_copy_segment_t *s = &segs[i];
		const struct sim_verdict *v = &verdicts[i];
		const char *from = s->source.virt;
		char *to = s->dest.virt;

		s->status = (int16_t)v->status;
		if (v->status != GNTST_okay)
			continue;
		if (s->flags & GNTCOPY_source_gref)
			from = memory + (size_t)v->source_frame * SIM_PAGE_BYTES +
			       s->source.foreign.offset;
		if (s->flags & GNTCOPY_dest_gref)
			to = memory + (size_t)v->dest_frame * SIM_PAGE_BYTES +
			     s->dest.foreign.offset;
		memmove(to, from, s->len);
	}
}

SIM_EXPORT int xengnttab_grant_copy(xengnttab_handle *xgt, uint32_t count,
				    xengnttab_grant_copy_segment_t *segs)
{
	struct sim_request copy = {.op = SIM_COPY}, done = {.op = SIM_COPY_DONE};
	char *memory = memory_of(&xgt->sim);
	struct sim_segment *list;
	struct wire_message reply;
	int ret;

	if (SIM_FAILS(xengnttab_grant_copy) || !memory)
		return -1;
	if (!count)
		return 0;
	list = calloc(count, sizeof(*list));
	if (!list)
		return -1;
	for (uint32_t i = 0; i < count; i++) {
		list[i].source = end_of(&segs[i].source, segs[i].flags & GNTCOPY_source_gref);
		list[i].dest = end_of(&segs[i].dest, segs[i].flags & GNTCOPY_dest_gref);
		list[i].length_bytes = segs[i].len;
	}
	ret = sim_call(&xgt->sim, &copy, list, count * sizeof(*list), &reply);
	free(list);
	if (ret < 0)
		return -1;
	/*
	 * The hypervisor holds the pages until it hears that the copy is done; and who copied may
	 * tell the guest so at once, which may then end the grant: hence it must have heard.
	 */
	copy_segments(memory, count, segs, reply.payload);
	done.arg[0] = reply.head.reply.arg[0];
	wire_message_free(&reply);
	return sim_call(&xgt->sim, &done, NULL, 0, NULL);
}
