/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "front-histogram.h"
#include "front-job.h"
#include "json.h"
#include "num.h"

#define RUNTIME_DEFAULT_NS 5000000000ull

struct bench_op {
	struct front_op op;
	uint64_t started_ns;
};

struct bench {
	struct front_job *job;
	struct bench_op *ops;
	char *buffers;
	uint64_t blocks; /* that operations go to */
	uint64_t next_block, random;
	uint64_t submitted, in_flight;
	uint64_t started_ns, deadline_ns, elapsed_ns;
	struct histogram read, write;
};

static const struct {
	const char *key, *label;
	unsigned per_mille;
} percentiles[] = {
	{"p50", "50%", 500}, {"p90", "90%", 900},    {"p95", "95%", 950},
	{"p99", "99%", 990}, {"p999", "99.9%", 999},
};

/* xorshift64: cheap, never zero. */
static uint64_t draw(struct bench *bench)
{
	bench->random ^= bench->random << 13;
	bench->random ^= bench->random >> 7;
	return bench->random ^= bench->random << 17;
}

static bool is_random(enum front_rw rw)
{
	return rw >= RW_RANDREAD;
}

static bool may_write(enum front_rw rw)
{
	return rw == RW_WRITE || rw == RW_RANDWRITE || rw == RW_RANDRW;
}

static int start(struct bench *bench, struct bench_op *op, struct err *e)
{
	enum front_rw rw = bench->job->rw;
	uint64_t block =
		is_random(rw) ? draw(bench) % bench->blocks : bench->next_block++ % bench->blocks;
	bool write = rw == RW_RANDRW ? draw(bench) >> 63 : may_write(rw);
	int ret;

	op->op.operation = write ? REQUEST_WRITE : REQUEST_READ;
	op->op.offset_bytes = block * bench->job->block_bytes;
	op->started_ns = now_ns();
	ret = front_submit(bench->job->front, &op->op);
	if (ret)
		return err_set(e, ret, TAP_EXIT_SYSTEM, "cannot submit: %s", strerror(-ret));
	bench->submitted++;
	bench->in_flight++;
	return 0;
}

static bool wants_more(const struct bench *bench)
{
	if (bench->job->ops && bench->submitted >= bench->job->ops)
		return false;
	return now_ns() < bench->deadline_ns;
}

static int finish(struct bench *bench, struct bench_op *op, uint64_t now, struct err *e)
{
	bench->in_flight--;
	histogram_add(op->op.operation == REQUEST_READ ? &bench->read : &bench->write,
		      now - op->started_ns);
	return front_op_error(&op->op, e);
}

static int run(struct bench *bench, struct err *e)
{
	struct front_op *done, *next;
	int ret = 0;

	progress_start(&bench->job->progress, front_rw_name(bench->job->rw));
	bench->started_ns = now_ns();
	if (add_overflows(bench->started_ns, bench->job->runtime_ns, &bench->deadline_ns))
		bench->deadline_ns = UINT64_MAX;
	for (unsigned i = 0; !ret && i < bench->job->iodepth && wants_more(bench); i++)
		ret = start(bench, &bench->ops[i], e);
	while (!ret && bench->in_flight) {
		uint64_t now;

		ret = front_poll(bench->job->front, UINT64_MAX, &done, e);
		now = now_ns();
		for (; !ret && done; done = next) {
			next = done->next; /* the operation goes out again at once */
			ret = finish(bench, done->owner, now, e);
			if (!ret && wants_more(bench))
				ret = start(bench, done->owner, e);
		}
		progress_show(&bench->job->progress, bench->submitted - bench->in_flight,
			      bench->job->ops, "ops");
	}
	bench->elapsed_ns = now_ns() - bench->started_ns;
	return ret;
}

static int open_bench(struct bench *bench, struct err *e)
{
	struct front_job *job = bench->job;
	const struct front_facts *facts = front_facts(job->front);
	uint64_t range = job->range_bytes, disk_bytes = front_disk_bytes(job);
	size_t buffers_bytes = (size_t)job->iodepth * job->block_bytes;
	int ret;

	if (!range || range > disk_bytes)
		range = disk_bytes;
	bench->blocks = range / job->block_bytes;
	if (job->block_bytes % facts->sector_bytes)
		return err_set(e, -EINVAL, TAP_EXIT_USAGE,
			       "option '--bs': %" PRIu64
			       " is no multiple of the sector size, %" PRIu32,
			       job->block_bytes, facts->sector_bytes);
	if (!bench->blocks)
		return err_set(e, -EINVAL, TAP_EXIT_USAGE,
			       "%" PRIu64 " bytes hold no block of %" PRIu64, range,
			       job->block_bytes);
	ret = may_write(job->rw) ? front_may_write(job, e) : 0;
	if (ret)
		return ret;
	bench->random = now_ns() | 1;
	bench->ops = calloc(job->iodepth, sizeof(*bench->ops));
	bench->buffers = malloc(buffers_bytes);
	if (!bench->ops || !bench->buffers)
		return err_set(e, -ENOMEM, TAP_EXIT_SYSTEM, "no memory");
	/* Not zeros, which a storage may treat as nothing. */
	for (size_t i = 0; i < buffers_bytes; i += sizeof(uint64_t)) {
		uint64_t word = draw(bench);

		memcpy(bench->buffers + i, &word, sizeof(word));
	}
	for (unsigned i = 0; i < job->iodepth; i++) {
		bench->ops[i].op.owner = &bench->ops[i];
		bench->ops[i].op.data = bench->buffers + (size_t)i * job->block_bytes;
		bench->ops[i].op.length_bytes = job->block_bytes;
	}
	return 0;
}

