/* SPDX-License-Identifier: MIT */
/*
 * rundir - /run/taptools (or $TAPTOOLS_RUNDIR), one folder per disk: DOMID-VDEVNUMBER/ with
 * pid (held locked by the server for as long as it serves), stat (stats.h), ctl (control socket).
 */
#ifndef TAP_RUNDIR_H
#define TAP_RUNDIR_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "msg.h"
#include "xenbus.h"

/** Path of @file in the disk's folder (@file NULL: the folder). 0 or -ENAMETOOLONG. */
int rundir_path(const struct disk *disk, const char *file, char buf[static PATH_MAX]);

/** Make the disk's folder and its parents, 0755. 0 (also when it is there) or a negative errno. */
int rundir_make(const struct disk *disk);

/**
 * Claim the disk for this process: make the folder, lock `pid` (an OFD lock, so the claim ends with
 * the process, however it ends) and write our pid. Returns a descriptor to keep open
 * (close-on-exec), or -EBUSY with exit 4 and the other server's pid in @e, or another negative
 * errno.
 */
int rundir_claim(const struct disk *disk, struct err *e);

/** End a claim: remove pid and ctl (stat is kept until rundir_remove()), then the lock. */
void rundir_release(const struct disk *disk, int claim_fd);

/** Pid of the live server of a disk, or 0. A pid file whose lock is free counts as none. */
pid_t rundir_server(const struct disk *disk);

/**
 * Wait until no server holds the disk any more: its image, too, is given back by then. 0,
 * -ETIMEDOUT, -EINTR once @interrupt_fd is readable (-1: none), or another negative errno.
 */
int rundir_await_release(const struct disk *disk, uint64_t deadline_ns, int interrupt_fd);

/**
 * Remove the disk's folder with the files known to be in it. 0 (also when there is none), -EBUSY
 * while a claim is held (our own included: release it first), -ENOTEMPTY when others' files are
 * there.
 */
int rundir_remove(const struct disk *disk);

#endif
