/* SPDX-License-Identifier: MIT */
/*
 * verify: random operations in flight together, each answer compared with a model of the disk.
 *
 * Operations that touch the same bytes are never in flight together unless both read: the next one
 * of the sequence waits. So the model may change when a write is submitted, and every read has one
 * right answer.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "front-job.h"
#include "front-model.h"
#include "json.h"
#include "num.h"

#define RANGE_DEFAULT_BYTES (1ull << 30)
#define OPS_DEFAULT	    10000
#define SHOWN_BYTES	    16 /* of a difference */

struct flight {
	struct front_op op;
	struct model_op plan;
	bool busy;
};

struct verify {
	struct front_job *job;
	struct model model;
	struct flight *flights;
	unsigned n_flights, n_busy;
	char *buffers; /* model.op_max_bytes for each flight */
	uint64_t ops, random_done;
	uint64_t finished; /* of this stage */
	uint64_t reads, writes, flushes, barriers, discards, bytes;
	uint64_t elapsed_ns;
	uint64_t different_at; /* UINT64_MAX: nowhere */
};

static void hex(const unsigned char *bytes, uint64_t n, char text[static 3 * SHOWN_BYTES])
{
	for (uint64_t i = 0; i < n; i++)
		text += sprintf(text, "%s%02x", i ? " " : "", bytes[i]);
}

static int report_difference(struct verify *verify, const struct flight *flight, uint64_t at,
			     struct err *e)
{
	const struct front_op *op = &flight->op;
	uint64_t left = op->offset_bytes + op->length_bytes - at;
	uint64_t n = left < SHOWN_BYTES ? left : SHOWN_BYTES;
	char expected[3 * SHOWN_BYTES], seen[3 * SHOWN_BYTES], which[48] = "reading all";

	verify->different_at = at;
	hex(verify->model.bytes + at, n, expected);
	hex((unsigned char *)op->data + (at - op->offset_bytes), n, seen);
	if (flight->plan.number)
		snprintf(which, sizeof(which), "operation %" PRIu64, flight->plan.number);
	err_set(e, -EILSEQ, TAP_EXIT_FOUND,
		"difference at byte %" PRIu64 ": expected %s, seen %s (%s, %" PRIu64
		" bytes at %" PRIu64 ")",
		at, expected, seen, which, op->length_bytes, op->offset_bytes);
	err_hint(e,
		 "the same operations again: --seed %" PRIu64 " --range %" PRIu64 " --ops %" PRIu64,
		 verify->model.seed, verify->model.size_bytes, verify->ops);
	return -EILSEQ;
}

/* A finished operation: did it work, and is what it read what the disk must hold? */
static int check(struct verify *verify, struct flight *flight, struct err *e)
{
	struct front_op *op = &flight->op;
	int ret = front_op_error(op, e);
	uint64_t at;

	if (ret || op->operation != REQUEST_READ)
		return ret;
	at = model_difference(&verify->model, op->offset_bytes, op->data, op->length_bytes);
	return at == UINT64_MAX ? 0 : report_difference(verify, flight, at, e);
}

static int reap(struct verify *verify, struct err *e)
{
	struct front_op *done;
	int ret = front_poll(verify->job->front, UINT64_MAX, &done, e);

	for (; !ret && done; done = done->next) {
		struct flight *flight = done->owner;

		flight->busy = false;
		verify->n_busy--;
		verify->finished++;
		ret = check(verify, flight, e);
	}
	return ret;
}

static bool collides(const struct verify *verify, const struct model_op *plan)
{
	for (unsigned i = 0; i < verify->n_flights; i++) {
		const struct model_op *other = &verify->flights[i].plan;

		if (!verify->flights[i].busy ||
		    (!model_op_changes(plan) && !model_op_changes(other)))
			continue;
		if (plan->offset_bytes < other->offset_bytes + other->length_bytes &&
		    other->offset_bytes < plan->offset_bytes + plan->length_bytes)
			return true;
	}
	return false;
}

static struct flight *free_flight(struct verify *verify)
{
	for (unsigned i = 0; i < verify->n_flights; i++) {
		if (!verify->flights[i].busy)
			return &verify->flights[i];
	}
	return NULL;
}

static char *buffer_of(const struct verify *verify, const struct flight *flight)
{
	return verify->buffers + (size_t)(flight - verify->flights) * verify->model.op_max_bytes;
}

