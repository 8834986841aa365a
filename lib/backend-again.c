/* SPDX-License-Identifier: MIT */
/*
 * What XenStore refused: the watch event that asked for it does not come again, and a frontend that
 * waits changes nothing. So it is said, and looked at again after a while; a few times, since a
 * XenStore that is gone altogether is the server's business.
 */
#include <string.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "backend-inner.h"

#define AGAIN_NS    500000000
#define AGAIN_TIMES 10

static void again_ready(struct loop_source *source, uint32_t events)
{
	struct backend *backend = source->owner;
	uint64_t ticks;

	if (read(source->fd, &ticks, sizeof(ticks)) == sizeof(ticks))
		backend_step(backend);
}

static void look_again(struct backend *backend)
{
	static const struct itimerspec once = {.it_value.tv_nsec = AGAIN_NS};
	struct loop_source *again = &backend->again;

	if (backend->again_times == AGAIN_TIMES)
		return;
	backend->again_times++;
	if (!again->ready) {
		*again = (struct loop_source){
			.fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC),
			.ready = again_ready,
			.owner = backend,
		};
		if (again->fd >= 0 && loop_add(backend->host->loop, again, EPOLLIN) < 0) {
			close(again->fd);
			again->fd = -1;
		}
	}
	if (again->fd >= 0)
		(void)!timerfd_settime(again->fd, 0, &once, NULL);
}

void backend_store_failed(struct backend *backend, int ret, const char *what)
{
	xenbus_set_error(backend->host->store, backend->disk.backend, "cannot %s: %s", what,
			 strerror(-ret));
	log_guest(backend->host->log, &backend->account->log_limit, backend->disk.name,
		  "cannot %s: %s", what, strerror(-ret));
	look_again(backend);
}

void backend_again_close(struct backend *backend)
{
	if (!backend->again.ready || backend->again.fd < 0)
		return;
	loop_remove(backend->host->loop, &backend->again);
	close(backend->again.fd);
}
