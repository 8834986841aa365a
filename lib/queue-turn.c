/* SPDX-License-Identifier: MIT */
/*
 * The way of requests through a queue, each step on a batch:
 * fetch, check, acquire, submit ... reap, release, respond, push, notify.
 */
#include <errno.h>

#include "num.h"
#include "queue-inner.h"
#include "share.h"

static enum stats_op stats_op_of(const struct request *request)
{
	switch (request_task(request)) {
	case REQUEST_READ:
		return STATS_READ;
	case REQUEST_WRITE:
		return STATS_WRITE;
	case REQUEST_DISCARD:
		return STATS_DISCARD;
	default:
		return STATS_FLUSH;
	}
}

/* The answer to an indirect request carries the inner operation (protocol.md 3). */
static void respond(struct queue *queue, const struct request *request, enum response_status status)
{
	ring_back_respond(&queue->ring, request->id, request_task(request), (int16_t)status);
	queue->setup.stats->responses++;
	queue->answering = true;
}

/* The one place where responses become visible to the guest: one push, at most one notify. */
static void push(struct queue *queue)
{
	struct stats_queue *stats = queue->setup.stats;
	int ret = 0;

	if (!queue->answering)
		return;
	queue->answering = false;
	stats->pushes++;
	stats->rsp_prod = queue->ring.rsp_prod_pvt; /* before anybody can be told */
	if (ring_back_push(&queue->ring)) {
		stats->notifies++;
		ret = channel_notify(queue->channel);
	}
	if (ret)
		queue_break(queue, ret);
}

static void free_slot(struct queue *queue, struct slot *slot)
{
	TAILQ_INSERT_HEAD(&queue->free, slot, entry);
}

static void refuse(struct queue *queue, struct slot *slot, enum request_fault fault)
{
	queue->setup.stats->fault[fault]++;
	respond(queue, &slot->request, request_fault_status(fault));
	free_slot(queue, slot);
}

/* The answer to a request that went to the image, its pages no longer in our hands. */
static void answer(struct queue *queue, struct slot *slot, int result, uint64_t at_ns)
{
	struct stats_queue *stats = queue->setup.stats;
	enum response_status status = result ? RESPONSE_ERROR : RESPONSE_OKAY;

	if (result == -EFAULT)
		stats->fault[FAULT_GRANT]++;
	else if (result)
		stats->image_errors++;
	/* The image cannot: the frontend is to stop asking, which is no loss of data. */
	if (result == -EOPNOTSUPP && request_task(&slot->request) == REQUEST_DISCARD)
		status = RESPONSE_EOPNOTSUPP;
	stats_count(stats, stats_op_of(&slot->request), !result, slot->length_sectors,
		    at_ns - slot->fetched_ns);
	respond(queue, &slot->request, status);
	TAILQ_REMOVE(&queue->in_flight, slot, entry);
	free_slot(queue, slot);
	stats->in_flight--;
	if (slot == queue->barrier) {
		queue->barrier = NULL;
		queue_tell(queue, NEWS_BARRIER_DONE);
	}
}

static unsigned steps_of(const struct request *request, const struct request_limits *limits,
			 uint64_t length_sectors)
{
	unsigned data = length_sectors ? STEP_DATA : 0;
	unsigned flush = limits->can_flush ? STEP_FLUSH_BEFORE : 0;

	switch (request->operation) {
	case REQUEST_FLUSH_DISKCACHE:
		return flush | data;
	case REQUEST_WRITE_BARRIER: /* what came before is durable, then the data, then that too */
		return flush | data | (data && flush ? STEP_FLUSH_AFTER : 0);
	default:
		return data;
	}
}

static void prepare_data(const struct request_limits *limits, struct slot *slot)
{
	struct image_op *op = &slot->op;

	op->iov = slot->iov;
	op->iovcnt = slot->has_pages ? slot->use.iovcnt : 0;
	op->offset_bytes = slot->request.sector * SECTOR_BYTES;
	op->length_bytes = slot->length_sectors * SECTOR_BYTES;
	switch (request_task(&slot->request)) {
	case REQUEST_READ:
		op->operation = IMAGE_READ;
		break;
	case REQUEST_DISCARD:
		op->operation = IMAGE_DISCARD;
		op->secure =
			limits->can_discard_secure && (slot->request.flag & REQUEST_DISCARD_SECURE);
		break;
	default:
		op->operation = IMAGE_WRITE;
		break;
	}
}

static struct image_op *next_step(const struct request_limits *limits, struct slot *slot)
{
	unsigned step = slot->steps & -slot->steps;
	struct image_op *op = &slot->op;

	slot->steps &= ~step;
	op->owner = slot;
	op->result = 0;
	if (step == STEP_DATA) {
		prepare_data(limits, slot);
	} else {
		op->operation = IMAGE_FLUSH;
		op->offset_bytes = 0;
		op->length_bytes = 0;
		op->iovcnt = 0;
	}
	return op;
}

