/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "worker.h"

struct worker {
	struct loop *loop;
	pthread_t thread;
	struct loop_task end;
};

static void run_end(struct loop_task *task)
{
	struct worker *worker = task->owner;

	loop_stop(worker->loop);
}

static void *run(void *opaque)
{
	struct worker *worker = opaque;

	loop_run(worker->loop);
	return NULL;
}

int worker_start(struct worker **out)
{
	struct worker *worker = calloc(1, sizeof(*worker));
	int ret;

	if (!worker)
		return -ENOMEM;
	worker->end = (struct loop_task){.run = run_end, .owner = worker};
	ret = loop_open(&worker->loop);
	if (!ret)
		ret = -pthread_create(&worker->thread, NULL, run, worker);
	if (ret) {
		loop_close(worker->loop);
		free(worker);
		return ret;
	}
	*out = worker;
	return 0;
}

struct loop *worker_loop(struct worker *worker)
{
	return worker->loop;
}

void worker_stop(struct worker *worker)
{
	if (!worker)
		return;
	loop_post(worker->loop, &worker->end);
	pthread_join(worker->thread, NULL);
	loop_close(worker->loop);
	free(worker);
}
