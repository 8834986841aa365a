/* SPDX-License-Identifier: MIT */
/*
 * A barrier holds across the queues of a disk: here are two queues, an image that finishes an
 * operation when the test says so, and the order in which things reach the image.
 */
#include <errno.h>
#include <sys/mman.h>
#include "guest.h"

#include "barrier.h"
#include "channel.h"
#include "image-engine.h"
#include "num.h"

#define QUEUES	4u
#define OPS_MAX 64u
#define SOON_NS 5000000000ull /* a bound for what comes */
#define A_WHILE 100u	      /* turns of the loop, for what must not come */
#define SECTORS 4096u

/* --- an image that waits ------------------------------------------------------------------------
 */

struct slow_image {
	struct image image;
	struct bench *bench;
};

struct slow_io {
	struct image_io io;
	struct slow_image *image;
	struct image_op_list finished;
};

/* One operation that reached the image. */
struct event {
	struct image_op *op;
	struct slow_io *io;
	uint64_t answered; /* by all queues, at that time */
};

struct bench {
	struct guest guest;
	struct slow_image image;
	struct loop *loop;
	struct stats_queue stats[QUEUES];
	struct queue *queue[QUEUES];
	struct ring front[QUEUES];
	struct channel *channel[QUEUES];
	struct barrier barrier;
	unsigned n, drained;
	struct event events[OPS_MAX];
	unsigned n_events, n_finished;
	uint64_t next_id;
	/* run_until() */
	struct loop_task watch;
	bool (*reached)(struct bench *b);
	uint64_t wanted, deadline_ns;
	unsigned turns_left;
};

static uint64_t answered(const struct bench *b)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < b->n; i++)
		sum += ring_look(&b->front[i]).rsp_prod;
	return sum;
}

static int slow_open(struct image_io **out, struct image *image, unsigned depth)
{
	struct slow_io *io = calloc(1, sizeof(*io));

	assert_non_null(io);
	io->image = (struct slow_image *)image;
	*out = &io->io;
	return image_io_init(&io->io);
}

static void slow_close(struct image_io *image_io)
{
	image_io_fini(image_io);
	free(image_io);
}

static void slow_submit(struct image_io *image_io, struct image_op **ops, unsigned n,
			uint64_t *calls)
{
	struct slow_io *io = (struct slow_io *)image_io;
	struct bench *b = io->image->bench;

	for (unsigned i = 0; i < n; i++) {
		assert_true(b->n_events < OPS_MAX);
		b->events[b->n_events++] =
			(struct event){.op = ops[i], .io = io, .answered = answered(b)};
	}
}

static unsigned slow_reap(struct image_io *image_io, struct image_op **ops, unsigned max,
			  uint64_t *calls)
{
	struct slow_io *io = (struct slow_io *)image_io;
	unsigned n = 0;

	image_io_quiet(image_io);
	while (n < max && (ops[n] = image_list_take(&io->finished)))
		n++;
	return n;
}

static const struct image_engine slow_engine = {
	.name = "slow",
	.io_open = slow_open,
	.io_close = slow_close,
	.submit = slow_submit,
	.reap = slow_reap,
};

/* The oldest operation that waits is done. */
static void finish_one(struct bench *b)
{
	struct event *event = &b->events[b->n_finished++];

	assert_true(b->n_finished <= b->n_events);
	event->op->result = 0;
	image_list_append(&event->io->finished, event->op);
	image_io_signal(&event->io->io);
}

/* --- a disk of several queues --------------------------------------------------------------------
 */

static void on_broken(struct queue *queue, int why, void *opaque)
{
	fail_msg("a ring broke: %s", strerror(-why));
}

static void on_barrier(struct queue *queue, void *opaque)
{
	barrier_asked(&((struct bench *)opaque)->barrier, queue);
}

static void on_held(struct queue *queue, void *opaque)
{
	barrier_held(&((struct bench *)opaque)->barrier, queue);
}

static void on_barrier_done(struct queue *queue, void *opaque)
{
	barrier_done(&((struct bench *)opaque)->barrier, queue);
}

static void on_drained(struct queue *queue, void *opaque)
{
	struct bench *b = opaque;

	barrier_gone(&b->barrier, queue);
	b->drained++;
}

