/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "ring-copy.h"
#include "sample.h"
#include "verdict.h"

/* Everything before the gauges is of 64 bits, and a counter with one exception. */
#define COUNTER_WORDS (offsetof(struct stats_queue, in_flight) / sizeof(uint64_t))

const char *sample_source_name(enum sample_source source)
{
	static const char *const names[] = {
		[SAMPLE_NOTHING] = "none",
		[SAMPLE_RING] = "ring",
		[SAMPLE_STATS] = "stat",
	};

	return names[source];
}

static void take_stats(const struct inspection *in, struct sample *out)
{
	const struct stats_file *stats = &in->stats;

	out->source = SAMPLE_STATS;
	out->start_ns = stats->start_ns;
	stats_sum(stats, &out->total);
	out->in_flight = out->total.in_flight;
	out->breaks = stats->breaks;
	out->stopped = in->server ? stats_stopped(stats) : 0;
	if (!in->server)
		out->state = stats->stopped_clean ? "stopped" : "died";
	else if (!stats->connected)
		out->state = "waiting";
	else
		out->state = out->stopped ? "broken" : "connected";
}

static void take_rings(const struct inspection *in, struct sample *out)
{
	out->source = SAMPLE_RING;
	for (unsigned i = 0; i < in->offer.queues; i++) {
		struct verdict_facts facts;
		struct ring_indices at;
		struct ring_copy copy;

		if (ring_copy_take(in, i, &copy, NULL)) {
			out->source = SAMPLE_NOTHING;
			return;
		}
		verdict_of(NULL, &copy, &facts);
		at = ring_look(&copy.ring);
		ring_copy_free(&copy);
		if (facts.verdict == VERDICT_BROKEN)
			out->state = "broken";
		out->in_flight += facts.outstanding;
		out->ring[out->rings++] = (struct sample_ring){
			.identity = in->offer.queue[i],
			.req_prod = at.req_prod,
			.rsp_prod = at.rsp_prod,
		};
	}
}

int sample_disk(struct store *store, const struct disk *disk, struct sample *out)
{
	struct inspection *in = malloc(sizeof(*in));
	bool ours = !strcmp(disk->kind, KIND_DEFAULT);
	int ret;

	*out = (struct sample){.disk = *disk};
	if (!in)
		return -ENOMEM;
	ret = inspect_disk(store, disk, in, NULL);
	if (ret == -ENOENT) {
		free(in);
		return ret;
	}
	out->server = in->server;
	out->state = ours ? "unserved" : xenbus_state_text(in->backend_state);
	if (ret)
		out->state = "malformed";
	if (in->has_stats && (in->server || ours))
		take_stats(in, out);
	else if (in->offer.queues)
		take_rings(in, out);
	out->taken_ns = now_ns();
	free(in);
	return 0;
}

bool sample_same_disk(const struct sample *a, const struct sample *b)
{
	return a->disk.domid == b->disk.domid && a->disk.vdev == b->disk.vdev &&
	       a->disk.backend_domid == b->disk.backend_domid &&
	       !strcmp(a->disk.kind, b->disk.kind);
}

static void subtract(struct stats_queue *counters, const struct stats_queue *earlier)
{
	uint64_t words[COUNTER_WORDS], before[COUNTER_WORDS];
	uint64_t kept = counters->pages.persistent_kept; /* a gauge among them */

	memcpy(words, counters, sizeof(words));
	memcpy(before, earlier, sizeof(before));
	for (size_t i = 0; i < COUNTER_WORDS; i++)
		words[i] -= before[i];
	memcpy(counters, words, sizeof(words));
	counters->pages.persistent_kept = kept;
}

static void between_stats(const struct sample *earlier, const struct sample *now,
			  struct sample_delta *out)
{
	uint64_t from_ns = now->start_ns;

	out->known = true;
	out->has_counters = true;
	out->counters = now->total;
	if (earlier && earlier->source == SAMPLE_STATS && earlier->start_ns == now->start_ns) {
		subtract(&out->counters, &earlier->total);
		from_ns = earlier->taken_ns;
	}
	if (now->taken_ns > from_ns)
		out->interval_ns = now->taken_ns - from_ns;
	out->requests = out->counters.responses;
}

static void between_rings(const struct sample *earlier, const struct sample *now,
			  struct sample_delta *out)
{
	if (!earlier || earlier->source != SAMPLE_RING || earlier->rings != now->rings)
		return;
	for (unsigned i = 0; i < now->rings; i++) {
		if (memcmp(&earlier->ring[i].identity, &now->ring[i].identity,
			   sizeof(now->ring[i].identity)))
			return;
		out->requests += now->ring[i].rsp_prod - earlier->ring[i].rsp_prod;
	}
	out->known = true;
	if (now->taken_ns > earlier->taken_ns)
		out->interval_ns = now->taken_ns - earlier->taken_ns;
}

void sample_between(const struct sample *earlier, const struct sample *now,
		    struct sample_delta *out)
{
	*out = (struct sample_delta){.interval_ns = 1};
	if (now->source == SAMPLE_STATS)
		between_stats(earlier, now, out);
	else if (now->source == SAMPLE_RING)
		between_rings(earlier, now, out);
	if (!out->known)
		out->requests = 0;
}

uint64_t sample_errors(const struct stats_queue *counters)
{
	uint64_t errors = counters->image_errors;

	for (unsigned fault = REQUEST_FINE + 1; fault < REQUEST_FAULTS; fault++)
		errors += counters->fault[fault];
	return errors;
}

uint64_t sample_await_ns(const struct stats_op_counters *counters)
{
	uint64_t answered = counters->done + counters->failed;

	return answered ? counters->total_ns / answered : 0;
}

uint64_t sample_percentile_ns(const struct stats_queue *counters, unsigned permille)
{
	struct stats_op_counters all = {0};

	for (unsigned op = 0; op < STATS_OPS; op++) {
		for (unsigned b = 0; b < STATS_BUCKETS; b++)
			all.bucket[b] += counters->op[op].bucket[b];
	}
	return stats_percentile_ns(&all, permille);
}
