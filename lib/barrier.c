/* SPDX-License-Identifier: MIT */
#include "barrier.h"

void barrier_reset(struct barrier *barrier, struct queue **queues, unsigned n)
{
	*barrier = (struct barrier){.queues = queues, .n = n};
}

static unsigned index_of(const struct barrier *barrier, const struct queue *queue)
{
	unsigned i = 0;

	while (barrier->queues[i] != queue)
		i++;
	return i;
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
	for (unsigned i = 0; i < barrier->n; i++) {
		if (!barrier->gone[i])
			queue_release(barrier->queues[i]);
	}
}

static void run_when_all_held(struct barrier *barrier)
{
	for (unsigned i = 0; i < barrier->n; i++) {
		if (!barrier->held[i] && !barrier->gone[i])
			return;
	}
	run_next(barrier);
}

void barrier_asked(struct barrier *barrier, const struct queue *queue)
{
	barrier->asked[index_of(barrier, queue)] = true;
	if (barrier->active)
		return;
	barrier->active = true;
	for (unsigned i = 0; i < barrier->n; i++) {
		barrier->held[i] = false;
		if (!barrier->gone[i])
			queue_hold(barrier->queues[i]);
	}
}

void barrier_held(struct barrier *barrier, const struct queue *queue)
{
	unsigned i = index_of(barrier, queue);

	if (barrier->held[i])
		return;
	barrier->held[i] = true;
	run_when_all_held(barrier);
}

void barrier_done(struct barrier *barrier, const struct queue *queue)
{
	barrier->asked[index_of(barrier, queue)] = false;
	run_next(barrier);
}

void barrier_gone(struct barrier *barrier, const struct queue *queue)
{
	unsigned i = index_of(barrier, queue);

	barrier->gone[i] = true;
	if (barrier->active && !barrier->held[i])
		run_when_all_held(barrier);
}
