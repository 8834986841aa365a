/* SPDX-License-Identifier: MIT */
/* Grant tables. */
#include "hv-state.h"

#include <errno.h>
#include <xen/grant_table.h>

static void set_used(struct hv *hv, struct domain *d, uint32_t ref, uint32_t frame,
		     uint32_t grantee, bool writable)
{
	d->grants[ref] = (struct grant){
		.used = true,
		.writable = writable,
		.grantee = (uint16_t)grantee,
		.frame = frame,
	};
	d->grants_used++;
	if (ref >= d->grants_top)
		d->grants_top = (ref / SIM_GRANTS_FRAME + 1) * SIM_GRANTS_FRAME;
}

int grant_add_at(struct hv *hv, struct domain *d, uint32_t ref, uint32_t grantee, bool writable)
{
	uint32_t frame;
	int ret = frame_alloc(hv, &frame);

	if (ret < 0)
		return ret;
	set_used(hv, d, ref, frame, grantee, writable);
	return 0;
}

int grant_add(struct hv *hv, struct domain *d, uint32_t grantee, bool writable, uint32_t *ref)
{
	for (uint32_t r = d->grant_hint; r < SIM_GRANTS; r++) {
		if (d->grants[r].used)
			continue;
		d->grant_hint = r + 1;
		*ref = r;
		return grant_add_at(hv, d, r, grantee, writable);
	}
	d->grant_hint = SIM_GRANTS;
	return -ENOSPC;
}

static void free_grant(struct hv *hv, struct domain *d, uint32_t ref)
{
	frame_free(hv, d->grants[ref].frame);
	d->grants[ref] = (struct grant){0};
	d->grants_used--;
	if (ref >= SIM_GRANT_FIRST && ref < d->grant_hint)
		d->grant_hint = ref;
	domain_settle(d);
}

void grant_end(struct hv *hv, struct domain *d, uint32_t ref)
{
	struct grant *g = &d->grants[ref];

	g->orphan = true;
	if (!g->maps)
		free_grant(hv, d, ref);
}

struct grant *grant_find(struct hv *hv, uint32_t domid, uint32_t ref, uint32_t by, bool write,
			 int *status)
{
	struct domain *d = domain_get(hv, domid);
	struct grant *g;

	*status = GNTST_bad_domain;
	if (!d || d->dying)
		return NULL;
	*status = GNTST_bad_gntref;
	if (ref >= d->grants_top)
		return NULL;
	/* Xen's words for "not granted, not to you, or not for writing". */
	*status = GNTST_general_error;
	g = &d->grants[ref];
	if (!g->used || g->grantee != by || (write && !g->writable))
		return NULL;
	*status = GNTST_okay;
	return g;
}

void grant_put(struct hv *hv, uint32_t domid, uint32_t ref)
{
	struct domain *d = &hv->domains[domid];
	struct grant *g = &d->grants[ref];

	g->maps--;
	if (!g->maps && g->orphan)
		free_grant(hv, d, ref);
}