static void open_queue(struct bench *b, unsigned i)
{
	unsigned page = guest_grant(&b->guest, 0, true);
	struct queue_setup setup = {
		.domid = 1,
		.ring_refs = {b->guest.gref[page]},
		.abi = RING_ABI_X86_64,
		.max_segments = REQUEST_SEGMENTS_DIRECT,
		.mode = PAGES_COPY,
		.image = &b->image.image,
		.limits = {.sectors = SECTORS,
			   .logical_sector_bytes = SECTOR_BYTES,
			   .max_segments = REQUEST_SEGMENTS_DIRECT,
			   .can_flush = true,
			   .can_barrier = true},
		.stats = &b->stats[i],
		.broken = on_broken,
		.barrier = on_barrier,
		.held = on_held,
		.barrier_done = on_barrier_done,
		.drained = on_drained,
		.opaque = b,
	};
	struct err e = {0};

	assert_int_equal(ring_setup(&b->front[i], b->guest.page[page], RING_ABI_X86_64, 0), 0);
	ring_front_init(&b->front[i]);
	enter_domain("1");
	assert_int_equal(channel_offer(&b->channel[i], 0), 0);
	enter_domain("0");
	setup.port = channel_port(b->channel[i]);
	if (queue_open(&b->queue[i], &setup, b->loop, b->loop, &e))
		fail_msg("%s", e.what);
}

static struct bench *begin(unsigned n)
{
	struct bench *b = calloc(1, sizeof(*b));

	assert_non_null(b);
	b->n = n;
	b->image = (struct slow_image){.image = {.engine = &slow_engine}, .bench = b};
	guest_begin(&b->guest, 1); /* page 0: the data of all writes */
	assert_int_equal(loop_open(&b->loop), 0);
	for (unsigned i = 0; i < n; i++)
		open_queue(b, i);
	barrier_reset(&b->barrier, b->queue, n);
	for (unsigned i = 0; i < n; i++)
		queue_start(b->queue[i]);
	return b;
}

static void watch(struct loop_task *task)
{
	struct bench *b = task->owner;

	if (b->reached ? b->reached(b) : !b->turns_left--) {
		loop_stop(b->loop);
		return;
	}
	if (now_ns() > b->deadline_ns)
		fail_msg("waited too long");
	loop_defer(b->loop, task);
}

static void run(struct bench *b)
{
	b->deadline_ns = now_ns() + SOON_NS;
	b->watch = (struct loop_task){.run = watch, .owner = b};
	loop_defer(b->loop, &b->watch);
	assert_int_equal(loop_run(b->loop), 0);
}

static void run_until(struct bench *b, bool (*reached)(struct bench *b), uint64_t wanted)
{
	b->reached = reached;
	b->wanted = wanted;
	run(b);
}

static void run_a_while(struct bench *b)
{
	b->reached = NULL;
	b->turns_left = A_WHILE;
	run(b);
}

static bool events_are_there(struct bench *b)
{
	return b->n_events == b->wanted;
}

static bool requests_are_taken(struct bench *b)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < b->n; i++)
		sum += b->stats[i].requests;
	return sum == b->wanted;
}

static bool queue_has_woken(struct bench *b)
{
	return b->stats[b->wanted].wakeups;
}

static bool answers_are_there(struct bench *b)
{
	return answered(b) == b->wanted;
}

static bool all_drained(struct bench *b)
{
	return b->drained == b->n;
}

static void end(struct bench *b)
{
	for (unsigned i = 0; i < b->n; i++)
		queue_stop(b->queue[i]);
	run_until(b, all_drained, 0);
	for (unsigned i = 0; i < b->n; i++) {
		assert_int_equal(queue_close(b->queue[i]), 0);
		channel_close(b->channel[i]);
	}
	loop_close(b->loop);
	guest_end(&b->guest);
	free(b);
}

/* A request with a page of data at sector @sector, or without any. */
static void put(struct bench *b, unsigned i, uint8_t operation, bool data, uint64_t sector)
{
	struct request request = {
		.id = b->next_id++,
		.operation = operation,
		.nr_segments = data,
		.sector = sector,
		.segment = {{.gref = b->guest.gref[0], .first_sect = 0, .last_sect = 7}},
	};

	assert_int_equal(ring_front_put(&b->front[i], &request), 0);
}

static void push(struct bench *b, unsigned i)
{
	ring_front_push(&b->front[i]);
	assert_int_equal(channel_notify(b->channel[i]), 0);
}

static void event_is(const struct bench *b, unsigned i, enum image_operation operation,
		     uint64_t sector, uint64_t answered_before)
{
	assert_true(i < b->n_events);
	assert_int_equal(b->events[i].op->operation, operation);
	if (operation != IMAGE_FLUSH)
		assert_int_equal(b->events[i].op->offset_bytes, sector * SECTOR_BYTES);
	assert_true(b->events[i].answered >= answered_before);
}

/* --- the tests
 * ------------------------------------------------------------------------------------ */

