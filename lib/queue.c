/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "queue-inner.h"
#include "xenquiet.h"

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
	size_t segments = queue->setup.max_segments;

	queue->depth = QUEUE_PAGES_MAX / queue->setup.max_segments;
	if (queue->depth > queue->ring.slots)
		queue->depth = queue->ring.slots;
	queue->slots = calloc(queue->depth, sizeof(*queue->slots));
	queue->clear = calloc(queue->depth, sizeof(*queue->clear));
	queue->iovs = calloc(queue->depth * segments, sizeof(*queue->iovs));
	queue->indirects = calloc(queue->depth * segments, sizeof(*queue->indirects));
	if (!queue->slots || !queue->clear || !queue->iovs || !queue->indirects)
		return -ENOMEM;
	for (unsigned i = 0; i < queue->depth; i++) {
		struct slot *slot = &queue->slots[i];

		slot->iov = queue->iovs + i * segments;
		slot->indirect = queue->indirects + i * segments;
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
		ret = pages_open(&queue->pages, setup->mode, setup->domid, queue->depth,
				 setup->max_segments, &setup->stats->pages);
	if (ret < 0)
		return err_set(e, ret, TAP_EXIT_SYSTEM, "cannot set up a page arena: %s",
			       strerror(-ret));
	ret = image_io_open(&queue->io, setup->image, queue->depth);
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
	queue->turn = (struct loop_task){.run = queue_turn, .owner = queue};
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

void queue_hold(struct queue *queue)
{
	queue->holding = true;
	queue->told_held = false;
	loop_defer(queue->loop, &queue->turn);
}

void queue_release(struct queue *queue)
{
	queue->holding = false;
	loop_defer(queue->loop, &queue->turn);
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
	free(queue->indirects);
	free(queue->iovs);
	free(queue->clear);
	free(queue->slots);
	free(queue);
	return held;
}
