/* SPDX-License-Identifier: MIT */
/* Pages that a domain grants to another. */
#include "hv-state.h"

#include <errno.h>
#include <stdlib.h>

static void end_all(struct hv *hv, struct domain *d, struct hold *hold)
{
	for (uint32_t i = 0; i < hold->count; i++)
		grant_end(hv, d, hold->refs[i].ref);
	free(hold);
}

static int grant_all(struct hv *hv, struct domain *d, struct hold *hold, uint32_t grantee,
		     uint32_t count, struct sim_shared *shared)
{
	for (uint32_t i = 0; i < count; i++) {
		uint32_t ref;
		int ret = grant_add(hv, d, grantee, hold->writable, &ref);

		if (ret < 0)
			return ret;
		shared[i] = (struct sim_shared){ref, d->grants[ref].frame};
		hold->refs[hold->count++] = (struct held_ref){(uint16_t)d->id, ref};
	}
	return 0;
}

int share_pages(struct hv *hv, struct conn *conn, const struct wire_message *m)
{
	const struct sim_request *r = &m->head.request;
	struct domain *d = &hv->domains[conn->domid];
	struct unmap_notify notify = {r->arg[3], r->arg[4]};
	uint32_t grantee = r->arg[0], count = r->arg[2];
	struct sim_shared *shared;
	struct hold *hold;
	int ret;

	if (grantee > UINT16_MAX || !count)
		return -EINVAL;
	if (count > SIM_GRANTS)
		return -ENOSPC;
	shared = malloc(count * sizeof(*shared));
	hold = shared ? hold_new(conn, count) : NULL;
	if (!hold) {
		free(shared);
		return -ENOMEM;
	}
	hold->writable = r->arg[1];
	ret = grant_all(hv, d, hold, grantee, count, shared);
	if (ret == 0)
		ret = hold_notify(hv, conn, hold, &notify);
	if (ret < 0) {
		end_all(hv, d, hold_take(conn, hold->id));
	} else {
		ret = conn_reply(conn, hold->id, shared, count * sizeof(*shared), -1);
	}
	free(shared);
	return ret;
}

static void unshare(struct hv *hv, struct conn *conn, struct hold *hold)
{
	struct domain *d = &hv->domains[conn->domid];

	hold_send_notify(hv, conn, hold, d->grants[hold->refs[0].ref].frame);
	end_all(hv, d, hold);
}

int share_end(struct hv *hv, struct conn *conn, uint32_t id)
{
	const struct hold *hold = hold_find(conn, id);

	if (!hold)
		return -EINVAL;
	for (uint32_t i = 0; i < hold->count; i++)
		if (hv->domains[conn->domid].grants[hold->refs[i].ref].maps)
			return -EBUSY;
	unshare(hv, conn, hold_take(conn, id));
	return 0;
}

/* The process is gone: a page that is still mapped stays granted until its last unmap. */
void share_release(struct hv *hv, struct conn *conn)
{
	while (conn->holds)
		unshare(hv, conn, hold_take(conn, conn->holds->id));
}