/* What another queue took before the barrier is done first. */
static void waits_for_other_queues(void **state)
{
	struct bench *b = begin(2);

	put(b, 0, REQUEST_WRITE, true, 8);
	push(b, 0);
	run_until(b, events_are_there, 1);
	put(b, 1, REQUEST_WRITE_BARRIER, true, 16);
	push(b, 1);
	run_until(b, requests_are_taken, 2);
	run_a_while(b);
	assert_int_equal(b->n_events, 1);
	finish_one(b);
	run_until(b, events_are_there, 2);
	event_is(b, 1, IMAGE_FLUSH, 0, 1);
	finish_one(b);
	run_until(b, events_are_there, 3);
	event_is(b, 2, IMAGE_WRITE, 16, 1);
	finish_one(b);
	run_until(b, events_are_there, 4);
	event_is(b, 3, IMAGE_FLUSH, 0, 1);
	assert_int_equal(answered(b), 1);
	finish_one(b);
	run_until(b, answers_are_there, 2);
	end(b);
}

/* What any queue is given while the barrier is on its way is not begun before its answer. */
static void nothing_passes(void **state)
{
	struct bench *b = begin(QUEUES);

	put(b, 0, REQUEST_WRITE, true, 8);
	push(b, 0);
	run_until(b, events_are_there, 1);
	put(b, 1, REQUEST_WRITE_BARRIER, false, 0);
	put(b, 1, REQUEST_WRITE, true, 24);
	push(b, 1);
	run_until(b, requests_are_taken, 2);
	put(b, 0, REQUEST_WRITE, true, 32);
	push(b, 0);
	for (unsigned i = 2; i < QUEUES; i++) {
		put(b, i, REQUEST_WRITE, true, 32 + 8 * i);
		push(b, i);
		run_until(b, queue_has_woken, i);
	}
	run_a_while(b);
	assert_int_equal(b->n_events, 1);
	finish_one(b); /* the write */
	run_until(b, events_are_there, 2);
	run_a_while(b);
	assert_int_equal(b->n_events, 2);
	event_is(b, 1, IMAGE_FLUSH, 0, 1);
	finish_one(b); /* the barrier */
	run_until(b, events_are_there, 2 + QUEUES);
	for (unsigned i = 2; i < b->n_events; i++)
		assert_true(b->events[i].answered >= 2);
	while (b->n_finished < b->n_events)
		finish_one(b);
	run_until(b, answers_are_there, 2 + QUEUES);
	end(b);
}

/* Barriers of several queues at a time: one after the other, then all go on. */
static void several_at_once(void **state)
{
	struct bench *b = begin(QUEUES);
	unsigned rounds = 0;

	for (unsigned i = 0; i < QUEUES; i++) {
		put(b, i, REQUEST_WRITE_BARRIER, false, 0);
		put(b, i, REQUEST_WRITE, true, 8 * i);
	}
	for (unsigned i = 0; i < QUEUES; i++)
		push(b, i);
	/* Which writes go between which barriers is the queues' affair; none is lost or doubled,
	 * and while a barrier's flush runs there is nothing else. */
	while (answered(b) < 2 * QUEUES) {
		assert_true(rounds++ < 1000);
		run_a_while(b);
		for (unsigned i = b->n_finished; i < b->n_events; i++) {
			if (b->events[i].op->operation == IMAGE_FLUSH)
				assert_int_equal(b->n_events - b->n_finished, 1);
		}
		if (b->n_finished < b->n_events)
			finish_one(b);
	}
	assert_int_equal(b->n_events, 2 * QUEUES);
	end(b);
}

/* A queue that stops with a barrier waiting still answers it. */
static void stopping_answers_the_barrier(void **state)
{
	struct bench *b = begin(2);

	put(b, 0, REQUEST_WRITE, true, 8);
	push(b, 0);
	run_until(b, events_are_there, 1);
	put(b, 1, REQUEST_WRITE_BARRIER, false, 0);
	push(b, 1);
	run_until(b, requests_are_taken, 2);
	queue_stop(b->queue[0]);
	queue_stop(b->queue[1]);
	run_a_while(b);
	assert_int_equal(b->drained, 0);
	finish_one(b);
	run_until(b, events_are_there, 2);
	event_is(b, 1, IMAGE_FLUSH, 0, 1);
	finish_one(b);
	run_until(b, all_drained, 0);
	assert_int_equal(answered(b), 2);
	end(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(waits_for_other_queues),
		cmocka_unit_test(nothing_passes),
		cmocka_unit_test(several_at_once),
		cmocka_unit_test(stopping_answers_the_barrier),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
