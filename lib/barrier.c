/* SPDX-License-Identifier: MIT */
#include "barrier.h"

void barrier_reset(struct barrier *barrier, struct queue **queues, unsigned n)
{
	*barrier = (struct barrier){.queues = queues, .n = n};
}

static void mark(struct barrier *barrier, const struct queue *queue, bool asked)
{
	for (unsigned i = 0; i < barrier->n; i++) {
		if (barrier->queues[i] == queue)
			barrier->asked[i] = asked;
	}
}

static void run_next(struct barrier *barrier)
{
	for (unsigned i = 0; i < barrier->n; i++) {
		if (barrier->asked[i]) {
			queue_run_barrier(barrier->queues[i]);
			return;
		}
	}
	barrier->active = false;
	for (unsigned i = 0; i < barrier->n; i++)
		queue_release(barrier->queues[i]);
}

void barrier_asked(struct barrier *barrier, const struct queue *queue)
{
	mark(barrier, queue, true);
	if (barrier->active)
		return;
	barrier->active = true;
	barrier->held = 0;
	for (unsigned i = 0; i < barrier->n; i++)
		queue_hold(barrier->queues[i]);
}

void barrier_held(struct barrier *barrier)
{
	if (++barrier->held == barrier->n)
		run_next(barrier);
}

void barrier_done(struct barrier *barrier, const struct queue *queue)
{
	mark(barrier, queue, false);
	run_next(barrier);
}
