/* SPDX-License-Identifier: MIT */
/* What a connection holds, and what the others hear when it lets go. */
#include "hv-state.h"

#include <errno.h>
#include <stdlib.h>

struct hold *hold_new(struct conn *conn, uint32_t capacity)
{
	struct hold *hold = calloc(1, sizeof(*hold) + capacity * sizeof(hold->refs[0]));

	if (!hold)
		return NULL;
	hold->id = ++conn->last_id;
	hold->notify = (struct unmap_notify){SIM_NONE, SIM_NONE};
	hold->next = conn->holds;
	conn->holds = hold;
	return hold;
}

struct hold *hold_find(struct conn *conn, uint32_t id)
{
	struct hold *hold = conn->holds;

	while (hold && hold->id != id)
		hold = hold->next;
	return hold;
}

struct hold *hold_take(struct conn *conn, uint32_t id)
{
	struct hold **at = &conn->holds, *hold;

	while (*at && (*at)->id != id)
		at = &(*at)->next;
	hold = *at;
	if (hold)
		*at = hold->next;
	return hold;
}

static bool notify_valid(struct hv *hv, const struct conn *conn, const struct unmap_notify *n)
{
	if (n->offset_bytes != SIM_NONE && n->offset_bytes >= SIM_PAGE_BYTES)
		return false;
	if (n->port == SIM_NONE)
		return true;
	return n->port < SIM_PORTS && hv->domains[conn->domid].ports[n->port].state != PORT_FREE;
}

int hold_notify(struct hv *hv, const struct conn *conn, struct hold *hold,
		const struct unmap_notify *n)
{
	if (!notify_valid(hv, conn, n))
		return -EINVAL;
	/* A byte to clear, through a read-only map. */
	if (n->offset_bytes != SIM_NONE && conn->kind == SIM_KIND_GNTTAB && !hold->writable)
		return -EINVAL;
	hold->notify = *n;
	if (n->port != SIM_NONE)
		port_keep(&hv->domains[conn->domid], n->port);
	return 0;
}

void hold_send_notify(struct hv *hv, const struct conn *conn, const struct hold *hold,
		      uint32_t frame)
{
	struct domain *d = &hv->domains[conn->domid];

	if (hold->notify.offset_bytes != SIM_NONE)
		frame_at(hv, frame)[hold->notify.offset_bytes] = 0;
	if (hold->notify.port == SIM_NONE)
		return;
	port_notify(hv, d, hold->notify.port);
	port_put(hv, d, hold->notify.port);
}
