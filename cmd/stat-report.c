/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "json.h"
#include "num.h"
#include "stat-report.h"

/* A column's value, or NAN where nothing can be said. */
typedef double value_fn(const struct sample *now, const struct sample_delta *delta);

static double rate(const struct sample_delta *delta, uint64_t count)
{
	return (double)count * 1e9 / (double)delta->interval_ns;
}

static double ratio(uint64_t count, uint64_t by)
{
	return by ? (double)count / (double)by : NAN;
}

static double requests_rate(const struct sample *now, const struct sample_delta *delta)
{
	return delta->known ? rate(delta, delta->requests) : NAN;
}

static double reads(const struct sample *now, const struct sample_delta *delta)
{
	return rate(delta, delta->counters.op[STATS_READ].done);
}

static double writes(const struct sample *now, const struct sample_delta *delta)
{
	return rate(delta, delta->counters.op[STATS_WRITE].done);
}

static double flushes(const struct sample *now, const struct sample_delta *delta)
{
	return rate(delta, delta->counters.op[STATS_FLUSH].done);
}

static double read_kib(const struct sample *now, const struct sample_delta *delta)
{
	return rate(delta, delta->counters.op[STATS_READ].sectors) * SECTOR_BYTES / 1024;
}

static double written_kib(const struct sample *now, const struct sample_delta *delta)
{
	return rate(delta, delta->counters.op[STATS_WRITE].sectors) * SECTOR_BYTES / 1024;
}

static double read_await_ms(const struct sample *now, const struct sample_delta *delta)
{
	return (double)sample_await_ns(&delta->counters.op[STATS_READ]) / 1e6;
}

static double write_await_ms(const struct sample *now, const struct sample_delta *delta)
{
	return (double)sample_await_ns(&delta->counters.op[STATS_WRITE]) / 1e6;
}

static double p99_ms(const struct sample *now, const struct sample_delta *delta)
{
	return (double)sample_percentile_ns(&delta->counters, 990) / 1e6;
}

static double depth(const struct sample *now, const struct sample_delta *delta)
{
	return now->source == SAMPLE_NOTHING ? NAN : (double)now->in_flight;
}

static double per_batch(const struct sample *now, const struct sample_delta *delta)
{
	return ratio(delta->counters.requests, delta->counters.batches);
}

static double errors(const struct sample *now, const struct sample_delta *delta)
{
	return (double)sample_errors(&delta->counters);
}

static double page_operations(const struct sample *now, const struct sample_delta *delta)
{
	const struct pages_counters *pages = &delta->counters.pages;

	return ratio(pages->map_calls + pages->unmap_calls + pages->copy_calls,
		     delta->counters.requests);
}

static double kept_hits_percent(const struct sample *now, const struct sample_delta *delta)
{
	const struct pages_counters *pages = &delta->counters.pages;

	return 100 *
	       ratio(pages->persistent_hits, pages->persistent_hits + pages->persistent_misses);
}

static double kept(const struct sample *now, const struct sample_delta *delta)
{
	return (double)delta->counters.pages.persistent_kept;
}

static double evicted(const struct sample *now, const struct sample_delta *delta)
{
	return (double)delta->counters.pages.persistent_evicted;
}

static double submits(const struct sample *now, const struct sample_delta *delta)
{
	return ratio(delta->counters.io_submits, delta->counters.requests);
}

static double notifies(const struct sample *now, const struct sample_delta *delta)
{
	return ratio(delta->counters.notifies, delta->counters.requests);
}

static const struct column {
	const char *name;
	int width, digits;
	bool extended, any_source;
	value_fn *value;
} columns[] = {
	{"req/s", 9, 1, false, true, requests_rate},
	{"r/s", 9, 1, false, false, reads},
	{"w/s", 9, 1, false, false, writes},
	{"f/s", 7, 1, false, false, flushes},
	{"rkB/s", 10, 1, false, false, read_kib},
	{"wkB/s", 10, 1, false, false, written_kib},
	{"r_await", 8, 3, false, false, read_await_ms},
	{"w_await", 8, 3, false, false, write_await_ms},
	{"p99", 8, 3, false, false, p99_ms},
	{"depth", 6, 0, false, true, depth},
	{"req/batch", 9, 1, false, false, per_batch},
	{"errors", 7, 0, false, false, errors},
	{"pgop/req", 9, 3, true, false, page_operations},
	{"%hit", 6, 1, true, false, kept_hits_percent},
	{"kept", 6, 0, true, false, kept},
	{"evicted", 7, 0, true, false, evicted},
	{"subm/req", 9, 3, true, false, submits},
	{"ntfy/req", 9, 3, true, false, notifies},
};

