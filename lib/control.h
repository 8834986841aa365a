/* SPDX-License-Identifier: MIT */
/*
 * control - the socket `ctl` in a served disk's run-time folder: one command line to the server,
 * one answer line back.
 *
 * SOCK_SEQPACKET, one message each way. Commands: "ping", "resize". Answers: "ok [TEXT]" or
 * "error EXIT TEXT" with an exit status of msg.h.
 */
#ifndef TAP_CONTROL_H
#define TAP_CONTROL_H

#include <stdint.h>

#include "loop.h"
#include "msg.h"
#include "xenbus.h"

#define CONTROL_LINE_MAX 256

struct control;

/** Answer one command into @answer ("ok ..." or "error N ..."). */
typedef void control_fn(void *opaque, const char *command, char answer[static CONTROL_LINE_MAX]);

/**
 * Listen; the disk must be claimed (rundir.h). A slow or silent client never holds the loop up;
 * of more than 8 silent ones the oldest is sent away. @answer must not close the control.
 */
int control_open(struct control **out, const struct disk *disk, struct loop *loop,
		 control_fn *answer, void *opaque);
void control_close(struct control *control);

/**
 * Send @command to the disk's server and wait for the answer. 0 and its text in @text; on an error
 * answer a negative errno with @e filled from it; exit 3 when no server listens, 5 at the deadline.
 */
int control_ask(const struct disk *disk, const char *command, uint64_t deadline_ns,
		char text[static CONTROL_LINE_MAX], struct err *e);

#endif
