/* SPDX-License-Identifier: MIT */
/* descendants - the processes below this one, orphans that came back to it included. */
#ifndef TAP_SIM_DESCENDANTS_H
#define TAP_SIM_DESCENDANTS_H

#include <sys/types.h>

/**
 * Send @signal to every process below this one except @spare (0: none) and what is below that.
 * Returns how many there were, zombies not counted, or a negative errno. The caller is a subreaper
 * (PR_SET_CHILD_SUBREAPER), so each process that it started stays below it.
 */
int descendants_signal(int signal, pid_t spare);

#endif
