/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/eventfd.h>
#include <cmocka.h>

#include "loop.h"
#include "msg.h"
#include "share.h"

/* What happened, in order, one letter each. */
static char happened[64];
static char quiet; /* this letter is not noted */

static void note(char letter)
{
	size_t length = strlen(happened);

	if (letter == quiet)
		return;
	assert_true(length + 1 < sizeof(happened));
	happened[length] = letter;
	happened[length + 1] = '\0';
}

struct thing {
	struct loop *loop;
	struct loop_source source;
	struct loop_task task;
	char letter;
	int again;	     /* the task defers itself so often */
	struct thing *other; /* what it acts upon */
	bool stops;
};

static void ready(struct loop_source *source, uint32_t events)
{
	struct thing *thing = source->owner;
	uint64_t count;

	assert_true(events & EPOLLIN);
	assert_int_equal(read(source->fd, &count, sizeof(count)), sizeof(count));
	note(thing->letter);
	if (thing->stops)
		loop_stop(thing->loop);
}

static void run(struct loop_task *task)
{
	struct thing *thing = task->owner;

	note(thing->letter);
	if (thing->again-- > 0)
		loop_defer(thing->loop, task);
	else if (thing->stops)
		loop_stop(thing->loop);
}

static void ring_it(struct thing *thing)
{
	const uint64_t one = 1;

	assert_int_equal(write(thing->source.fd, &one, sizeof(one)), sizeof(one));
}

static void thing_open(struct thing *thing, struct loop *loop, char letter)
{
	*thing = (struct thing){.loop = loop, .letter = letter};
	thing->source = (struct loop_source){
		.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), .ready = ready, .owner = thing};
	thing->task = (struct loop_task){.run = run, .owner = thing};
	assert_true(thing->source.fd >= 0);
	assert_int_equal(loop_add(loop, &thing->source, EPOLLIN), 0);
}

static void thing_close(struct thing *thing)
{
	loop_remove(thing->loop, &thing->source);
	loop_cancel(thing->loop, &thing->task);
	close(thing->source.fd);
}

static struct loop *fresh(void)
{
	struct loop *loop;

	happened[0] = '\0';
	assert_int_equal(loop_open(&loop), 0);
	return loop;
}

static void sources(void **state)
{
	struct loop *loop = fresh();
	struct thing a, b;

	thing_open(&a, loop, 'a');
	thing_open(&b, loop, 'b');
	b.stops = true;
	ring_it(&a);
	ring_it(&b);
	assert_int_equal(loop_run(loop), 0);
	assert_string_equal(happened, "ab");
	/* The same again: the first stop is spent. */
	ring_it(&b);
	assert_int_equal(loop_run(loop), 0);
	assert_string_equal(happened, "abb");
	assert_int_equal(loop_add(loop, &a.source, EPOLLIN), -EEXIST);
	thing_close(&a);
	thing_close(&b);
	loop_close(loop);
}

static void remove_other(struct loop_source *source, uint32_t events)
{
	struct thing *thing = source->owner;

	ready(source, events);
	loop_remove(thing->loop, &thing->other->source);
	close(thing->other->source.fd);
	memset(thing->other, 0xff, sizeof(*thing->other)); /* as free() would */
	loop_remove(thing->loop, &thing->source);
}

/* Both are ready in one turn; the first one ends the other, and itself. */
static void removal_within_a_turn(void **state)
{
	struct loop *loop = fresh();
	struct thing a, *b = malloc(sizeof(*b)), last;

	thing_open(&a, loop, 'a');
	thing_open(b, loop, 'b');
	thing_open(&last, loop, 'z');
	a.other = b;
	a.source.ready = remove_other;
	last.stops = true;
	ring_it(&a);
	ring_it(b);
	ring_it(&last);
	assert_int_equal(loop_run(loop), 0);
	assert_string_equal(happened, "az");
	free(b);
	close(a.source.fd);
	thing_close(&last);
	loop_close(loop);
}