static int name_width(const struct stat_row *rows, unsigned n)
{
	size_t width = 10;

	for (unsigned i = 0; i < n; i++) {
		size_t length = strlen(rows[i].now->disk.name);

		width = length > width ? length : width;
	}
	return (int)width;
}

static void print_header(int width, bool extended, FILE *to)
{
	fprintf(to, "%-*s", width, "DISK");
	for (size_t i = 0; i < ARRAY_SIZE(columns); i++) {
		if (!columns[i].extended || extended)
			fprintf(to, " %*s", columns[i].width, columns[i].name);
	}
	for (unsigned fault = REQUEST_FINE + 1; extended && fault < REQUEST_FAULTS; fault++)
		fprintf(to, " %s", request_fault_name(fault));
	fprintf(to, "%s  state\n", extended ? " image" : "");
}

static void print_row(const struct stat_row *row, int width, bool extended, FILE *to)
{
	struct sample_delta delta;

	sample_between(row->earlier, row->now, &delta);
	fprintf(to, "%-*s", width, row->now->disk.name);
	for (size_t i = 0; i < ARRAY_SIZE(columns); i++) {
		const struct column *column = &columns[i];
		double value = NAN;

		if (column->extended && !extended)
			continue;
		if (column->any_source || delta.has_counters)
			value = column->value(row->now, &delta);
		if (isnan(value))
			fprintf(to, " %*s", column->width, "-");
		else
			fprintf(to, " %*.*f", column->width, column->digits, value);
	}
	for (unsigned fault = REQUEST_FINE + 1; extended && fault < REQUEST_FAULTS; fault++)
		fprintf(to, " %*" PRIu64, (int)strlen(request_fault_name(fault)),
			delta.counters.fault[fault]);
	if (extended)
		fprintf(to, " %5" PRIu64, delta.counters.image_errors);
	fprintf(to, "  %s\n", row->now->state);
}

void stat_report_table(const struct stat_row *rows, unsigned n, bool extended, FILE *to)
{
	int width = name_width(rows, n);

	print_header(width, extended, to);
	for (unsigned i = 0; i < n; i++)
		print_row(&rows[i], width, extended, to);
}

/* A new object under @key, or NULL. */
static struct json_object *add_object(struct json_object *parent, const char *key)
{
	struct json_object *object = json_object_new_object();

	if (object && json_object_object_add(parent, key, object)) {
		json_object_put(object);
		return NULL;
	}
	return object;
}

static int add_operations(const struct stats_queue *total, struct json_object *item)
{
	static const char *const names[STATS_OPS] = {
		[STATS_READ] = "read",
		[STATS_WRITE] = "write",
		[STATS_FLUSH] = "flush",
		[STATS_DISCARD] = "discard",
	};
	int bad = 0;

	for (unsigned op = 0; !bad && op < STATS_OPS; op++) {
		const struct stats_op_counters *counters = &total->op[op];
		struct json_object *object = add_object(item, names[op]);

		if (!object)
			return -ENOMEM;
		bad |= json_set_number(object, "done", counters->done);
		bad |= json_set_number(object, "failed", counters->failed);
		bad |= json_set_number(object, "bytes", counters->sectors * SECTOR_BYTES);
		bad |= json_set_number(object, "total_ns", counters->total_ns);
	}
	return bad;
}

static int add_faults(const struct stats_queue *total, struct json_object *item)
{
	struct json_object *faults = add_object(item, "faults");
	int bad = !faults;

	for (unsigned fault = REQUEST_FINE + 1; !bad && fault < REQUEST_FAULTS; fault++)
		bad |= json_set_number(faults, request_fault_name(fault), total->fault[fault]);
	return bad;
}

