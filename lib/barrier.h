/* SPDX-License-Identifier: MIT */
/*
 * barrier - what WRITE_BARRIER means for a disk of several queues: everything that any queue took
 * before it is answered before it is done, and nothing is started before it is answered.
 *
 * A queue that meets a barrier asks; all queues are held; once each is empty the barrier is
 * run, then the next one if another queue met one as well, then all go on.
 */
#ifndef TAP_BARRIER_H
#define TAP_BARRIER_H

#include <stdbool.h>

#include "queue.h"

struct barrier {
	struct queue **queues; /* of the disk */
	unsigned n;
	bool active;
	/* By queue. */
	bool asked[STATS_QUEUES]; /* its barrier waits */
	bool held[STATS_QUEUES];
	bool gone[STATS_QUEUES]; /* drained for good */
};

/** Begin anew for @n queues, none of which has a barrier. */
void barrier_reset(struct barrier *barrier, struct queue **queues, unsigned n);

/* What queue.h's callbacks of the same meaning are answered with. */
void barrier_asked(struct barrier *barrier, const struct queue *queue);
void barrier_held(struct barrier *barrier, const struct queue *queue);
void barrier_done(struct barrier *barrier, const struct queue *queue);
void barrier_gone(struct barrier *barrier, const struct queue *queue);

#endif
