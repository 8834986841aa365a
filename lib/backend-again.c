/* SPDX-License-Identifier: MIT */
/*
 * What XenStore refused: the watch event that asked for it does not come again, and a frontend that
 * waits changes nothing. So it is said, and looked at again after a while; a few times in a row,
 * since a XenStore that is gone altogether is the server's business.
 */
#include <string.h>

#include "backend-inner.h"

#define AGAIN_NS    500000000u
#define AGAIN_TIMES 10

void backend_again(struct loop_task *task)
{
	backend_step(task->owner);
}

void backend_look_again(struct backend *backend)
{
	backend->failing = true;
	if (backend->again_times == AGAIN_TIMES)
		return;
	backend->again_times++;
	loop_defer_until(backend->host->loop, &backend->again, now_ns() + AGAIN_NS);
}

void backend_store_failed(struct backend *backend, int ret, const char *what)
{
	xenbus_set_error(backend->host->store, backend->disk.backend, "cannot %s: %s", what,
			 strerror(-ret));
	log_guest(backend->host->log, &backend->account->log_limit, backend->disk.name,
		  "cannot %s: %s", what, strerror(-ret));
	backend_look_again(backend);
}
