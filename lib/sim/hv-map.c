/* SPDX-License-Identifier: MIT */
/* Grants of others: mapped, and copied. */
#include "hv-state.h"

#include <errno.h>
#include <stdlib.h>
#include <xen/grant_table.h>

/* Unused references of a hold that was only begun have no count yet. */
static void let_go(struct hv *hv, struct hold *hold)
{
	for (uint32_t i = 0; i < hold->count; i++)
		grant_put(hv, hold->refs[i].domid, hold->refs[i].ref);
	free(hold);
}

static int use(struct hv *hv, struct conn *conn, struct hold *hold, const struct sim_ref *ref,
	       bool write, uint32_t *frame)
{
	int status;
	struct grant *g = grant_find(hv, ref->domid, ref->ref, conn->domid, write, &status);

	if (!g)
		return status;
	g->maps++;
	hold->refs[hold->count++] = (struct held_ref){(uint16_t)ref->domid, ref->ref};
	*frame = g->frame;
	return GNTST_okay;
}

/* One reference that cannot be mapped fails the whole call, as in gntdev. */
static int take_all(struct hv *hv, struct conn *conn, struct hold *hold, const struct sim_ref *refs,
		    uint32_t count, uint32_t *frames)
{
	for (uint32_t i = 0; i < count; i++)
		if (use(hv, conn, hold, &refs[i], hold->writable, &frames[i]) != GNTST_okay)
			return -EINVAL;
	return 0;
}

int map_refs(struct hv *hv, struct conn *conn, const struct wire_message *m)
{
	const struct sim_request *r = &m->head.request;
	uint32_t count = (uint32_t)(r->payload_bytes / sizeof(struct sim_ref));
	struct unmap_notify notify = {r->arg[1], r->arg[2]};
	struct hold *hold;
	uint32_t *frames;
	int ret;

	if (!count || count > SIM_BATCH)
		return -EINVAL;
	if (count > conn->limit_pages - conn->mapped_pages)
		return -ENOMEM;
	frames = malloc(count * sizeof(*frames));
	hold = frames ? hold_new(conn, count) : NULL;
	if (!hold) {
		free(frames);
		return -ENOMEM;
	}
	hold->writable = r->arg[0];
	ret = take_all(hv, conn, hold, m->payload, count, frames);
	if (ret == 0)
		ret = hold_notify(hv, conn, hold, &notify);
	if (ret < 0) {
		let_go(hv, hold_take(conn, hold->id));
	} else {
		conn->mapped_pages += count;
		ret = conn_reply(conn, hold->id, frames, count * sizeof(*frames), -1);
	}
	free(frames);
	return ret;
}

static void unmap(struct hv *hv, struct conn *conn, struct hold *hold)
{
	struct held_ref first = hold->refs[0];

	if (!hold->pin) {
		hold_send_notify(hv, conn, hold, hv->domains[first.domid].grants[first.ref].frame);
		conn->mapped_pages -= hold->count;
	}
	let_go(hv, hold);
}

int map_unmap(struct hv *hv, struct conn *conn, uint32_t id)
{
	struct hold *hold = hold_take(conn, id);

	if (!hold)
		return -EINVAL;
	unmap(hv, conn, hold);
	return 0;
}

void map_release(struct hv *hv, struct conn *conn)
{
	while (conn->holds)
		unmap(hv, conn, hold_take(conn, conn->holds->id));
}

static int use_end(struct hv *hv, struct conn *conn, struct hold *hold, const struct sim_end *end,
		   uint32_t length_bytes, bool write, uint32_t *frame)
{
	struct sim_ref ref = {end->domid, end->ref};

	if (end->domid == SIM_NONE)
		return GNTST_okay;
	if (length_bytes > SIM_PAGE_BYTES || end->offset_bytes > SIM_PAGE_BYTES - length_bytes)
		return GNTST_bad_copy_arg;
	return use(hv, conn, hold, &ref, write, frame);
}

/* The pages stay pinned until SIM_COPY_DONE: the bytes are moved by the process that asked. */
int map_copy(struct hv *hv, struct conn *conn, const struct wire_message *m)
{
	uint32_t count = (uint32_t)(m->head.request.payload_bytes / sizeof(struct sim_segment));
	const struct sim_segment *segments = m->payload;
	struct sim_verdict *verdicts = calloc(count ? count : 1, sizeof(*verdicts));
	struct hold *hold = verdicts ? hold_new(conn, 2 * count) : NULL;
	int ret;

	if (!hold) {
		free(verdicts);
		return -ENOMEM;
	}
	hold->pin = true;
	for (uint32_t i = 0; i < count; i++) {
		const struct sim_segment *s = &segments[i];
		struct sim_verdict *v = &verdicts[i];

		v->status = use_end(hv, conn, hold, &s->source, s->length_bytes, false,
				    &v->source_frame);
		if (v->status == GNTST_okay)
			v->status = use_end(hv, conn, hold, &s->dest, s->length_bytes, true,
					    &v->dest_frame);
	}
	ret = conn_reply(conn, hold->id, verdicts, count * sizeof(*verdicts), -1);
	free(verdicts);
	return ret;
}