/* A step of @slot is done: start the next one, or say that the request is finished. */
static bool goes_on(struct queue *queue, struct slot *slot)
{
	struct image_op *op;

	if (slot->op.result || !slot->steps)
		return false;
	op = next_step(&queue->setup.limits, slot);
	image_io_submit(queue->io, &op, 1, &queue->setup.stats->io_submits);
	return true;
}

/* The turn's budget for @slot; an indirect count that cannot be is the end of it, no more. */
static void spend(struct queue *queue, const struct slot *slot)
{
	unsigned segments = request_count(&slot->request);

	if (!segments)
		segments = 1;
	queue->budget -= segments < queue->budget ? segments : queue->budget;
}

/* Reap, release, respond: what finished since the last turn, as one batch. */
static void finish_batch(struct queue *queue)
{
	struct stats_queue *stats = queue->setup.stats;
	unsigned uses = 0, clear;
	uint64_t at_ns;

	if (queue->done_at == queue->done_end) {
		queue->done_at = 0;
		queue->done_end =
			image_io_reap(queue->io, queue->done, QUEUE_BATCH_MAX, &stats->io_reaps);
	}
	if (queue->done_at == queue->done_end)
		return;
	at_ns = now_ns();
	while (queue->done_at < queue->done_end && queue->budget) {
		struct slot *slot = queue->done[queue->done_at++]->owner;

		spend(queue, slot);
		if (goes_on(queue, slot))
			continue;
		if (!slot->has_pages) {
			answer(queue, slot, slot->op.result, at_ns);
			continue;
		}
		slot->use.status = slot->op.result;
		queue->uses[uses++] = &slot->use;
	}
	clear = pages_release(queue->pages, queue->uses, uses, queue->clear);
	for (unsigned i = 0; i < clear; i++) {
		struct pages_use *use = queue->clear[i];

		answer(queue, &queue->slots[use->slot], use->status, at_ns);
	}
}

/* Copy up to a batch of requests out of the ring. Nothing is fetched beyond a barrier. */
static unsigned fetch_batch(struct queue *queue, unsigned waiting)
{
	struct stats_queue *stats = queue->setup.stats;
	uint64_t at_ns = now_ns();
	unsigned n = 0;

	while (n < waiting && n < QUEUE_BATCH_MAX && queue->budget && !TAILQ_EMPTY(&queue->free)) {
		struct slot *slot = TAILQ_FIRST(&queue->free);

		TAILQ_REMOVE(&queue->free, slot, entry);
		ring_back_fetch(&queue->ring, &slot->request);
		slot->fetched_ns = at_ns;
		queue->batch[n++] = slot;
		spend(queue, slot);
		if (slot->request.operation == REQUEST_WRITE_BARRIER)
			break;
	}
	stats->requests += n;
	stats->req_cons = queue->ring.req_cons;
	return n;
}

/* The segments of indirect requests, in one copy for all of the batch. What fails is NULL in it. */
static void fetch_indirect(struct queue *queue, unsigned n)
{
	struct slot *waiting[QUEUE_BATCH_MAX];
	unsigned fetches = 0;

	for (unsigned i = 0; i < n; i++) {
		struct slot *slot = queue->batch[i];
		enum request_fault fault;

		if (slot->request.operation != REQUEST_INDIRECT)
			continue;
		fault = request_check_indirect(&slot->request, &queue->setup.limits);
		if (fault) {
			refuse(queue, slot, fault);
			queue->batch[i] = NULL;
			continue;
		}
		waiting[fetches] = slot;
		queue->fetches[fetches++] = (struct pages_indirect){
			.request = &slot->request, .into = slot->indirect, .status = -EFAULT};
	}
	pages_fetch_indirect(queue->pages, queue->fetches, fetches);
	for (unsigned i = 0; i < fetches; i++) {
		if (!queue->fetches[i].status)
			waiting[i]->request.indirect = waiting[i]->indirect;
	}
}

/* Keep the sound requests in the batch, answer the others, put a barrier aside. */
static unsigned check_batch(struct queue *queue, unsigned n)
{
	unsigned sound = 0;

	for (unsigned i = 0; i < n; i++) {
		struct slot *slot = queue->batch[i];
		enum request_fault fault;

		if (!slot)
			continue;
		fault = request_check(&slot->request, &queue->setup.limits, &slot->length_sectors);
		if (fault) {
			refuse(queue, slot, fault);
			continue;
		}
		slot->steps = steps_of(&slot->request, &queue->setup.limits, slot->length_sectors);
		if (slot->request.operation == REQUEST_WRITE_BARRIER)
			queue->barrier = slot;
		else
			queue->batch[sound++] = slot;
	}
	return sound;
}

static void note_oldest(struct queue *queue)
{
	const struct slot *oldest = TAILQ_FIRST(&queue->in_flight);

	queue->setup.stats->oldest_ns = oldest ? oldest->fetched_ns : 0;
}

