/* SPDX-License-Identifier: MIT */
/* sim - start a simulator, run a command in it, end it; and ask the one that this process is in. */
#ifndef TAP_SIM_SIM_H
#define TAP_SIM_SIM_H

#include <stddef.h>
#include <stdint.h>

#include "msg.h"
#include "sim/wire.h"

/**
 * Run @command (NULL-terminated) in a simulator with @domains guests and wait until it and all that
 * it has started are gone. Sets *status to its exit status, 128 + N when signal N ended it. Returns
 * 0, or a negative errno with @e filled; nothing is left behind either way.
 */
int sim_run(unsigned domains, char *const *command, int *status, struct err *e);

/** 0 inside of a simulator, else -ENOENT with @e filled. */
int sim_inside(struct err *e);

/** What is held, xenstored's own excepted. *items is the caller's to free(). 0 or a negative errno.
 */
int sim_held(struct sim_held **items, size_t *count, struct err *e);

/**
 * End a domain: what runs in it is killed, its ports are closed, its grants are gone but for the
 * pages that others still map, and xenstored is told. 0 or a negative errno.
 */
int sim_destroy(uint32_t domid, struct err *e);

#endif
