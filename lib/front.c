/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#include "front-inner.h"
#include "num.h"

/* "xvda" alone, or "DOM/xvda" with a DOM that must be @store's own domain. */
static int check_dom(struct store *store, const char *dom, struct err *e)
{
	char name[STORE_VALUE_MAX] = "", path[STORE_PATH_MAX];
	uint32_t own = store_domid(store), wanted;
	uint64_t number;
	int ret;

	ret = store_path(path, "/local/domain/%u/name", own);
	if (!ret)
		store_read(store, XBT_NULL, path, name);
	if (!num_parse(dom, 0, DOMID_MAX, &number) ? number == own : !strcmp(dom, name))
		return 0;
	err_set(e, -EXDEV, TAP_EXIT_NONE,
		"cannot be the frontend of domain '%s': this is domain %u%s%s%s", dom, own,
		name[0] ? " ('" : "", name, name[0] ? "')" : "");
	if (!domain_resolve(store, dom, &wanted, NULL))
		err_hint(e, "in a simulator: TAP_SIM_DOMID=%u tap-front ...", wanted);
	else
		err_hint(e, "in a simulator, TAP_SIM_DOMID says which domain a program runs in");
	return -EXDEV;
}

int front_address(const char *text, uint32_t *vdev, struct err *e)
{
	struct address address;
	struct store *store;
	int ret;

	if (!strchr(text, '/')) {
		if (!vdev_parse(text, vdev))
			return 0;
		return err_set(e, -EINVAL, TAP_EXIT_USAGE,
			       "'%s' is not a disk: expected [DOM/]VDEV, as in xvda or web1/xvda",
			       text);
	}
	ret = address_parse(text, &address, e);
	if (ret)
		return ret;
	ret = store_open(&store, e);
	if (ret)
		return ret;
	*vdev = address.vdev;
	ret = check_dom(store, address.dom, e);
	store_close(store);
	return ret;
}

int front_break(struct front *front, int ret, const char *fmt, ...)
{
	char text[sizeof(front->why.what)];
	va_list args;

	if (front->broken)
		return front->broken;
	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	front->broken = ret;
	return err_set(&front->why, ret, TAP_EXIT_SYSTEM, "%s", text);
}

/* One descriptor for callers with a loop of their own. */
static int open_poll(struct front *front)
{
	struct epoll_event event = {.events = EPOLLIN};

	front->poll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (front->poll_fd < 0 ||
	    epoll_ctl(front->poll_fd, EPOLL_CTL_ADD, store_fd(front->store), &event))
		return -errno;
	for (unsigned i = 0; i < front->facts.queues; i++) {
		if (epoll_ctl(front->poll_fd, EPOLL_CTL_ADD, channel_fd(front->rings[i].channel),
			      &event))
			return -errno;
	}
	return 0;
}

/* What connecting needs beside XenStore: pages, slots, ports. */
static int open_rings(struct front *front, struct err *e)
{
	int ret = front_agree(front, e);

	if (!ret)
		ret = front_pages_open(front, e);
	if (ret)
		return ret;
	for (unsigned i = 0; !ret && i < front->facts.queues; i++)
		ret = channel_offer(&front->rings[i].channel, front->facts.backend_domid);
	if (ret)
		return err_set(e, ret, err_exit_of(ret),
			       "cannot offer an event channel to domain %u: %s",
			       front->facts.backend_domid, strerror(-ret));
	ret = open_poll(front);
	if (ret)
		return err_set(e, ret, TAP_EXIT_SYSTEM, "cannot wait for events: %s",
			       strerror(-ret));
	return 0;
}

static void free_front(struct front *front)
{
	front_pages_close(front);
	for (unsigned i = 0; i < FRONT_QUEUES_MAX; i++)
		channel_close(front->rings[i].channel);
	if (front->poll_fd >= 0)
		close(front->poll_fd);
	if (front->gntshr)
		xengntshr_close(front->gntshr);
	store_close(front->store);
	free(front);
}

/* The way back out, however far it went. The ring is taken back before the next frontend is asked
 * in. */
static int leave(struct front *front, struct err *e)
{
	int ret;

	if (front->options.manner == FRONT_BOOT)
		return 0; /* what the backend maps stays its own until the next frontend closes */
	ret = front_disconnect(front, e);
	front_pages_close(front);
	if (ret)
		return ret;
	front_rewind(front);
	if (!front->pages_held)
		return 0;
	return err_set(e, -EBUSY, TAP_EXIT_SYSTEM,
		       "the backend closed, but still maps %u of the granted pages",
		       front->pages_held);
}

