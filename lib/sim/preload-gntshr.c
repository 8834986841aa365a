/* SPDX-License-Identifier: MIT */
/* libxengnttab, the side that grants pages to others. */
#include "preload.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <xengnttab.h>

SIM_EXPORT xengntshr_handle *xengntshr_open(struct xentoollog_logger *logger, unsigned open_flags)
{
	xengntshr_handle *xgs;

	if (SIM_FAILS(xengntshr_open))
		return NULL;
	xgs = malloc(sizeof(*xgs));
	if (xgs && !sim_open(&xgs->sim, SIM_KIND_GNTSHR, true))
		return xgs;
	free(xgs);
	return NULL;
}

/* As xengnttab_close(): a call that TAP_SIM_FAIL names says -1, and all is released. */
SIM_EXPORT int xengntshr_close(xengntshr_handle *xgs)
{
	bool fails = SIM_FAILS(xengntshr_close);
	int error = errno;

	if (!xgs)
		return 0;
	sim_close(&xgs->sim);
	free(xgs);
	errno = error;
	return fails ? -1 : 0;
}

SIM_EXPORT int xengntshr_fd(xengntshr_handle *xgs)
{
	return xgs->sim.socket;
}

static void unshare_by_id(struct sim_handle *h, uint32_t id)
{
	struct sim_request unshare = {.op = SIM_UNSHARE, .arg = {id}};
	int saved = errno;

	sim_call(h, &unshare, NULL, 0, NULL);
	errno = saved;
}

static void *share(xengntshr_handle *xgs, uint32_t domid, uint32_t count, uint32_t *refs,
		   bool writable, uint32_t notify_offset, uint32_t notify_port)
{
	struct sim_handle *h = &xgs->sim;
	struct sim_request request = {.op = SIM_SHARE,
				      .arg = {domid, writable, count, notify_offset, notify_port}};
	const struct sim_shared *shared;
	struct wire_message reply;
	uint32_t id;
	char *start;

	if (sim_call(h, &request, NULL, 0, &reply) < 0)
		return NULL;
	id = reply.head.reply.arg[0];
	shared = reply.payload;
	start = sim_map_frames(h, &shared->frame, sizeof(*shared) / sizeof(uint32_t), count,
			       PROT_READ | PROT_WRITE);
	for (uint32_t i = 0; start && i < count; i++)
		refs[i] = shared[i].ref;
	wire_message_free(&reply);
	if (!start) {
		unshare_by_id(h, id);
		return NULL;
	}
	if (sim_range_add(h, start, count, id) < 0) {
		munmap(start, (size_t)count * SIM_PAGE_BYTES);
		unshare_by_id(h, id);
		return NULL;
	}
	return start;
}

SIM_EXPORT void *xengntshr_share_pages(xengntshr_handle *xgs, uint32_t domid, int count,
				       uint32_t *refs, int writable)
{
	if (SIM_FAILS(xengntshr_share_pages))
		return NULL;
	if (count <= 0) {
		errno = EINVAL;
		return NULL;
	}
	return share(xgs, domid, (uint32_t)count, refs, writable, SIM_NONE, SIM_NONE);
}

SIM_EXPORT void *xengntshr_share_page_notify(xengntshr_handle *xgs, uint32_t domid, uint32_t *ref,
					     int writable, uint32_t notify_offset,
					     evtchn_port_t notify_port)
{
	if (SIM_FAILS(xengntshr_share_page_notify))
		return NULL;
	return share(xgs, domid, 1, ref, writable, notify_offset, notify_port);
}

/* The hypervisor is asked first: pages that somebody still maps stay granted, and stay mapped here.
 */
SIM_EXPORT int xengntshr_unshare(xengntshr_handle *xgs, void *start_address, uint32_t count)
{
	struct sim_request unshare = {.op = SIM_UNSHARE};

	if (SIM_FAILS(xengntshr_unshare))
		return -1;
	if (!start_address || !sim_range_find(&xgs->sim, start_address, count, &unshare.arg[0])) {
		errno = EINVAL;
		return -1;
	}
	if (sim_call(&xgs->sim, &unshare, NULL, 0, NULL) < 0)
		return -1;
	sim_range_drop(&xgs->sim, unshare.arg[0]);
	return munmap(start_address, (size_t)count * SIM_PAGE_BYTES);
}
