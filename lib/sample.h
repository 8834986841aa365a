/* SPDX-License-Identifier: MIT */
/*
 * sample - the counters of a disk at one moment, and what happened between two such moments.
 *
 * Disks that tap-serve serves tell much (stats.h). Of others only the indices of their rings are
 * known: how many requests came and went, but not which.
 */
#ifndef TAP_SAMPLE_H
#define TAP_SAMPLE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "inspect.h"
#include "stats.h"
#include "store.h"
#include "xenbus.h"

enum sample_source {
	SAMPLE_NOTHING, /* no ring, or one that cannot be looked at */
	SAMPLE_RING,
	SAMPLE_STATS,
};

struct sample_ring {
	struct front_queue identity; /* another one means another ring */
	uint32_t req_prod, rsp_prod;
};

struct sample {
	struct disk disk;
	uint64_t taken_ns; /* CLOCK_MONOTONIC */
	enum sample_source source;
	const char *state; /* static: "connected", "waiting", "died", ..., see tap-stat(8) */
	pid_t server;	   /* live tap-serve, or 0 */
	uint64_t in_flight;

	/* SAMPLE_STATS */
	uint64_t start_ns;
	struct stats_queue total;
	uint32_t breaks;  /* rings that were stopped: their indices were impossible */
	unsigned stopped; /* rings that are stopped now */

	/* SAMPLE_RING */
	unsigned rings;
	struct sample_ring ring[STATS_QUEUES];
};

/** "stat", "ring", or "none" */
const char *sample_source_name(enum sample_source source);

/** Look at a disk. 0, or -ENOENT when it is gone. What cannot be read is told by state and source.
 */
int sample_disk(struct store *store, const struct disk *disk, struct sample *out);

/** Are they of the same disk? */
bool sample_same_disk(const struct sample *a, const struct sample *b);

/** What happened from one sample to a later one. */
struct sample_delta {
	bool known;	      /* false: nothing can be said but the gauges */
	uint64_t interval_ns; /* at least 1 */
	uint64_t requests;    /* answered */
	bool has_counters;
	struct stats_queue counters; /* growth, and gauges of the later sample */
};

/**
 * @earlier NULL, of another server or of another ring: counters since the server began; of rings,
 * which do not tell when they began, nothing.
 */
void sample_between(const struct sample *earlier, const struct sample *now,
		    struct sample_delta *out);

/** Requests answered with an error, each once. */
uint64_t sample_errors(const struct stats_queue *counters);

/** Mean time from fetch to answer, and the time below which @permille were; 0 without requests. */
uint64_t sample_await_ns(const struct stats_op_counters *counters);
uint64_t sample_percentile_ns(const struct stats_queue *counters, unsigned permille);

#endif
