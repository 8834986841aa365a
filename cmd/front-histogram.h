/* SPDX-License-Identifier: MIT */
/*
 * front-histogram - times, counted in buckets a few percent wide.
 */
#ifndef TAP_FRONT_HISTOGRAM_H
#define TAP_FRONT_HISTOGRAM_H

#include <stdint.h>

/** 32 buckets to each power of two: a percentile is at most 3.2 % above the truth. */
#define HISTOGRAM_SUB_BITS 5
#define HISTOGRAM_BUCKETS  ((64 - HISTOGRAM_SUB_BITS + 1) << HISTOGRAM_SUB_BITS)

/** Zero-initialise. */
struct histogram {
	uint64_t count, sum_ns, min_ns, max_ns;
	uint64_t buckets[HISTOGRAM_BUCKETS];
};

void histogram_add(struct histogram *histogram, uint64_t ns);

/** The time that @per_mille of a thousand are not above; 0 when nothing was counted. */
uint64_t histogram_at(const struct histogram *histogram, unsigned per_mille);

uint64_t histogram_mean(const struct histogram *histogram);

#endif
