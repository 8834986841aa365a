/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "queue-inner.h"
#include "share.h"
#include "xenquiet.h"

static void channel_ready(struct loop_source *source, uint32_t events)
{
	struct queue *queue = source->owner;

	int taken = channel_take(queue->channel);

	if (taken < 0) {
		/* It stays readable: no event of it is looked at any more. */
		loop_remove(queue->loop, &queue->channel_source);
		queue->channel_source.fd = -1;
		queue_break(queue, taken);
	}
	if (taken <= 0)
		return;
	queue->masked = true;
	queue->judged = false;
	queue->setup.stats->wakeups++;
	loop_defer(queue->loop, &queue->turn);
}

static void io_ready(struct loop_source *source, uint32_t events)
{
	struct queue *queue = source->owner;

	loop_defer(queue->loop, &queue->turn);
}

static void idle_ready(struct loop_source *source, uint32_t events)
{
	struct queue *queue = source->owner;

	pages_idle(queue->pages);
}

/* 0 or a negative errno. */
static int listen_to(struct queue *queue, struct loop_source *source, int fd,
		     void (*ready)(struct loop_source *source, uint32_t events))
{
	int ret;

	*source = (struct loop_source){.fd = fd, .ready = ready, .owner = queue};
	ret = loop_add(queue->loop, source, EPOLLIN);
	if (ret)
		source->fd = -1;
	return ret;
}

static void start(struct queue *queue)
{
	int idle_fd = pages_idle_fd(queue->pages);
	int ret = 0;

	loop_cancel(queue->loop, &queue->turn); /* one that is due has the share that it had */
	queue->turn.share = share_get(loop_shares(queue->loop), queue->setup.domid);
	if (!queue->turn.share)
		ret = -ENOMEM;
	if (!ret)
		ret = listen_to(queue, &queue->channel_source, channel_fd(queue->channel),
				channel_ready);
	if (!ret)
		ret = listen_to(queue, &queue->io_source, image_io_fd(queue->io), io_ready);
	if (!ret && idle_fd >= 0)
		ret = listen_to(queue, &queue->idle_source, idle_fd, idle_ready);
	/* A request, or an answer the last server did not notify of, may be there already. */
	if (!ret)
		ret = channel_notify(queue->channel);
	if (ret)
		queue_break(queue, ret);
}

static void take_orders(struct loop_task *task)
{
	struct queue *queue = task->owner;
	struct queue_orders orders;

	pthread_mutex_lock(&queue->lock);
	orders = queue->orders;
	queue->orders.start = queue->orders.run_barrier = queue->orders.new_limits = false;
	pthread_mutex_unlock(&queue->lock);
	if (queue->finished)
		return;
	if (orders.new_limits)
		queue->setup.limits = orders.limits;
	if (orders.start)
		start(queue);
	if (orders.holds != queue->hold_seen)
		queue->told_held = false;
	queue->hold_seen = orders.holds;
	queue->holding = orders.hold;
	if (orders.stop)
		queue->stopped = queue->stopping = true;
	if (orders.run_barrier && queue->barrier)
		queue_turn_barrier(queue);
	loop_defer(queue->loop, &queue->turn);
}

/* --- what the serving thread has to tell -------------------------------------------------------
 */

void queue_tell(struct queue *queue, enum queue_news news)
{
	/* Posted under the lock: whoever takes the last news frees the queue. */
	pthread_mutex_lock(&queue->lock);
	queue->news |= news;
	loop_post(queue->control, &queue->tell_news);
	pthread_mutex_unlock(&queue->lock);
}

void queue_break(struct queue *queue, int why)
{
	if (queue->broke)
		return;
	queue->broke = why;
	queue->stopped = true;
	queue->setup.stats->stopped = (uint64_t)-why;
	queue_tell(queue, NEWS_BROKEN);
}

void queue_finish(struct queue *queue)
{
	queue->finished = true;
	loop_cancel(queue->loop, &queue->turn);
	share_put(queue->turn.share);
	queue->turn.share = NULL;
	if (queue->idle_source.fd >= 0)
		loop_remove(queue->loop, &queue->idle_source);
	if (queue->io_source.fd >= 0)
		loop_remove(queue->loop, &queue->io_source);
	if (queue->channel_source.fd >= 0)
		loop_remove(queue->loop, &queue->channel_source);
	queue_tell(queue, NEWS_DRAINED);
}

