/* SPDX-License-Identifier: MIT */
/*
 * loop - an event loop on epoll: descriptors, signals, timers. Level-triggered. One thread runs it;
 * from others there is loop_post() alone.
 */
#ifndef TAP_LOOP_H
#define TAP_LOOP_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/epoll.h>

struct loop;
struct shares;

/** One thing waited for. The owner keeps it alive until loop_remove(), which may be called from any
 * callback. */
struct loop_source {
	int fd;
	void (*ready)(struct loop_source *source, uint32_t events);
	void *owner;
};

/** 0 or a negative errno. */
int loop_open(struct loop **out);
/** NULL is fine. Sources and tasks are the callers' own and are left as they are. */
void loop_close(struct loop *loop);

/** Wait for @events (EPOLLIN, ...) on source->fd. 0 or a negative errno. */
int loop_add(struct loop *loop, struct loop_source *source, uint32_t events);
int loop_change(struct loop *loop, struct loop_source *source, uint32_t events);
/** Afterwards no callback of @source runs, also none of an event already taken in this turn. */
void loop_remove(struct loop *loop, struct loop_source *source);

/** Work put off to the end of the turn, so that several events of one turn cause it once. */
struct loop_task {
	void (*run)(struct loop_task *task);
	void *owner;
	struct loop_task *next;
	struct share *share; /* whose time it takes; NULL: it comes in each turn */
	bool due, posted, waits;
	uint64_t at_ns;
};

/**
 * Run @task once at the end of this turn, after the callbacks of all sources. A task that defers
 * itself while it runs comes again in the next turn, which then does not block: that is how bounded
 * work shares the loop. Of the tasks that have a share only those run whose turn it is.
 */
void loop_defer(struct loop *loop, struct loop_task *task);

/**
 * The same once it is @at_ns (CLOCK_MONOTONIC), or soon after. A task that waits for its time or is
 * due already goes on as it is; loop_defer() ends its waiting.
 */
void loop_defer_until(struct loop *loop, struct loop_task *task, uint64_t at_ns);

/** Of the loop's thread, and for it alone: what tasks may have a share of. */
struct shares *loop_shares(struct loop *loop);

/** Forget a task that may be due, or wait for its time. */
void loop_cancel(struct loop *loop, struct loop_task *task);

/**
 * From any thread: have @task run by the loop's thread, soon. Posting one that waits already
 * changes nothing; one that runs now runs again, in the next turn. A task is either deferred or
 * posted, not both.
 */
void loop_post(struct loop *loop, struct loop_task *task);

/**
 * From any thread: afterwards @task does not run, nor is it running, unless the caller is inside
 * it. What it belongs to may be freed.
 */
void loop_unpost(struct loop *loop, struct loop_task *task);

/**
 * Run until loop_stop(), to the end of the turn in which that was called (or at once, when it was
 * called before). Returns 0 or a negative errno of epoll.
 */
int loop_run(struct loop *loop);
void loop_stop(struct loop *loop);

#endif