static int add_counters(const struct stats_queue *total, struct json_object *item)
{
	const struct {
		const char *key;
		uint64_t value;
	} rows[] = {
		{"requests", total->requests},
		{"responses", total->responses},
		{"wakeups", total->wakeups},
		{"batches", total->batches},
		{"pushes", total->pushes},
		{"notifies", total->notifies},
		{"io_submits", total->io_submits},
		{"io_reaps", total->io_reaps},
		{"image_errors", total->image_errors},
		{"map_calls", total->pages.map_calls},
		{"unmap_calls", total->pages.unmap_calls},
		{"copy_calls", total->pages.copy_calls},
		{"pages_mapped", total->pages.pages_mapped},
		{"pages_unmapped", total->pages.pages_unmapped},
		{"pages_copied", total->pages.pages_copied},
		{"persistent_hits", total->pages.persistent_hits},
		{"persistent_misses", total->pages.persistent_misses},
		{"persistent_evicted", total->pages.persistent_evicted},
		{"persistent_kept", total->pages.persistent_kept},
	};
	int bad = 0;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		bad |= json_set_number(item, rows[i].key, rows[i].value);
	return bad | add_operations(total, item) | add_faults(total, item);
}

static int add_rings(const struct sample *now, struct json_object *item)
{
	struct json_object *rings = json_object_new_array();
	int bad = 0;

	if (!rings || json_object_object_add(item, "rings", rings))
		return -ENOMEM;
	for (unsigned i = 0; !bad && i < now->rings; i++) {
		struct json_object *ring = json_object_new_object();

		if (!ring || json_object_array_add(rings, ring))
			return -ENOMEM;
		bad |= json_set_number(ring, "queue", i);
		bad |= json_set_number(ring, "req_prod", now->ring[i].req_prod);
		bad |= json_set_number(ring, "rsp_prod", now->ring[i].rsp_prod);
	}
	return bad;
}

static int add_item(const struct stat_row *row, struct json_object *envelope)
{
	const struct sample *now = row->now;
	struct json_object *item = json_object_new_object();
	struct sample_delta delta;
	int bad;

	if (!item)
		return -ENOMEM;
	sample_between(row->earlier, now, &delta);
	bad = json_set_text(item, "disk", now->disk.name);
	bad |= json_set_number(item, "domid", now->disk.domid);
	bad |= json_set_number(item, "vdev", now->disk.vdev);
	bad |= json_set_text(item, "kind", now->disk.kind);
	bad |= json_set_text(item, "state", now->state);
	bad |= json_set_text(item, "source", sample_source_name(now->source));
	bad |= json_set_number(item, "server", (uint64_t)now->server);
	bad |= json_set_number(item, "taken_ns", now->taken_ns);
	if (now->source != SAMPLE_NOTHING)
		bad |= json_set_number(item, "in_flight", now->in_flight);
	if (now->source == SAMPLE_STATS) {
		bad |= json_set_number(item, "broken_rings", now->breaks);
		bad |= json_set_number(item, "stopped_rings", now->stopped);
		bad |= add_counters(&now->total, item);
	}
	if (now->source == SAMPLE_RING)
		bad |= add_rings(now, item);
	if (delta.known) {
		bad |= json_set_number(item, "interval_ns", delta.interval_ns);
		bad |= json_set_number(item, "interval_requests", delta.requests);
	}
	if (delta.has_counters) {
		const struct stats_op_counters *op = delta.counters.op;

		bad |= json_set_number(item, "interval_read_await_ns",
				       sample_await_ns(&op[STATS_READ]));
		bad |= json_set_number(item, "interval_write_await_ns",
				       sample_await_ns(&op[STATS_WRITE]));
		bad |= json_set_number(item, "interval_p99_ns",
				       sample_percentile_ns(&delta.counters, 990));
		bad |= json_set_number(item, "interval_errors", sample_errors(&delta.counters));
	}
	return bad | json_item(envelope, item) ? -ENOMEM : 0;
}

int stat_report_json(const struct stat_row *rows, unsigned n, struct json_object *envelope)
{
	int ret = 0;

	for (unsigned i = 0; !ret && i < n; i++)
		ret = add_item(&rows[i], envelope);
	return ret;
}
