/* SPDX-License-Identifier: MIT */
#include "queue.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/queue.h>

#include "channel.h"
#include "num.h"
#include "xenquiet.h"

/* One request from fetch to answer. There is one for each slot of the ring: never more are in
 * flight. */
struct slot {
	struct queue *queue;
	struct request request;
	uint64_t length_sectors;
	uint64_t fetched_ns;
	struct pages_use use;
	struct image_op op;
	TAILQ_ENTRY(slot) entry; /* free, or in flight in the order of fetching */
	struct iovec iov[REQUEST_SEGMENTS_MAX];
};
TAILQ_HEAD(slot_list, slot);

struct queue {
	struct queue_setup setup;
	struct loop *loop;
	xengnttab_handle *gnttab; /* of the ring pages */
	struct ring ring;
	struct channel *channel;
	struct pages *pages;
	struct image_io *io;
	struct loop_source channel_source, io_source;
	struct loop_task turn;
	struct slot_list free, in_flight;
	struct slot *slots;
	bool masked;	/* an event was taken and the port not yet rearmed */
	bool stopped;	/* no more fetching, by queue_stop() or because the ring broke */
	bool stopping;	/* queue_stop() was called */
	bool told;	/* drained was called */
	bool answering; /* a response was written since the last push */
	/* Room for one batch of each kind; kept here to keep the stack small. */
	struct pages_use *uses[QUEUE_BATCH_MAX], **clear;
	struct image_op *ops[QUEUE_BATCH_MAX];
};

static enum stats_op stats_op_of(uint8_t operation)
{
	switch (operation) {
	case REQUEST_READ:
		return STATS_READ;
	case REQUEST_WRITE:
		return STATS_WRITE;
	case REQUEST_FLUSH_DISKCACHE:
		return STATS_FLUSH;
	default:
		return STATS_OTHER;
	}
}

static void respond(struct queue *queue, const struct request *request, enum response_status status)
{
	ring_back_respond(&queue->ring, request->id, request->operation, (int16_t)status);
	queue->setup.stats->responses++;
	queue->answering = true;
}

/* The one place where responses become visible to the guest: one push, at most one notify. */
static void push(struct queue *queue)
{
	struct stats_queue *stats = queue->setup.stats;
	bool wanted;

	if (!queue->answering)
		return;
	queue->answering = false;
	stats->pushes++;
	wanted = ring_back_push(&queue->ring);
	stats->rsp_prod = queue->ring.rsp_prod_pvt;
	if (wanted) {
		stats->notifies++;
		channel_notify(queue->channel);
	}
}

static void refuse(struct queue *queue, struct slot *slot, enum request_fault fault)
{
	queue->setup.stats->fault[fault]++;
	respond(queue, &slot->request, request_fault_status(fault));
	TAILQ_INSERT_HEAD(&queue->free, slot, entry);
}

/* The answer to a request that went to the image, its pages no longer in our hands. */
static void answer(struct queue *queue, struct slot *slot, int result, uint64_t at_ns)
{
	struct stats_queue *stats = queue->setup.stats;
	enum stats_op op = stats_op_of(slot->request.operation);

	if (result == -EFAULT)
		stats->fault[FAULT_GRANT]++;
	else if (result)
		stats->image_errors++;
	stats_count(stats, op, !result, slot->length_sectors, at_ns - slot->fetched_ns);
	respond(queue, &slot->request, result ? RESPONSE_ERROR : RESPONSE_OKAY);
	TAILQ_REMOVE(&queue->in_flight, slot, entry);
	TAILQ_INSERT_HEAD(&queue->free, slot, entry);
	stats->in_flight--;
}