/* @data: where it goes or comes from. */
static int submit(struct verify *verify, struct flight *flight, void *data, struct err *e)
{
	const struct model_op *plan = &flight->plan;
	int ret;

	flight->op = (struct front_op){
		.operation = plan->operation,
		.offset_bytes = plan->offset_bytes,
		.length_bytes = plan->length_bytes,
		.page_offset_sectors = plan->page_offset_sectors,
		.owner = flight,
		.data = data,
	};
	ret = front_submit(verify->job->front, &flight->op);
	if (ret)
		return err_set(e, ret, TAP_EXIT_SYSTEM, "cannot submit operation %" PRIu64 ": %s",
			       plan->number, strerror(-ret));
	flight->busy = true;
	verify->n_busy++;
	return 0;
}

static int start(struct verify *verify, const struct model_op *plan, struct err *e)
{
	struct flight *flight = free_flight(verify);
	void *data = buffer_of(verify, flight);

	flight->plan = *plan;
	if (plan->operation == REQUEST_DISCARD) {
		model_discard(&verify->model, plan->offset_bytes, plan->length_bytes);
	} else if (model_op_changes(plan)) {
		model_write(&verify->model, plan->offset_bytes, plan->length_bytes, plan->number);
		data = verify->model.bytes + plan->offset_bytes;
	}
	verify->reads += plan->operation == REQUEST_READ;
	verify->writes += plan->operation == REQUEST_WRITE;
	verify->flushes += plan->operation == REQUEST_FLUSH_DISKCACHE;
	verify->barriers += plan->operation == REQUEST_WRITE_BARRIER;
	verify->discards += plan->operation == REQUEST_DISCARD;
	verify->bytes += plan->length_bytes;
	return submit(verify, flight, data, e);
}

static int random_operations(struct verify *verify, struct err *e)
{
	struct model_op plan = {0};
	int ret = 0;

	progress_start(&verify->job->progress, "verify");
	verify->finished = 0;
	while (!ret && verify->finished < verify->ops) {
		while (!ret && verify->n_busy < verify->n_flights) {
			if (!plan.number) {
				if (verify->model.ops == verify->ops)
					break;
				model_next(&verify->model, &plan);
			}
			if (collides(verify, &plan))
				break;
			ret = start(verify, &plan, e);
			plan.number = 0;
		}
		if (!ret)
			ret = reap(verify, e);
		progress_show(&verify->job->progress, verify->finished, verify->ops, "ops");
	}
	return ret;
}

/* The whole range once, from end to end: between disk and model, or, where @compared, read beside
 * it. */
static int sweep(struct verify *verify, enum request_operation operation, bool compared,
		 const char *what, struct err *e)
{
	struct model *model = &verify->model;
	uint64_t at = 0;
	int ret = 0;

	progress_start(&verify->job->progress, what);
	while (!ret && (at < model->size_bytes || verify->n_busy)) {
		while (!ret && at < model->size_bytes && verify->n_busy < verify->n_flights) {
			struct flight *flight = free_flight(verify);
			uint64_t left = model->size_bytes - at;

			flight->plan = (struct model_op){
				.operation = operation,
				.offset_bytes = at,
				.length_bytes =
					left < model->op_max_bytes ? left : model->op_max_bytes,
			};
			ret = submit(verify, flight,
				     compared ? (void *)buffer_of(verify, flight)
					      : model->bytes + at,
				     e);
			at += flight->plan.length_bytes;
		}
		if (!ret)
			ret = reap(verify, e);
		progress_show(&verify->job->progress, at, model->size_bytes, NULL);
	}
	return ret;
}

/* Known contents to begin with. A read-only disk keeps its own. */
static int fill(struct verify *verify, struct err *e)
{
	if (!verify->model.can_write)
		return sweep(verify, REQUEST_READ, false, "read the disk", e);
	model_write(&verify->model, 0, verify->model.size_bytes, 0);
	return sweep(verify, REQUEST_WRITE, false, "fill the disk", e);
}

static int run(struct verify *verify, struct err *e)
{
	uint64_t started_ns;
	int ret = fill(verify, e);

	if (ret)
		return ret;
	started_ns = now_ns();
	ret = random_operations(verify, e);
	verify->elapsed_ns = now_ns() - started_ns;
	verify->random_done = verify->finished;
	if (!ret && verify->model.can_flush)
		ret = front_flush(verify->job, e);
	if (!ret)
		ret = sweep(verify, REQUEST_READ, true, "compare all", e);
	return ret;
}