static bool needs_pages(const struct slot *slot)
{
	return slot->length_sectors && request_task(&slot->request) != REQUEST_DISCARD;
}

/* Acquire the pages of a batch in one call, start what has them in another. */
static void start_batch(struct queue *queue, struct slot **batch, unsigned n)
{
	struct stats_queue *stats = queue->setup.stats;
	unsigned uses = 0, ops = 0;

	for (unsigned i = 0; i < n; i++) {
		batch[i]->has_pages = needs_pages(batch[i]);
		batch[i]->use.status = 0;
		if (batch[i]->has_pages)
			queue->uses[uses++] = &batch[i]->use;
	}
	pages_acquire(queue->pages, queue->uses, uses);
	for (unsigned i = 0; i < n; i++) {
		struct slot *slot = batch[i];

		if (slot->use.status && slot != queue->barrier) {
			refuse(queue, slot, FAULT_GRANT);
			continue;
		}
		TAILQ_INSERT_TAIL(&queue->in_flight, slot, entry);
		stats->in_flight++;
		if (slot->use.status) { /* of a barrier: the others are still to be released */
			slot->has_pages = false;
			answer(queue, slot, -EFAULT, slot->fetched_ns);
			continue;
		}
		if (!slot->steps) { /* a barrier without data on an image that cannot flush */
			answer(queue, slot, 0, now_ns());
			continue;
		}
		queue->ops[ops++] = next_step(&queue->setup.limits, slot);
	}
	note_oldest(queue); /* before the image is asked, which may hang */
	if (ops)
		image_io_submit(queue->io, queue->ops, ops, &stats->io_submits);
}

static bool may_fetch(const struct queue *queue)
{
	return !queue->stopped && !queue->holding && !queue->barrier;
}

static void take_batch(struct queue *queue)
{
	int waiting = ring_back_waiting(&queue->ring);
	unsigned n;

	if (waiting < 0)
		queue_break(queue, waiting);
	if (waiting <= 0)
		return;
	n = fetch_batch(queue, (unsigned)waiting);
	if (!n)
		return;
	queue->setup.stats->batches++;
	fetch_indirect(queue, n);
	start_batch(queue, queue->batch, check_batch(queue, n));
	if (queue->barrier)
		queue_tell(queue, NEWS_BARRIER);
}

/* False when the guest sent too many events for nothing: a turn follows at the right time. */
static bool may_rearm(struct queue *queue)
{
	uint64_t requests = queue->setup.stats->requests, at_ns = now_ns();
	bool useful = requests != queue->rearmed_at; /* with it, or shortly before it came */

	if (!queue->judged)
		queue->rearm_ns = share_event(queue->turn.share, useful, at_ns);
	queue->judged = true;
	if (!useful && queue->rearm_ns > at_ns) {
		loop_defer_until(queue->loop, &queue->turn, queue->rearm_ns);
		return false;
	}
	queue->rearmed_at = requests;
	return true;
}

/*
 * Ask for an event and look once more; only when nothing came in between may the port be unmasked
 * and the loop wait. Otherwise there is another turn, after everybody else had theirs.
 */
static void rest(struct queue *queue)
{
	int waiting;

	if (TAILQ_EMPTY(&queue->free))
		return; /* a completion brings the next turn */
	waiting = ring_back_rest(&queue->ring);
	if (waiting < 0) {
		queue_break(queue, waiting);
	} else if (waiting > 0) {
		loop_defer(queue->loop, &queue->turn);
	} else if (queue->masked && may_rearm(queue)) {
		queue->masked = false;
		waiting = channel_rearm(queue->channel);
		if (waiting)
			queue_break(queue, waiting);
	}
}

/*
 * Whoever waits for the queue to be empty is told once. A barrier that waits comes before the end:
 * it was consumed, and it is answered. May be the end of the queue: nothing after it.
 */
static void tell_empty(struct queue *queue)
{
	if (!TAILQ_EMPTY(&queue->in_flight))
		return;
	if (queue->holding && !queue->told_held) {
		queue->told_held = true;
		queue_tell(queue, NEWS_HELD);
	}
	if (queue->stopping && !queue->barrier)
		queue_finish(queue);
}

void queue_turn(struct loop_task *task)
{
	struct queue *queue = task->owner;

	queue->budget = QUEUE_TURN_SEGMENTS;
	finish_batch(queue);
	push(queue);
	if (may_fetch(queue)) {
		take_batch(queue);
		push(queue); /* refused ones only: the others are in flight */
	}
	if (!queue->budget)
		loop_defer(queue->loop, &queue->turn);
	else if (may_fetch(queue))
		rest(queue);
	note_oldest(queue);
	tell_empty(queue);
}

void queue_turn_barrier(struct queue *queue)
{
	struct slot *slot = queue->barrier;

	start_batch(queue, &slot, 1);
	push(queue);
}
