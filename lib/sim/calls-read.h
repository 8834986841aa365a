/* SPDX-License-Identifier: MIT */
/* calls-read - the counters of calls.h, read by another process. */
#ifndef TAP_SIM_CALLS_READ_H
#define TAP_SIM_CALLS_READ_H

#include <stddef.h>
#include <sys/types.h>

#include "msg.h"
#include "sim/calls.h"

/** The function's name. */
const char *calls_name(enum sim_call call);

/**
 * The counters of every process of this simulator, those that have ended included, or of @pid (not
 * 0), in the order of their first calls. *items is the caller's to free(). Returns 0, or a negative
 * errno with @e filled: -ENOENT when @pid has made no call.
 */
int calls_read(pid_t pid, struct sim_calls **items, size_t *count, struct err *e);

#endif