static int open_verify(struct verify *verify, struct err *e)
{
	struct front_job *job = verify->job;
	const struct front_facts *facts = front_facts(job->front);
	struct model *model = &verify->model;

	model->size_bytes = job->range_bytes ? job->range_bytes : RANGE_DEFAULT_BYTES;
	if (model->size_bytes > front_disk_bytes(job))
		model->size_bytes = front_disk_bytes(job);
	model->size_bytes -= model->size_bytes % facts->sector_bytes;
	if (!model->size_bytes)
		return err_set(e, -EINVAL, TAP_EXIT_USAGE, "the disk is empty");
	model->sector_bytes = facts->sector_bytes;
	model->can_write = !facts->read_only;
	model->can_flush = facts->flush;
	model->request_bytes = (uint64_t)facts->max_segments * RING_PAGE_BYTES;
	model->barriers = job->barriers;
	model->flush_data = job->flush_data;
	model->discards = job->discards && model->can_write;
	model->zeros = job->discards == DISCARDS_ZEROS;
	model->seed = job->seed;
	/* 53 bits: a number that JSON readers keep. */
	if (!job->seed_given) {
		if (getrandom(&model->seed, sizeof(model->seed), 0) != sizeof(model->seed))
			return err_set(e, -errno, TAP_EXIT_SYSTEM, "no random seed: %s",
				       strerror(errno));
		model->seed >>= 11;
	}
	verify->ops = job->ops ? job->ops : OPS_DEFAULT;
	verify->different_at = UINT64_MAX;
	verify->n_flights = job->iodepth;
	verify->flights = calloc(verify->n_flights, sizeof(*verify->flights));
	if (!verify->flights || model_open(model))
		return err_set(e, -ENOMEM, TAP_EXIT_SYSTEM, "no memory for a model of the disk");
	verify->buffers = malloc((size_t)verify->n_flights * model->op_max_bytes);
	if (!verify->buffers)
		return err_set(e, -ENOMEM, TAP_EXIT_SYSTEM, "no memory for a model of the disk");
	return 0;
}

static void close_verify(struct verify *verify)
{
	front_forget(verify->job->front);
	model_close(&verify->model);
	free(verify->buffers);
	free(verify->flights);
}

static int add_item(const struct verify *verify)
{
	struct json_object *item = json_object_new_object();
	bool different = verify->different_at != UINT64_MAX;

	if (!item)
		return -ENOMEM;
	if (json_set_text(item, "disk", verify->job->disk) ||
	    json_set_number(item, "seed", verify->model.seed) ||
	    json_set_number(item, "range_bytes", verify->model.size_bytes) ||
	    json_set_number(item, "iodepth", verify->job->iodepth) ||
	    json_set_number(item, "operations", verify->random_done) ||
	    json_set_number(item, "reads", verify->reads) ||
	    json_set_number(item, "writes", verify->writes) ||
	    json_set_number(item, "flushes", verify->flushes) ||
	    json_set_number(item, "barriers", verify->barriers) ||
	    json_set_number(item, "discards", verify->discards) ||
	    json_set_number(item, "bytes", verify->bytes) ||
	    json_set_number(item, "elapsed_ns", verify->elapsed_ns) ||
	    json_set_bool(item, "different", different) ||
	    (different && json_set_number(item, "different_at", verify->different_at))) {
		json_object_put(item);
		return -ENOMEM;
	}
	return json_item(verify->job->envelope, item);
}

static void print_text(const struct verify *verify)
{
	char bytes[16], time[16];

	printf("%s: no difference: %" PRIu64 " operations (%" PRIu64 " reads, %" PRIu64
	       " writes, %" PRIu64 " flushes, %" PRIu64 " barriers, %" PRIu64
	       " discards; %s) in %s, %.0f a second\n",
	       verify->job->disk, verify->ops, verify->reads, verify->writes, verify->flushes,
	       verify->barriers, verify->discards, num_format_size(verify->bytes, bytes),
	       num_format_time(verify->elapsed_ns, time),
	       (double)verify->ops * 1e9 / (double)verify->elapsed_ns);
}

int front_verify(struct front_job *job, struct err *e)
{
	struct verify verify = {.job = job};
	char size[16];
	int ret = front_offers(job, e);

	if (!ret)
		ret = open_verify(&verify, e);
	if (!ret && !job->envelope) {
		printf("%s: seed %" PRIu64 ", %s, %" PRIu64 " operations at depth %u\n", job->disk,
		       verify.model.seed, num_format_size(verify.model.size_bytes, size),
		       verify.ops, job->iodepth);
		fflush(stdout); /* known also if this run is killed */
	}
	if (!ret)
		ret = run(&verify, e);
	progress_end(&job->progress);
	if (job->envelope && verify.model.bytes && add_item(&verify) && !ret)
		ret = err_set(e, -ENOMEM, TAP_EXIT_SYSTEM, "no memory");
	if (!ret && !job->envelope)
		print_text(&verify);
	close_verify(&verify);
	return ret;
}
