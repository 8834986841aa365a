/* SPDX-License-Identifier: MIT */
/*
 * attach-job - what the parts of tap-attach share: the command line as parsed, and how results and
 * failures are told, in words or in JSON.
 */
#ifndef ATTACH_JOB_H
#define ATTACH_JOB_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "attach.h"
#include "json.h"

/** Keys of the options without a letter. */
enum {
	KEY_KIND = 256,
	KEY_DEVICE_TYPE,
	KEY_SHARE,
	KEY_WAIT,
	KEY_FORCE,
	KEY_DRY_RUN,
	KEY_STALE,
	KEY_CLEAN,
	KEY_TIMEOUT,
	KEY_REMOVABLE,
	KEY_SECTOR_SIZE,
	KEY_NO_DISCARD,
	KEY_DIRECT_IO_SAFE,
	KEY_MAX_QUEUES,
	KEY_MAX_RING_ORDER,
	KEY_MAX_SEGMENTS,
};

enum attach_mode { MODE_ATTACH, MODE_DETACH, MODE_LIST, MODE_RESIZE, MODE_STALE, MODE_CLEAN };

struct job {
	enum attach_mode mode;
	bool wait, force, dry_run, json, verbose;
	const char *kind;	   /* NULL: not given */
	struct attach_request new; /* what attaching is asked for; kind aside */
	bool for_attaching;	   /* an option was given that has no other use */
	uint64_t timeout_ns;

	struct store *store;
	struct json_object *envelope; /* of -J, else NULL */
	FILE *steps;		      /* where --dry-run prints, else NULL */
	char *step_text;	      /* of -J: what went to steps */
	size_t step_bytes, steps_told;
	char about[ADDRESS_MAX + 1]; /* the disk or domain that messages are about, or empty */
	int status;		     /* the first failure's */
};

/** What messages are about from now on: "web1", "web1/xvda". */
void job_about(struct job *job, const char *name);

/** Tell of a failure and go on; the first one is the exit status. */
void job_fail(struct job *job, const struct err *e);

/** An attach_step_fn: a line on stderr. */
void job_step(void *opaque, const char *text);

/** Begin a JSON item with a disk's identity; NULL without -J. job_end_item() gives it to the
 * envelope. */
struct json_object *job_item(struct job *job, const struct disk *disk);
void job_end_item(struct job *job, struct json_object *item);

/** With -J, turn what --dry-run has printed so far into items. */
void job_end_steps(struct job *job, const struct disk *disk);

/** CLOCK_MONOTONIC of --timeout, from now on. */
uint64_t job_deadline_ns(const struct job *job);

/** An option that says how to attach. 0 or -EINVAL with @e filled. */
int job_take_new(struct job *job, int key, const char *arg, struct err *e);
/** Attach. */
int job_attach(struct job *job, char **args, struct err *e);
/** -l, of these domains or (n == 0) of all. */
int job_list(struct job *job, char **doms, int n, struct err *e);
/** --stale and --clean. */
int job_stale(struct job *job, struct err *e);

#endif