int front_open(struct front **out, uint32_t vdev, const struct front_options *options,
	       struct err *e)
{
	struct front *front = calloc(1, sizeof(*front));
	int ret;

	*out = NULL;
	if (!front)
		return err_set(e, -ENOMEM, TAP_EXIT_SYSTEM, "no memory");
	front->options = *options;
	front->vdev = vdev;
	front->poll_fd = -1;
	for (unsigned i = 0; i < FRONT_QUEUES_MAX; i++)
		front->rings[i].queue_tail = &front->rings[i].queue;
	front->done_tail = &front->done;
	ret = store_open(&front->store, e);
	if (!ret)
		ret = front_find(front, e);
	if (!ret)
		ret = front_invite(front, e);
	if (!ret)
		ret = open_rings(front, e);
	if (!ret) {
		ret = front_connect(front, e);
		if (ret) {
			/* The reason stands; a wake-up must not cut the way back short. */
			front->options.wake_fd = -1;
			leave(front, NULL);
		}
	}
	if (ret) {
		free_front(front);
		return ret;
	}
	*out = front;
	return 0;
}

int front_close(struct front *front, struct err *e)
{
	int ret, drained;

	if (!front)
		return 0;
	drained = front_drain(front, front_deadline(front));
	ret = leave(front, e);
	if (front->broken) {
		/* Perhaps told by front_poll() before; but its last answer may hide it. */
		if (e)
			*e = front->why;
		ret = front->broken;
	} else if (!ret && drained == -ETIMEDOUT)
		ret = err_set(e, -ETIMEDOUT, TAP_EXIT_TIMEOUT,
			      "closed, but requests in flight were never answered");
	free_front(front);
	return ret;
}

const struct front_facts *front_facts(const struct front *front)
{
	return &front->facts;
}

int front_fd(const struct front *front)
{
	return front->poll_fd;
}

bool front_resized(struct front *front)
{
	bool resized = front->resized;

	front->resized = false;
	return resized;
}

bool front_closing(const struct front *front)
{
	return front->closing;
}

uint64_t front_deadline(const struct front *front)
{
	uint64_t deadline_ns;

	if (add_overflows(now_ns(), front->options.timeout_ns, &deadline_ns))
		return UINT64_MAX;
	return deadline_ns;
}

/* Unmasked at once: what comes from now on raises a new event, and all that came before is seen by
 * the look at the ring that follows. */
static int take_event(struct front *front, struct channel *channel)
{
	int ret = channel_take(channel);

	if (ret > 0)
		ret = channel_rearm(channel);
	return ret < 0 ? front_break(front, ret, "event channel: %s", strerror(-ret)) : 0;
}

static int wait_fds(struct pollfd *fds, unsigned n, uint64_t deadline_ns)
{
	struct timespec left = {0}, *timeout = NULL;
	int ret;

	if (deadline_ns != UINT64_MAX) {
		uint64_t now = now_ns(), ns = deadline_ns > now ? deadline_ns - now : 0;

		left = (struct timespec){.tv_sec = (time_t)(ns / 1000000000u),
					 .tv_nsec = (long)(ns % 1000000000u)};
		timeout = &left;
	}
	ret = ppoll(fds, n, timeout, NULL);
	return ret < 0 ? -errno : ret;
}

int front_wait(struct front *front, uint64_t deadline_ns)
{
	struct pollfd fds[2 + FRONT_QUEUES_MAX] = {
		{.fd = front->store_lost ? -1 : store_fd(front->store), .events = POLLIN},
		{.fd = front->options.wake_fd, .events = POLLIN},
	};
	unsigned n = 2;
	int ret;

	/* None yet while the first state is waited for. */
	for (unsigned i = 0; i < front->facts.queues && front->rings[i].channel; i++)
		fds[n++] = (struct pollfd){.fd = channel_fd(front->rings[i].channel),
					   .events = POLLIN};
	ret = wait_fds(fds, n, deadline_ns);
	if (ret < 0)
		return ret;
	if (fds[1].revents)
		return -EINTR;
	if (!ret)
		return -ETIMEDOUT;
	for (unsigned i = 2; i < n; i++) {
		if (fds[i].revents && (ret = take_event(front, front->rings[i - 2].channel)) < 0)
			return ret;
	}
	return fds[0].revents ? front_look(front) : 0;
}