static void close_bench(struct bench *bench)
{
	front_forget(bench->job->front);
	free(bench->buffers);
	free(bench->ops);
}

static double per_second(const struct bench *bench, uint64_t amount)
{
	return bench->elapsed_ns ? (double)amount * 1e9 / (double)bench->elapsed_ns : 0;
}

static void print_direction(const struct bench *bench, const char *name, const struct histogram *h)
{
	uint64_t rate = (uint64_t)per_second(bench, h->count * bench->job->block_bytes);
	char text[16], other[16];

	if (!h->count)
		return;
	printf("%s: %.0f IOPS, %s/s, %" PRIu64 " operations\n", name, per_second(bench, h->count),
	       num_format_size(rate, text), h->count);
	printf("  latency: mean %s, min %s", num_format_time(histogram_mean(h), text),
	       num_format_time(h->min_ns, other));
	for (size_t i = 0; i < ARRAY_SIZE(percentiles); i++)
		printf(", %s %s", percentiles[i].label,
		       num_format_time(histogram_at(h, percentiles[i].per_mille), text));
	printf(", max %s\n", num_format_time(h->max_ns, text));
}

static int add_direction(const struct bench *bench, struct json_object *item, const char *name,
			 const struct histogram *h)
{
	struct json_object *direction, *latency;
	int ret;

	if (!h->count)
		return 0;
	direction = json_object_new_object();
	latency = json_object_new_object();
	if (!direction || !latency) {
		json_object_put(direction);
		json_object_put(latency);
		return -ENOMEM;
	}
	json_object_object_add(item, name, direction);
	json_object_object_add(direction, "latency_ns", latency);
	ret = json_set_number(direction, "operations", h->count) |
	      json_set_number(direction, "iops", (uint64_t)per_second(bench, h->count)) |
	      json_set_number(direction, "bytes_per_second",
			      (uint64_t)per_second(bench, h->count * bench->job->block_bytes)) |
	      json_set_number(latency, "mean", histogram_mean(h)) |
	      json_set_number(latency, "min", h->min_ns) |
	      json_set_number(latency, "max", h->max_ns);
	for (size_t i = 0; i < ARRAY_SIZE(percentiles); i++)
		ret |= json_set_number(latency, percentiles[i].key,
				       histogram_at(h, percentiles[i].per_mille));
	return ret ? -ENOMEM : 0;
}

static int add_item(const struct bench *bench)
{
	struct json_object *item = json_object_new_object();

	if (!item)
		return -ENOMEM;
	if (json_set_text(item, "disk", bench->job->disk) ||
	    json_set_text(item, "rw", front_rw_name(bench->job->rw)) ||
	    json_set_number(item, "block_bytes", bench->job->block_bytes) ||
	    json_set_number(item, "iodepth", bench->job->iodepth) ||
	    json_set_number(item, "elapsed_ns", bench->elapsed_ns) ||
	    add_direction(bench, item, "read", &bench->read) ||
	    add_direction(bench, item, "write", &bench->write)) {
		json_object_put(item);
		return -ENOMEM;
	}
	return json_item(bench->job->envelope, item);
}

static void print_text(const struct bench *bench)
{
	char size[16], time[16];

	printf("%s: %s, blocks of %s, depth %u, %s\n", bench->job->disk,
	       front_rw_name(bench->job->rw), num_format_size(bench->job->block_bytes, size),
	       bench->job->iodepth, num_format_time(bench->elapsed_ns, time));
	print_direction(bench, "read", &bench->read);
	print_direction(bench, "write", &bench->write);
}

int front_bench(struct front_job *job, struct err *e)
{
	struct bench *bench = calloc(1, sizeof(*bench)); /* two histograms: too much for a stack */
	int ret;

	if (!bench)
		return err_set(e, -ENOMEM, TAP_EXIT_SYSTEM, "no memory");
	bench->job = job;
	if (!job->runtime_ns)
		job->runtime_ns = job->ops ? UINT64_MAX : RUNTIME_DEFAULT_NS;
	ret = open_bench(bench, e);
	if (!ret)
		ret = run(bench, e);
	progress_end(&job->progress);
	/* A run that was stopped has measured something, too. */
	if (!ret || ret == -EINTR) {
		if (!job->envelope)
			print_text(bench);
		else if (add_item(bench))
			ret = err_set(e, -ENOMEM, TAP_EXIT_SYSTEM, "no memory");
	}
	close_bench(bench);
	free(bench);
	return ret;
}