/* Reap, release, respond: what finished since the last turn, as one batch. */
static void finish_batch(struct queue *queue)
{
	struct stats_queue *stats = queue->setup.stats;
	unsigned n, uses = 0, clear;
	uint64_t at_ns;

	n = image_io_reap(queue->io, queue->ops, QUEUE_BATCH_MAX, &stats->io_reaps);
	if (!n)
		return;
	at_ns = now_ns();
	for (unsigned i = 0; i < n; i++) {
		struct slot *slot = queue->ops[i]->owner;

		if (!slot->op.iovcnt) { /* no pages: an empty flush */
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

/* Fetch and check: at most a batch of sound requests into in_flight; the others are answered. */
static unsigned fetch_batch(struct queue *queue, struct slot **batch, unsigned waiting)
{
	struct stats_queue *stats = queue->setup.stats;
	uint64_t at_ns = now_ns();
	unsigned n = 0;

	if (waiting > QUEUE_BATCH_MAX)
		waiting = QUEUE_BATCH_MAX;
	for (unsigned i = 0; i < waiting; i++) {
		struct slot *slot = TAILQ_FIRST(&queue->free);
		enum request_fault fault;

		TAILQ_REMOVE(&queue->free, slot, entry);
		ring_back_fetch(&queue->ring, &slot->request);
		stats->requests++;
		slot->fetched_ns = at_ns;
		fault = request_check(&slot->request, queue->setup.limits, &slot->length_sectors);
		if (fault != REQUEST_FINE)
			refuse(queue, slot, fault);
		else
			batch[n++] = slot;
	}
	return n;
}

static void prepare_op(struct slot *slot)
{
	struct image_op *op = &slot->op;

	op->owner = slot;
	op->iov = slot->iov;
	op->iovcnt = 0;
	op->offset_bytes = slot->request.sector * SECTOR_BYTES;
	op->length_bytes = slot->length_sectors * SECTOR_BYTES;
	op->result = 0;
	switch (slot->request.operation) {
	case REQUEST_READ:
		op->operation = IMAGE_READ;
		break;
	case REQUEST_WRITE:
		op->operation = IMAGE_WRITE;
		break;
	default: /* request_check() lets nothing else through */
		op->operation = IMAGE_FLUSH;
		op->offset_bytes = 0;
		break;
	}
}

/* Acquire the pages of a batch in one call, start what has them in another. */
static void start_batch(struct queue *queue, struct slot **batch, unsigned n)
{
	struct stats_queue *stats = queue->setup.stats;
	unsigned uses = 0, ops = 0;

	for (unsigned i = 0; i < n; i++) {
		prepare_op(batch[i]);
		batch[i]->use.status = 0;
		if (batch[i]->length_sectors)
			queue->uses[uses++] = &batch[i]->use;
	}
	pages_acquire(queue->pages, queue->uses, uses);
	for (unsigned i = 0; i < n; i++) {
		struct slot *slot = batch[i];

		if (slot->use.status) {
			refuse(queue, slot, FAULT_GRANT);
			continue;
		}
		if (slot->length_sectors)
			slot->op.iovcnt = slot->use.iovcnt;
		TAILQ_INSERT_TAIL(&queue->in_flight, slot, entry);
		stats->in_flight++;
		queue->ops[ops++] = &slot->op;
	}
	if (ops)
		image_io_submit(queue->io, queue->ops, ops, &stats->io_submits);
}

static void ring_broke(struct queue *queue)
{
	queue->stopped = true;
	queue->setup.broken(queue, queue->setup.opaque);
}

/* Returns false when nothing was waiting. */
static bool take_batch(struct queue *queue)
{
	struct slot *batch[QUEUE_BATCH_MAX];
	struct stats_queue *stats = queue->setup.stats;
	int waiting = ring_back_waiting(&queue->ring);
	unsigned n;

	if (waiting < 0)
		ring_broke(queue);
	if (waiting <= 0)
		return false;
	stats->batches++;
	n = fetch_batch(queue, batch, (unsigned)waiting);
	/* Told before the image gets them: it may hold us up, and then this is looked at. */
	stats->req_cons = queue->ring.req_cons;
	if (n && !stats->oldest_ns)
		stats->oldest_ns = batch[0]->fetched_ns;
	start_batch(queue, batch, n);
	return true;
}

/*
 * Ask for an event and look once more; only when nothing came in between may the port be unmasked
 * and the loop wait. Otherwise there is another turn, after everybody else had theirs.
 */
static void rest(struct queue *queue)
{
	int waiting = ring_back_rest(&queue->ring);

	if (waiting < 0) {
		ring_broke(queue);
	} else if (waiting > 0) {
		loop_defer(queue->loop, &queue->turn);
	} else if (queue->masked) {
		queue->masked = false;
		channel_rearm(queue->channel);
	}
}

static void tell_drained(struct queue *queue)
{
	if (queue->told || !TAILQ_EMPTY(&queue->in_flight))
		return;
	queue->told = true;
	queue->setup.drained(queue, queue->setup.opaque);
}

static void run_turn(struct loop_task *task)
{
	struct queue *queue = task->owner;
	struct stats_queue *stats = queue->setup.stats;
	struct slot *oldest;

	finish_batch(queue);
	push(queue);
	if (!queue->stopped) {
		take_batch(queue);
		push(queue); /* refused ones only: the others are in flight */
	}
	if (!queue->stopped)
		rest(queue);
	oldest = TAILQ_FIRST(&queue->in_flight);
	stats->oldest_ns = oldest ? oldest->fetched_ns : 0;
	if (queue->stopping)
		tell_drained(queue); /* may free the queue: nothing after it */
}

static void channel_ready(struct loop_source *source, uint32_t events)
{
	struct queue *queue = source->owner;

	if (channel_take(queue->channel) <= 0)
		return;
	queue->masked = true;
	queue->setup.stats->wakeups++;
	loop_defer(queue->loop, &queue->turn);
}

static void io_ready(struct loop_source *source, uint32_t events)
{
	struct queue *queue = source->owner;

	loop_defer(queue->loop, &queue->turn);
}

static int map_ring(struct queue *queue, struct err *e)
{
	const struct queue_setup *setup = &queue->setup;
	uint32_t pages = 1u << setup->ring_order;
	void *shared;

	queue->gnttab = xengnttab_open(xenquiet(), 0);
	if (!queue->gnttab)
		return err_set(e, -errno, err_exit_of(-errno), "cannot open the grant device: %s",
			       strerror(errno));
	shared = xengnttab_map_domain_grant_refs(queue->gnttab, pages, setup->domid,
						 queue->setup.ring_refs, PROT_READ | PROT_WRITE);
	if (!shared)
		return err_set(e, -errno, TAP_EXIT_SYSTEM,
			       "cannot map the frontend's ring (ring-ref %u, %u pages): %s",
			       setup->ring_refs[0], pages, strerror(errno));
	return ring_setup(&queue->ring, shared, setup->abi, setup->ring_order);
}

static int make_slots(struct queue *queue)
{
	queue->slots = calloc(queue->ring.slots, sizeof(*queue->slots));
	queue->clear = calloc(queue->ring.slots, sizeof(*queue->clear));
	if (!queue->slots || !queue->clear)
		return -ENOMEM;
	for (unsigned i = 0; i < queue->ring.slots; i++) {
		struct slot *slot = &queue->slots[i];

		slot->queue = queue;
		slot->use.slot = i;
		slot->use.request = &slot->request;
		slot->use.iov = slot->iov;
		TAILQ_INSERT_TAIL(&queue->free, slot, entry);
	}
	return 0;
}

static int open_parts(struct queue *queue, struct err *e)
{
	const struct queue_setup *setup = &queue->setup;
	int ret;

	ret = map_ring(queue, e);
	if (ret < 0)
		return ret;
	ring_back_resume(&queue->ring);
	ret = channel_bind(&queue->channel, setup->domid, setup->port);
	if (ret < 0)
		return err_set(e, ret, TAP_EXIT_SYSTEM,
			       "cannot bind the frontend's event channel %u: %s", setup->port,
			       strerror(-ret));
	ret = make_slots(queue);
	if (!ret)
		ret = pages_open(&queue->pages, setup->mode, setup->domid, queue->ring.slots,
				 setup->max_segments, &setup->stats->pages);
	if (ret < 0)
		return err_set(e, ret, TAP_EXIT_SYSTEM, "cannot set up a page arena: %s",
			       strerror(-ret));
	ret = image_io_open(&queue->io, setup->image, queue->ring.slots);
	if (ret < 0)
		return err_set(e, ret, TAP_EXIT_SYSTEM, "cannot set up asynchronous I/O: %s",
			       strerror(-ret));
	return 0;
}

int queue_open(struct queue **out, const struct queue_setup *setup, struct loop *loop,
	       struct err *e)
{
	struct queue *queue = calloc(1, sizeof(*queue));
	int ret;

	if (!queue)
		return err_set(e, -ENOMEM, TAP_EXIT_SYSTEM, "out of memory");
	queue->setup = *setup;
	queue->loop = loop;
	TAILQ_INIT(&queue->free);
	TAILQ_INIT(&queue->in_flight);
	queue->turn = (struct loop_task){.run = run_turn, .owner = queue};
	queue->channel_source = (struct loop_source){.fd = -1};
	queue->io_source = (struct loop_source){.fd = -1};
	ret = open_parts(queue, e);
	if (ret < 0) {
		queue_close(queue);
		return ret;
	}
	*out = queue;
	return 0;
}

bool queue_is_quiet(const struct queue *queue)
{
	struct ring_indices at = ring_look(&queue->ring);

	return at.req_prod == at.rsp_prod;
}

uint32_t queue_resume_index(const struct queue *queue)
{
	return queue->ring.rsp_prod_pvt;
}

int queue_start(struct queue *queue)
{
	struct stats_queue *stats = queue->setup.stats;
	int ret;

	stats->req_cons = queue->ring.req_cons;
	stats->rsp_prod = queue->ring.rsp_prod_pvt;
	queue->channel_source = (struct loop_source){
		.fd = channel_fd(queue->channel), .ready = channel_ready, .owner = queue};
	ret = loop_add(queue->loop, &queue->channel_source, EPOLLIN);
	if (ret < 0) {
		queue->channel_source.fd = -1;
		return ret;
	}
	queue->io_source = (struct loop_source){
		.fd = image_io_fd(queue->io), .ready = io_ready, .owner = queue};
	ret = loop_add(queue->loop, &queue->io_source, EPOLLIN);
	if (ret < 0) {
		queue->io_source.fd = -1;
		return ret;
	}
	/* A request, or an answer the last server did not notify of, may be there already. */
	channel_notify(queue->channel);
	loop_defer(queue->loop, &queue->turn);
	return 0;
}

void queue_stop(struct queue *queue)
{
	queue->stopped = true;
	queue->stopping = true;
	loop_defer(queue->loop, &queue->turn);
}

unsigned queue_close(struct queue *queue)
{
	unsigned held = 0;

	loop_cancel(queue->loop, &queue->turn);
	if (queue->io_source.fd >= 0)
		loop_remove(queue->loop, &queue->io_source);
	if (queue->channel_source.fd >= 0)
		loop_remove(queue->loop, &queue->channel_source);
	if (queue->pages)
		held = pages_close(queue->pages);
	if (queue->io)
		image_io_close(queue->io);
	channel_close(queue->channel);
	if (queue->ring.shared)
		xengnttab_unmap(queue->gnttab, queue->ring.shared, 1u << queue->setup.ring_order);
	if (queue->gnttab)
		xengnttab_close(queue->gnttab);
	free(queue->clear);
	free(queue->slots);
	free(queue);
	return held;
}
