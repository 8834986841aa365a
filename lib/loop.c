/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <pthread.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "loop.h"
#include "msg.h"
#include "share.h"

#define EVENTS_MAX 64
#define NS_PER_S   1000000000u

struct loop {
	int epoll_fd;
	bool stop;
	/* Tasks put off, and those that run now. */
	struct loop_task *due, **due_end;
	struct loop_task *running;
	/* The same for tasks that have a share. */
	struct shares shares;
	/* Tasks that wait for their time, the next one first. */
	struct loop_task *waiting;
	struct loop_source timer;
	/* What this turn took from epoll; loop_remove() blanks what must not be called any more. */
	struct epoll_event events[EVENTS_MAX];
	int event_count;
	/* What other threads post, under the lock. */
	pthread_mutex_t lock;
	pthread_cond_t post_done;
	struct loop_task *posted, **posted_end;
	unsigned posts; /* in that list */
	struct loop_task *running_post;
	pthread_t running_in;
	struct loop_source post_source;
};

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

/* The next one, until @most were taken: what is posted meanwhile waits for the next turn. */
static struct loop_task *next_post(struct loop *loop, unsigned *most)
{
	struct loop_task *task;

	pthread_mutex_lock(&loop->lock);
	task = *most ? loop->posted : NULL;
	loop->running_post = task;
	if (task) {
		--*most;
		loop->posts--;
		loop->posted = task->next;
		if (!loop->posted)
			loop->posted_end = &loop->posted;
		task->posted = false;
		loop->running_in = pthread_self();
	} else if (loop->posted) {
		eventfd_write(loop->post_source.fd, 1);
	}
	pthread_cond_broadcast(&loop->post_done);
	pthread_mutex_unlock(&loop->lock);
	return task;
}

static unsigned count_posts(struct loop *loop)
{
	unsigned posts;

	pthread_mutex_lock(&loop->lock);
	posts = loop->posts;
	pthread_mutex_unlock(&loop->lock);
	return posts;
}

static void posts_ready(struct loop_source *source, uint32_t events)
{
	struct loop *loop = source->owner;
	struct loop_task *task;
	eventfd_t count;
	unsigned most;

	eventfd_read(source->fd, &count);
	most = count_posts(loop);
	while ((task = next_post(loop, &most)))
		task->run(task);
}

/* No time stops the timer; one that has passed is as soon as can be said. */
static void set_timer(struct loop *loop)
{
	struct itimerspec when = {0};

	if (loop->waiting) {
		when.it_value.tv_sec = (time_t)(loop->waiting->at_ns / NS_PER_S);
		when.it_value.tv_nsec = (long)(loop->waiting->at_ns % NS_PER_S) | 1;
	}
	timerfd_settime(loop->timer.fd, TFD_TIMER_ABSTIME, &when, NULL);
}

static void timer_ready(struct loop_source *source, uint32_t events)
{
	struct loop *loop = source->owner;
	uint64_t times, now = now_ns();

	if (read(source->fd, &times, sizeof(times)) < 0)
		return;
	while (loop->waiting && loop->waiting->at_ns <= now)
		loop_defer(loop, loop->waiting);
	set_timer(loop);
}

int loop_open(struct loop **out)
{
	struct loop *loop = calloc(1, sizeof(*loop));
	int ret = 0;

	if (!loop)
		return -ENOMEM;
	loop->due_end = &loop->due;
	shares_init(&loop->shares);
	loop->posted_end = &loop->posted;
	pthread_mutex_init(&loop->lock, NULL);
	pthread_cond_init(&loop->post_done, NULL);
	loop->post_source = (struct loop_source){
		.fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC), .ready = posts_ready, .owner = loop};
	loop->timer = (struct loop_source){
		.fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC),
		.ready = timer_ready,
		.owner = loop};
	loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (loop->epoll_fd < 0 || loop->post_source.fd < 0 || loop->timer.fd < 0)
		ret = -errno;
	if (!ret)
		ret = loop_add(loop, &loop->post_source, EPOLLIN);
	if (!ret)
		ret = loop_add(loop, &loop->timer, EPOLLIN);
	if (ret) {
		loop_close(loop);
		return ret;
	}
	*out = loop;
	return 0;
}

