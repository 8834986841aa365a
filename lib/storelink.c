/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <string.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "storelink.h"

static void events_ready(struct loop_source *source, uint32_t events)
{
	struct storelink *link = source->owner;

	link->ready(link->opaque);
}

/* --- the lifeline ----------------------------------------------------------------------------- */

/* Whatever xenstored says to who never asks: it has ended. */
static void lifeline_ready(struct loop_source *source, uint32_t events)
{
	storelink_lose(source->owner, -ECONNRESET);
}

static void drop_lifeline(struct storelink *link)
{
	if (link->lifeline.fd < 0)
		return;
	loop_remove(link->loop, &link->lifeline);
	close(link->lifeline.fd);
	link->lifeline.fd = -1;
}

/* Where xenstored never was to be reached by a socket there is none, and none is missed. */
static int take_lifeline(struct storelink *link)
{
	int fd = store_lifeline(), ret;

	if (fd < 0)
		return link->has_lifeline ? fd : 0;
	link->has_lifeline = true;
	link->lifeline.fd = fd;
	ret = loop_add(link->loop, &link->lifeline, EPOLLIN | EPOLLRDHUP);
	if (ret) {
		close(fd);
		link->lifeline.fd = -1;
	}
	return ret;
}

/* --- gone and back ---------------------------------------------------------------------------- */

static void set_retry(struct storelink *link, long every_ns)
{
	const struct itimerspec every = {.it_value.tv_nsec = every_ns,
					 .it_interval.tv_nsec = every_ns};

	timerfd_settime(link->retry.fd, 0, &every, NULL);
}

void storelink_lose(struct storelink *link, int why)
{
	if (link->lost)
		return;
	link->lost = true;
	loop_remove(link->loop, &link->events);
	drop_lifeline(link);
	set_retry(link, STORELINK_RETRY_NS);
	link->gone(why, link->opaque);
}

/* A new store in place of the lost one. */
static int replace(struct storelink *link)
{
	struct store *store;
	int ret = store_open(&store, NULL);

	if (ret)
		return ret;
	store_close(link->store);
	link->store = store;
	link->events.fd = store_fd(store);
	ret = loop_add(link->loop, &link->events, EPOLLIN);
	if (!ret) {
		ret = link->back(link->opaque);
		if (ret)
			loop_remove(link->loop, &link->events);
	}
	return ret;
}

/*
 * A store without this domain's own nodes does not open: one that came back empty is none. Without
 * the lifeline first, libxenstore would go from the socket that refuses to the kernel's device, and
 * wait there for as long as nobody answers.
 */
static void retry_ready(struct loop_source *source, uint32_t events)
{
	struct storelink *link = source->owner;
	uint64_t ticks;

	if (read(source->fd, &ticks, sizeof(ticks)) != sizeof(ticks) || take_lifeline(link))
		return;
	if (replace(link)) {
		drop_lifeline(link);
		return;
	}
	set_retry(link, 0);
	link->lost = false;
}

/* --- open and close --------------------------------------------------------------------------- */

static int listen_to_all(struct storelink *link)
{
	int ret;

	if (link->retry.fd < 0)
		return -errno;
	ret = loop_add(link->loop, &link->retry, EPOLLIN);
	if (!ret)
		ret = loop_add(link->loop, &link->events, EPOLLIN);
	return ret ? ret : take_lifeline(link);
}

int storelink_open(struct storelink *link, struct err *e)
{
	int ret = store_open(&link->store, e);

	if (ret < 0)
		return ret;
	link->events = (struct loop_source){
		.fd = store_fd(link->store), .ready = events_ready, .owner = link};
	link->lifeline = (struct loop_source){.fd = -1, .ready = lifeline_ready, .owner = link};
	link->retry = (struct loop_source){
		.fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC),
		.ready = retry_ready,
		.owner = link};
	ret = listen_to_all(link);
	if (ret < 0) {
		storelink_close(link);
		return err_set(e, ret, TAP_EXIT_SYSTEM, "cannot wait for XenStore: %s",
			       strerror(-ret));
	}
	return 0;
}

void storelink_close(struct storelink *link)
{
	drop_lifeline(link);
	loop_remove(link->loop, &link->events);
	if (link->retry.fd >= 0) {
		loop_remove(link->loop, &link->retry);
		close(link->retry.fd);
	}
	store_close(link->store);
}