static void defer_twice(struct loop_source *source, uint32_t events)
{
	struct thing *thing = source->owner;

	ready(source, events);
	loop_defer(thing->loop, &thing->other->task);
	loop_defer(thing->loop, &thing->other->task);
}

/* Several causes, one run, after all sources; a task that goes on lets sources in between. */
static void tasks(void **state)
{
	struct loop *loop = fresh();
	struct thing a, b, t;

	thing_open(&a, loop, 'a');
	thing_open(&b, loop, 'b');
	thing_open(&t, loop, 't');
	a.other = b.other = &t;
	a.source.ready = b.source.ready = defer_twice;
	t.again = 2;
	t.stops = true;
	ring_it(&a);
	ring_it(&b);
	assert_int_equal(loop_run(loop), 0);
	assert_string_equal(happened, "abttt");
	thing_close(&a);
	thing_close(&b);
	thing_close(&t);
	loop_close(loop);
}

static void run_and_ring(struct loop_task *task)
{
	struct thing *thing = task->owner;

	note('t');
	if (thing->again-- > 0) {
		ring_it(thing);
		loop_defer(thing->loop, task);
	} else {
		loop_stop(thing->loop);
	}
}

static void tasks_and_sources_take_turns(void **state)
{
	struct loop *loop = fresh();
	struct thing a;

	thing_open(&a, loop, 'a');
	a.task.run = run_and_ring;
	a.again = 3;
	loop_defer(loop, &a.task); /* before the first turn */
	assert_int_equal(loop_run(loop), 0);
	assert_string_equal(happened, "tatatat");
	thing_close(&a);
	loop_close(loop);
}

static void post_and_ring(struct loop_task *task)
{
	struct thing *thing = task->owner;

	note('p');
	if (thing->again-- > 0) {
		ring_it(thing);
		loop_post(thing->loop, task);
	} else {
		loop_stop(thing->loop);
	}
}

/* In which order a turn takes the two is the kernel's affair. */
static void posts_and_sources_take_turns(void **state)
{
	struct loop *loop = fresh();
	struct thing a;

	thing_open(&a, loop, 'a');
	a.task.run = post_and_ring;
	a.again = 10;
	loop_post(loop, &a.task);
	assert_int_equal(loop_run(loop), 0);
	assert_null(strstr(happened, "ppp"));
	assert_int_equal(happened[strcspn(happened, "a")], 'a');
	thing_close(&a);
	loop_close(loop);
}

static void cancel_other(struct loop_task *task)
{
	struct thing *thing = task->owner;

	note(thing->letter);
	loop_cancel(thing->loop, &thing->other->task);
	loop_stop(thing->loop);
}

static void cancelled(void **state)
{
	struct loop *loop = fresh();
	struct thing a, b, c;

	thing_open(&a, loop, 'a');
	thing_open(&b, loop, 'b');
	thing_open(&c, loop, 'c');
	a.other = &b;
	a.task.run = cancel_other;
	loop_cancel(loop, &c.task); /* not due: nothing */
	loop_defer(loop, &a.task);
	loop_defer(loop, &b.task);
	loop_defer(loop, &c.task);
	assert_int_equal(loop_run(loop), 0); /* in the turn itself */
	assert_string_equal(happened, "ac");
	loop_defer(loop, &b.task);
	loop_defer(loop, &c.task);
	loop_cancel(loop, &c.task); /* before it, at the end of the list */
	loop_defer(loop, &a.task);
	loop_cancel(loop, &b.task);
	assert_int_equal(loop_run(loop), 0);
	assert_string_equal(happened, "aca");
	thing_close(&a);
	thing_close(&b);
	thing_close(&c);
	loop_close(loop);
}

static void stop_comes_first(void **state)
{
	struct loop *loop = fresh();
	struct thing a;

	thing_open(&a, loop, 'a');
	ring_it(&a);
	loop_stop(loop);
	assert_int_equal(loop_run(loop), 0);
	assert_string_equal(happened, "");
	thing_close(&a);
	loop_close(loop);
}