void loop_close(struct loop *loop)
{
	if (!loop)
		return;
	if (loop->post_source.fd >= 0)
		close(loop->post_source.fd);
	if (loop->timer.fd >= 0)
		close(loop->timer.fd);
	if (loop->epoll_fd >= 0)
		close(loop->epoll_fd);
	pthread_cond_destroy(&loop->post_done);
	pthread_mutex_destroy(&loop->lock);
	free(loop);
}

void loop_post(struct loop *loop, struct loop_task *task)
{
	pthread_mutex_lock(&loop->lock);
	if (!task->posted) {
		task->posted = true;
		task->next = NULL;
		*loop->posted_end = task;
		loop->posted_end = &task->next;
		loop->posts++;
	}
	eventfd_write(loop->post_source.fd, 1);
	pthread_mutex_unlock(&loop->lock);
}

void loop_unpost(struct loop *loop, struct loop_task *task)
{
	pthread_mutex_lock(&loop->lock);
	if (task->posted) {
		unlink_task(&loop->posted, task);
		loop->posted_end = &loop->posted;
		while (*loop->posted_end)
			loop->posted_end = &(*loop->posted_end)->next;
		loop->posts--;
		task->posted = false;
	}
	while (loop->running_post == task && !pthread_equal(loop->running_in, pthread_self()))
		pthread_cond_wait(&loop->post_done, &loop->lock);
	pthread_mutex_unlock(&loop->lock);
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

/* The timer stays as it is: to find nothing to do is no harm. */
static void stop_waiting(struct loop *loop, struct loop_task *task)
{
	if (task->waits)
		unlink_task(&loop->waiting, task);
	task->waits = false;
}

void loop_defer(struct loop *loop, struct loop_task *task)
{
	if (task->due)
		return;
	stop_waiting(loop, task);
	task->due = true;
	if (task->share) {
		share_add(task->share, task);
		return;
	}
	task->next = NULL;
	*loop->due_end = task;
	loop->due_end = &task->next;
}

void loop_defer_until(struct loop *loop, struct loop_task *task, uint64_t at_ns)
{
	struct loop_task **at = &loop->waiting;

	if (task->due || task->waits)
		return;
	task->waits = true;
	task->at_ns = at_ns;
	while (*at && (*at)->at_ns <= at_ns)
		at = &(*at)->next;
	task->next = *at;
	*at = task;
	if (loop->waiting == task)
		set_timer(loop);
}

void loop_cancel(struct loop *loop, struct loop_task *task)
{
	stop_waiting(loop, task);
	if (!task->due)
		return;
	task->due = false;
	if (task->share) {
		share_remove(task->share, task);
		return;
	}
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

struct shares *loop_shares(struct loop *loop)
{
	return &loop->shares;
}

static bool is_idle(const struct loop *loop)
{
	return !loop->due && TAILQ_EMPTY(&loop->shares.ready);
}

/* One slice of one guest; what it defers meanwhile waits for another. */
static void run_share(struct loop *loop)
{
	struct share *share = shares_next(&loop->shares);
	uint64_t began_ns, spent_ns = 0;

	if (!share)
		return;
	began_ns = now_ns();
	share->users++; /* a task may be the end of its last user */
	for (unsigned tasks = share->tasks; tasks && share->due; tasks--) {
		struct loop_task *task = share_take(share);

		task->due = false;
		task->run(task);
		spent_ns = now_ns() - began_ns;
		if ((int64_t)spent_ns >= share->left_ns)
			break;
	}
	share_spend(share, spent_ns);
	share_put(share);
}

int loop_run(struct loop *loop)
{
	while (!loop->stop) {
		int n = epoll_wait(loop->epoll_fd, loop->events, EVENTS_MAX,
				   is_idle(loop) ? -1 : 0);

		if (n < 0 && errno != EINTR)
			return -errno;
		loop->event_count = n < 0 ? 0 : n;
		run_sources(loop);
		run_tasks(loop);
		run_share(loop);
	}
	loop->stop = false;
	return 0;
}

void loop_stop(struct loop *loop)
{
	loop->stop = true;
}
