/* SPDX-License-Identifier: MIT */
/*
 * stats - the `stat` file of a served disk: counters that the server writes as it goes and that
 * tap-stat maps and reads at any time, also after the server died.
 *
 * Plain 64-bit counters, each written by one thread, only ever growing. Readers take a copy with
 * stats_read(). The layout is versioned; fields are only ever added at the end of a block's spare
 * room.
 */
#ifndef TAP_STATS_H
#define TAP_STATS_H

#include <stdint.h>

#include "address.h"
#include "image.h"
#include "pages.h"
#include "request.h"
#include "xenbus.h"

#define STATS_MAGIC   0x5441545354415054ull /* "TPATSTAT" */
#define STATS_VERSION 2
#define STATS_BUCKETS \
	40 /* latency: bucket b counts [2^b, 2^(b+1)) ns, the last one everything above */
#define STATS_QUEUES 16

/** A barrier counts as a flush. */
enum stats_op { STATS_READ, STATS_WRITE, STATS_FLUSH, STATS_DISCARD, STATS_OPS };

/** One kind of operation of one queue. */
struct stats_op_counters {
	uint64_t done;	   /* answered OKAY */
	uint64_t failed;   /* answered with an error after the check had passed */
	uint64_t sectors;  /* of those done */
	uint64_t total_ns; /* fetch to push, summed over all that were answered */
	uint64_t bucket[STATS_BUCKETS];
};

struct stats_queue {
	struct stats_op_counters op[STATS_OPS];
	uint64_t fault[REQUEST_FAULTS]; /* refused by class; FAULT_GRANT and image errors as well */
	uint64_t image_errors;
	uint64_t wakeups;   /* events taken from the channel */
	uint64_t batches;   /* fetches of one request or more */
	uint64_t requests;  /* consumed */
	uint64_t responses; /* pushed */
	uint64_t pushes;
	uint64_t notifies;
	uint64_t io_submits;
	uint64_t io_reaps;
	struct pages_counters pages;
	uint64_t in_flight; /* gauge */
	uint64_t oldest_ns; /* gauge: CLOCK_MONOTONIC of the oldest request in flight, 0 without one
			     */
	uint32_t req_cons, rsp_prod; /* private indices as of the last push */
	uint64_t stopped; /* 0, or why nothing is fetched until the frontend reconnects: a positive
			     errno, EPROTO for an impossible index */
	uint64_t spare[10];
};

struct stats_file {
	uint64_t magic;
	uint32_t version, size_bytes;
	uint64_t start_ns; /* CLOCK_MONOTONIC when serving began */
	uint32_t pid;
	uint32_t queues; /* in use */
	uint32_t domid, vdev;
	uint32_t slots;		/* of each ring */
	uint32_t connected;	/* 0 or 1 */
	uint32_t stopped_clean; /* the server left with every consumed request answered */
	uint32_t breaks;	/* rings stopped because of an impossible index */
	uint64_t size_sectors;
	char data_path[16];
	char disk[ADDRESS_MAX];
	char image[256];
	uint64_t spare[16];
	struct stats_queue queue[STATS_QUEUES];
};

/**
 * Make (or make anew) the disk's stat file, mapped shared. @stopped is what the last server left
 * when it stopped in order, or NULL: where its rings were then is in the new file too, so that it
 * is not lost with a server that gets no further than this. 0 or a negative errno.
 */
int stats_create(struct stats_file **out, const struct disk *disk,
		 const struct stats_file *stopped);
void stats_unmap(struct stats_file *stats);

/** A copy of a disk's stat file. 0, -ENOENT, or -EPROTO for another version or a damaged file. */
int stats_read(const struct disk *disk, struct stats_file *out);

/** Count one answered request. */
void stats_count(struct stats_queue *queue, enum stats_op op, int ok, uint64_t sectors,
		 uint64_t latency_ns);

/** Latency below which @permille of the counted requests were, by the buckets' upper ends; 0
 * without any. */
uint64_t stats_percentile_ns(const struct stats_op_counters *counters, unsigned permille);

/** How many rings of a connected disk are stopped. */
unsigned stats_stopped(const struct stats_file *stats);

/** All queues summed up (gauges too; oldest_ns is the oldest of all). */
void stats_sum(const struct stats_file *stats, struct stats_queue *out);

#endif
