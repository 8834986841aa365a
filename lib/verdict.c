/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "num.h"
#include "verdict.h"

const char *verdict_name(enum verdict verdict)
{
	static const char *const names[] = {
		[VERDICT_IDLE] = "idle",
		[VERDICT_BUSY] = "busy",
		[VERDICT_MOVING] = "moving",
		[VERDICT_BACKEND_STUCK] = "backend-stuck",
		[VERDICT_FRONTEND_STUCK] = "frontend-stuck",
		[VERDICT_BROKEN] = "broken",
		[VERDICT_STOPPED] = "ring-stopped",
	};

	return names[verdict];
}

bool verdict_is_bad(enum verdict verdict)
{
	return verdict >= VERDICT_BACKEND_STUCK;
}

__attribute__((format(printf, 3, 4))) static void judge(struct verdict_facts *out,
							enum verdict verdict, const char *fmt, ...)
{
	va_list ap;

	out->verdict = verdict;
	va_start(ap, fmt);
	vsnprintf(out->text, sizeof(out->text), fmt, ap);
	va_end(ap);
}

__attribute__((format(printf, 2, 3))) static void add(struct verdict_facts *out, const char *fmt,
						      ...)
{
	size_t length = strlen(out->text);
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(out->text + length, sizeof(out->text) - length, fmt, ap);
	va_end(ap);
}

/* True, and judged, when no honest pair of ends can have left such indices. */
static bool broken(const struct ring_copy *now, const struct ring_indices *at,
		   struct verdict_facts *out)
{
	uint32_t ahead = at->req_prod - at->rsp_prod;

	if (ahead <= now->ring.slots)
		return false;
	/* Indices wrap: what is more than half the way round ahead is behind. */
	if (ahead > INT32_MAX)
		judge(out, VERDICT_BROKEN,
		      "rsp_prod %u is %u ahead of req_prod %u: more was answered than asked",
		      at->rsp_prod, -ahead, at->req_prod);
	else
		judge(out, VERDICT_BROKEN,
		      "req_prod %u is %u ahead of rsp_prod %u: the ring holds no more than %u",
		      at->req_prod, ahead, at->rsp_prod, now->ring.slots);
	return true;
}

/*
 * A frontend that has taken all responses asks for an event at the next one (rsp_event = rsp_cons +
 * 1), so responses from rsp_event - 1 on wait. One that never sets rsp_event says nothing by it.
 */
static uint32_t untaken(const struct ring_copy *copy, const struct ring_indices *at)
{
	uint32_t waiting = at->rsp_prod - at->rsp_event + 1;

	return waiting <= copy->ring.slots ? waiting : 0;
}

static void add_details(const struct ring_copy *now, struct verdict_facts *out)
{
	char age[16];

	if (out->outstanding && out->knows_unfetched && out->unfetched)
		add(out, ", %u of them not fetched", out->unfetched);
	if (out->outstanding && now->oldest_age_ns)
		add(out, ", the oldest for %s", num_format_time(now->oldest_age_ns, age));
}

/* The guest may have made the indices good again meanwhile: that does not start it. */
static void judge_stopped(const struct ring_copy *now, struct verdict_facts *out)
{
	if (now->stopped == EPROTO)
		judge(out, VERDICT_STOPPED, "its indices were impossible; ");
	else
		judge(out, VERDICT_STOPPED, "its event channel failed (%s); ",
		      strerror((int)now->stopped));
	add(out, "the server takes no request of it until the frontend reconnects");
}

static void judge_one(struct verdict_facts *out)
{
	if (out->outstanding)
		judge(out, VERDICT_BUSY, "%u request%s outstanding", out->outstanding,
		      out->outstanding == 1 ? "" : "s");
	else if (out->untaken)
		judge(out, VERDICT_IDLE, "nothing outstanding, %u response%s not taken yet",
		      out->untaken, out->untaken == 1 ? "" : "s");
	else
		judge(out, VERDICT_IDLE, "nothing outstanding");
}

static void judge_two(const struct ring_copy *earlier, const struct ring_copy *now,
		      const struct ring_indices *at, struct verdict_facts *out)
{
	struct ring_indices was = ring_look(&earlier->ring);
	uint32_t waited = was.req_prod - was.rsp_prod;
	char time[16];

	out->moved_requests = at->req_prod - was.req_prod;
	out->moved_responses = at->rsp_prod - was.rsp_prod;
	num_format_time(now->taken_ns - earlier->taken_ns, time);
	if (out->moved_requests > INT32_MAX || out->moved_responses > INT32_MAX) {
		out->moved_requests = out->moved_responses = 0;
		judge(out, VERDICT_MOVING, "the ring began anew between the two looks");
	} else if (waited && waited <= earlier->ring.slots && !out->moved_responses) {
		judge(out, VERDICT_BACKEND_STUCK, "%u request%s outstanding, none answered in %s",
		      out->outstanding, out->outstanding == 1 ? "" : "s", time);
	} else if (out->moved_requests || out->moved_responses) {
		judge(out, VERDICT_MOVING, "%u request%s and %u response%s in %s, %u outstanding",
		      out->moved_requests, out->moved_requests == 1 ? "" : "s",
		      out->moved_responses, out->moved_responses == 1 ? "" : "s", time,
		      out->outstanding);
	} else if (out->untaken && untaken(earlier, &was) && at->rsp_event == was.rsp_event) {
		judge(out, VERDICT_FRONTEND_STUCK, "%u response%s that the frontend does not take",
		      out->untaken, out->untaken == 1 ? "" : "s");
	} else {
		judge_one(out);
	}
}

void verdict_of(const struct ring_copy *earlier, const struct ring_copy *now,
		struct verdict_facts *out)
{
	struct ring_indices at = ring_look(&now->ring);

	memset(out, 0, sizeof(*out));
	if (broken(now, &at, out)) {
		if (now->stopped)
			add(out, "; the server stopped it until the frontend reconnects");
		return;
	}
	out->outstanding = at.req_prod - at.rsp_prod;
	out->untaken = untaken(now, &at);
	/* A file may say anything of req_cons. */
	out->knows_unfetched = now->has_private && at.req_prod - now->req_cons <= out->outstanding;
	if (out->knows_unfetched)
		out->unfetched = at.req_prod - now->req_cons;
	if (now->stopped)
		judge_stopped(now, out);
	else if (earlier)
		judge_two(earlier, now, &at, out);
	else
		judge_one(out);
	add_details(now, out);
}
