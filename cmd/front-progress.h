/* SPDX-License-Identifier: MIT */
/*
 * front-progress - how far a long command is, on a terminal; nothing anywhere else.
 */
#ifndef TAP_FRONT_PROGRESS_H
#define TAP_FRONT_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

struct progress {
	bool shown;	  /* stderr is a terminal and nobody asked for silence */
	const char *what; /* "read", "verify" */
	uint64_t started_ns, next_ns;
	bool on_line; /* a line is drawn that has to be cleared */
};

void progress_start(struct progress *progress, const char *what);
/** @done of @total (0: not known); in bytes, or in @unit where that is not NULL. */
void progress_show(struct progress *progress, uint64_t done, uint64_t total, const char *unit);
/** Take the line away. */
void progress_end(struct progress *progress);

#endif