static void tell_news(struct loop_task *task)
{
	struct queue *queue = task->owner;
	const struct queue_setup *setup = &queue->setup;
	unsigned news;

	pthread_mutex_lock(&queue->lock);
	news = queue->news;
	queue->news = 0;
	pthread_mutex_unlock(&queue->lock);
	if (news & NEWS_BROKEN)
		setup->broken(queue, queue->broke, setup->opaque);
	if (news & NEWS_BARRIER)
		setup->barrier(queue, setup->opaque);
	if (news & NEWS_HELD)
		setup->held(queue, setup->opaque);
	if (news & NEWS_BARRIER_DONE)
		setup->barrier_done(queue, setup->opaque);
	if (news & NEWS_DRAINED) /* closes the queue, perhaps: nothing after it */
		setup->drained(queue, setup->opaque);
}

/* --- open and close ----------------------------------------------------------------------------
 */

/*
 * What was asked for was the frontend's to give, and is not there: gntdev says EINVAL for whatever
 * the hypervisor refused to map, evtchn what the hypervisor said. All else is our own trouble.
 */
static int refused_or(int error)
{
	return error == EINVAL || error == ESRCH ? -EPROTO : -error;
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
		return err_set(e, refused_or(errno), TAP_EXIT_SYSTEM,
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
		return err_set(e, refused_or(-ret), TAP_EXIT_SYSTEM,
			       "cannot bind the frontend's event channel %u: %s", setup->port,
			       strerror(-ret));
	ret = make_slots(queue);
	if (!ret)
		ret = pages_open(&queue->pages,
				 &(struct pages_setup){.mode = setup->mode,
						       .domid = setup->domid,
						       .slots = queue->depth,
						       .max_segments = setup->max_segments,
						       .keep_pages = setup->keep_pages,
						       .keep_idle_ns = setup->keep_idle_ns,
						       .counters = &setup->stats->pages});
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
	       struct loop *control, struct err *e)
{
	struct queue *queue = calloc(1, sizeof(*queue));
	int ret;

	if (!queue)
		return err_set(e, -ENOMEM, TAP_EXIT_SYSTEM, "out of memory");
	queue->setup = *setup;
	queue->loop = loop;
	queue->control = control;
	pthread_mutex_init(&queue->lock, NULL);
	queue->take_orders = (struct loop_task){.run = take_orders, .owner = queue};
	queue->tell_news = (struct loop_task){.run = tell_news, .owner = queue};
	TAILQ_INIT(&queue->free);
	TAILQ_INIT(&queue->in_flight);
	queue->turn = (struct loop_task){.run = queue_turn, .owner = queue};
	queue->channel_source = (struct loop_source){.fd = -1};
	queue->io_source = (struct loop_source){.fd = -1};
	queue->idle_source = (struct loop_source){.fd = -1};
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

/* --- the control thread's orders ---------------------------------------------------------------
 */

static void order(struct queue *queue)
{
	pthread_mutex_unlock(&queue->lock);
	loop_post(queue->loop, &queue->take_orders);
}

void queue_start(struct queue *queue)
{
	queue->setup.stats->stopped = 0;
	queue->setup.stats->req_cons = queue->ring.req_cons;
	queue->setup.stats->rsp_prod = queue->ring.rsp_prod_pvt;
	pthread_mutex_lock(&queue->lock);
	queue->orders.start = true;
	order(queue);
}

void queue_set_limits(struct queue *queue, const struct request_limits *limits)
{
	pthread_mutex_lock(&queue->lock);
	queue->orders.new_limits = true;
	queue->orders.limits = *limits;
	order(queue);
}

void queue_hold(struct queue *queue)
{
	pthread_mutex_lock(&queue->lock);
	queue->orders.hold = true;
	queue->orders.holds++;
	order(queue);
}

void queue_release(struct queue *queue)
{
	pthread_mutex_lock(&queue->lock);
	queue->orders.hold = false;
	order(queue);
}

void queue_run_barrier(struct queue *queue)
{
	pthread_mutex_lock(&queue->lock);
	queue->orders.run_barrier = true;
	order(queue);
}

void queue_stop(struct queue *queue)
{
	pthread_mutex_lock(&queue->lock);
	queue->orders.stop = true;
	order(queue);
}

unsigned queue_close(struct queue *queue)
{
	unsigned held = 0;

	/* It has left its loop; an order that came too late may still be on its way. */
	loop_unpost(queue->loop, &queue->take_orders);
	loop_unpost(queue->control, &queue->tell_news);
	if (queue->pages)
		held = pages_close(queue->pages);
	if (queue->io)
		image_io_close(queue->io);
	channel_close(queue->channel);
	if (queue->ring.shared)
		xengnttab_unmap(queue->gnttab, queue->ring.shared, 1u << queue->setup.ring_order);
	if (queue->gnttab)
		xengnttab_close(queue->gnttab);
	pthread_mutex_destroy(&queue->lock);
	free(queue->indirects);
	free(queue->iovs);
	free(queue->clear);
	free(queue->slots);
	free(queue);
	return held;
}
