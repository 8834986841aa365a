/* SPDX-License-Identifier: MIT */
/*
 * front-job - one command of tap-front: what was asked for, and the frontend to do it with.
 */
#ifndef TAP_FRONT_JOB_H
#define TAP_FRONT_JOB_H

#include <stdbool.h>
#include <stdint.h>

#include "front.h"
#include "front-progress.h"
#include "msg.h"

enum front_rw { RW_READ, RW_WRITE, RW_RANDREAD, RW_RANDWRITE, RW_RANDRW };
const char *front_rw_name(enum front_rw rw);

/** What a discarded stretch reads as: verify does not discard, zeros, zeros or what was there. */
enum front_discards { DISCARDS_NONE, DISCARDS_ZEROS, DISCARDS_ANY };

struct json_object;

struct front_job {
	const char *tool;
	const char *disk; /* as it was typed */
	struct front *front;
	struct progress progress;
	int wake_fd; /* readable when a signal asks to stop */

	uint64_t offset_bytes, length_bytes; /* UINT64_MAX: to the end of the disk */
	const char *input, *output;	     /* NULL: the standard streams */
	unsigned iodepth;
	bool force;
	struct json_object *envelope; /* for -J: the command adds its item; else NULL */

	/* verify */
	bool barriers, flush_data;
	enum front_discards discards;

	/* discard */
	bool secure;

	/* verify and bench */
	uint64_t ops; /* 0: not given */
	uint64_t range_bytes;
	uint64_t seed;
	bool seed_given;
	enum front_rw rw;
	uint64_t block_bytes;
	uint64_t runtime_ns; /* 0: not given */

	/* hold */
	int ready_fd; /* -1: nobody waits */
	bool busy;
};

/*
 * The commands. 0, or a negative errno with @e filled; -EINTR when a signal ended it before it was
 * done.
 */
int front_info(struct front_job *job, struct err *e);
int front_read(struct front_job *job, struct err *e);
int front_write(struct front_job *job, struct err *e);
int front_flush(struct front_job *job, struct err *e);
int front_barrier(struct front_job *job, struct err *e);
int front_discard(struct front_job *job, struct err *e);
int front_verify(struct front_job *job, struct err *e);
int front_bench(struct front_job *job, struct err *e);
int front_hold(struct front_job *job, struct err *e);

/** offset_bytes and length_bytes against the disk, now that its size is known: exit 2. A length to
 * the end becomes a number. */
int front_extent(struct front_job *job, struct err *e);

/** May the disk be written, or is it to be tried all the same? Exit 6. */
int front_may_write(const struct front_job *job, struct err *e);

/** Is all offered that the options of verify and discard ask for? Exit 7. */
int front_offers(const struct front_job *job, struct err *e);

/** Size of the disk in bytes. */
uint64_t front_disk_bytes(const struct front_job *job);

/** A finished operation's failure in words: exit 7. 0 when it did not fail. */
int front_op_error(const struct front_op *op, struct err *e);

#endif
