/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <unistd.h>

#include "loop.h"

#define EVENTS_MAX 64

struct loop {
	int epoll_fd;
	bool stop;
	/* Tasks put off, and those that run now. */
	struct loop_task *due, **due_end;
	struct loop_task *running;
	/* What this turn took from epoll; loop_remove() blanks what must not be called any more. */
	struct epoll_event events[EVENTS_MAX];
	int event_count;
};

int loop_open(struct loop **out)
{
	struct loop *loop = calloc(1, sizeof(*loop));
	int ret;

	if (!loop)
		return -ENOMEM;
	loop->due_end = &loop->due;
	loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (loop->epoll_fd < 0) {
		ret = -errno;
		free(loop);
		return ret;
	}
	*out = loop;
	return 0;
}

void loop_close(struct loop *loop)
{
	if (!loop)
		return;
	close(loop->epoll_fd);
	free(loop);
}

static int control(struct loop *loop, int how, struct loop_source *source, uint32_t events)
{
	struct epoll_event event = {.events = events, .data.ptr = source};

	return epoll_ctl(loop->epoll_fd, how, source->fd, &event) ? -errno : 0;
}

int loop_add(struct loop *loop, struct loop_source *source, uint32_t events)
{
	return control(loop, EPOLL_CTL_ADD, source, events);
}

int loop_change(struct loop *loop, struct loop_source *source, uint32_t events)
{
	return control(loop, EPOLL_CTL_MOD, source, events);
}

void loop_remove(struct loop *loop, struct loop_source *source)
{
	control(loop, EPOLL_CTL_DEL, source, 0);
	for (int i = 0; i < loop->event_count; i++) {
		if (loop->events[i].data.ptr == source)
			loop->events[i].data.ptr = NULL;
	}
}

void loop_defer(struct loop *loop, struct loop_task *task)
{
	if (task->due)
		return;
	task->due = true;
	task->next = NULL;
	*loop->due_end = task;
	loop->due_end = &task->next;
}

static bool unlink_task(struct loop_task **list, struct loop_task *task)
{
	for (; *list; list = &(*list)->next) {
		if (*list == task) {
			*list = task->next;
			return true;
		}
	}
	return false;
}

void loop_cancel(struct loop *loop, struct loop_task *task)
{
	if (!task->due)
		return;
	task->due = false;
	if (unlink_task(&loop->running, task))
		return;
	unlink_task(&loop->due, task);
	for (loop->due_end = &loop->due; *loop->due_end; loop->due_end = &(*loop->due_end)->next)
		;
}

static void run_sources(struct loop *loop)
{
	for (int i = 0; i < loop->event_count; i++) {
		struct loop_source *source = loop->events[i].data.ptr;

		if (source)
			source->ready(source, loop->events[i].events);
	}
	loop->event_count = 0;
}

/* Those that are deferred meanwhile wait for the next turn, so that sources get theirs between. */
static void run_tasks(struct loop *loop)
{
	loop->running = loop->due;
	loop->due = NULL;
	loop->due_end = &loop->due;
	while (loop->running) {
		struct loop_task *task = loop->running;

		loop->running = task->next;
		task->due = false;
		task->run(task);
	}
}

int loop_run(struct loop *loop)
{
	while (!loop->stop) {
		int n = epoll_wait(loop->epoll_fd, loop->events, EVENTS_MAX, loop->due ? 0 : -1);

		if (n < 0 && errno != EINTR)
			return -errno;
		loop->event_count = n < 0 ? 0 : n;
		run_sources(loop);
		run_tasks(loop);
	}
	loop->stop = false;
	return 0;
}

void loop_stop(struct loop *loop)
{
	loop->stop = true;
}