static void change(void **state)
{
	struct loop *loop = fresh();
	struct thing a, b;

	thing_open(&a, loop, 'a');
	thing_open(&b, loop, 'b');
	b.stops = true;
	assert_int_equal(loop_change(loop, &a.source, 0), 0);
	ring_it(&a);
	ring_it(&b);
	assert_int_equal(loop_run(loop), 0);
	assert_string_equal(happened, "b");
	assert_int_equal(loop_change(loop, &a.source, EPOLLIN), 0);
	a.stops = true;
	assert_int_equal(loop_run(loop), 0);
	assert_string_equal(happened, "ba");
	thing_close(&a);
	assert_int_equal(loop_change(loop, &a.source, EPOLLIN), -EBADF);
	thing_close(&b);
	loop_close(loop);
}

static void tasks_wait_for_their_time(void **state)
{
	struct loop *loop = fresh();
	struct thing a, b, c;
	uint64_t began_ns = now_ns();

	thing_open(&a, loop, 'a');
	thing_open(&b, loop, 'b');
	thing_open(&c, loop, 'c');
	b.stops = true;
	loop_defer_until(loop, &b.task, began_ns + 3000000);
	loop_defer_until(loop, &c.task, began_ns + 2000000);
	loop_defer_until(loop, &a.task, began_ns + 1000000);
	loop_defer_until(loop, &b.task, began_ns);
	loop_cancel(loop, &c.task);
	assert_int_equal(loop_run(loop), 0);
	assert_string_equal(happened, "ab");
	assert_true(now_ns() >= began_ns + 3000000);
	/* Once, whichever came first. */
	loop_defer_until(loop, &a.task, began_ns + 3600000000000);
	loop_defer(loop, &a.task);
	loop_defer(loop, &b.task);
	loop_defer_until(loop, &b.task, 0);
	assert_int_equal(loop_run(loop), 0);
	assert_string_equal(happened, "abab");
	/* What is over comes at once. */
	loop_defer_until(loop, &b.task, 0);
	assert_int_equal(loop_run(loop), 0);
	assert_string_equal(happened, "ababb");
	thing_close(&a);
	thing_close(&b);
	thing_close(&c);
	loop_close(loop);
}

/* Of the tasks of one turn, those without a share come all, those with one as far as its time goes.
 */
static void tasks_with_a_share(void **state)
{
	struct loop *loop = fresh();
	struct thing a, b, c;

	thing_open(&a, loop, 'a');
	thing_open(&b, loop, 'b');
	thing_open(&c, loop, 'c');
	a.task.share = share_get(loop_shares(loop), 1);
	b.task.share = share_get(loop_shares(loop), 2);
	loop_defer(loop, &a.task);
	loop_defer(loop, &b.task);
	loop_defer(loop, &c.task);
	loop_cancel(loop, &a.task);
	b.stops = true;
	assert_int_equal(loop_run(loop), 0);
	assert_string_equal(happened, "cb");
	/* One that comes again and again leaves room for the other. */
	a.again = 1000;
	loop_defer(loop, &a.task);
	b.again = 3;
	loop_defer(loop, &b.task);
	happened[0] = '\0';
	quiet = 'a';
	assert_int_equal(loop_run(loop), 0);
	quiet = '\0';
	assert_string_equal(happened, "bbbb");
	loop_cancel(loop, &a.task);
	share_put(a.task.share);
	share_put(b.task.share);
	thing_close(&a);
	thing_close(&b);
	thing_close(&c);
	loop_close(loop);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sources),
		cmocka_unit_test(removal_within_a_turn),
		cmocka_unit_test(tasks),
		cmocka_unit_test(tasks_and_sources_take_turns),
		cmocka_unit_test(posts_and_sources_take_turns),
		cmocka_unit_test(cancelled),
		cmocka_unit_test(stop_comes_first),
		cmocka_unit_test(change),
		cmocka_unit_test(tasks_wait_for_their_time),
		cmocka_unit_test(tasks_with_a_share),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
