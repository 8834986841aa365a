/* SPDX-License-Identifier: MIT */
/* worker - a thread that runs a loop. */
#ifndef TAP_WORKER_H
#define TAP_WORKER_H

#include "loop.h"

struct worker;

/** Start a thread with a loop of its own. 0 or a negative errno. */
int worker_start(struct worker **out);

/** Its loop: loop_post() to it. */
struct loop *worker_loop(struct worker *worker);

/** End the thread, once it has done what was posted before. NULL is fine. */
void worker_stop(struct worker *worker);

#endif
