/* SPDX-License-Identifier: MIT */
/*
 * num - numbers from outside, and arithmetic that cannot wrap.
 *
 * Each number that comes from an argument, from XenStore or from a guest goes through one of these
 * parsers: no sign, no blank, no trailing text, no wrap.
 */
#ifndef TAP_NUM_H
#define TAP_NUM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SECTOR_BYTES	   512u	 /* the unit of the block protocol, whatever sector-size says */
#define LARGE_SECTOR_BYTES 4096u /* the other sector-size there is */

/** Refuses pointers: the array must be one. */
#define ARRAY_SIZE(a)                                                                     \
	(sizeof(a) / sizeof((a)[0]) +                                                     \
	 0 * sizeof(struct {                                                              \
		 int not_an_array                                                         \
		     : !__builtin_types_compatible_p(__typeof__(a), __typeof__(&(a)[0])); \
	 }))

/** a + b into *out; true when that wrapped (and *out is then not to be used). */
static inline bool add_overflows(uint64_t a, uint64_t b, uint64_t *out)
{
	return __builtin_add_overflow(a, b, out);
}

/** a * b into *out; true when that wrapped (and *out is then not to be used). */
static inline bool mul_overflows(uint64_t a, uint64_t b, uint64_t *out)
{
	return __builtin_mul_overflow(a, b, out);
}

/**
 * A decimal number in [min, max], nothing else in the string.
 * Returns 0, -EINVAL (not a number) or -ERANGE (a number, outside the range). *out only on 0.
 */
int num_parse(const char *text, uint64_t min, uint64_t max, uint64_t *out);

/** The same of @length_bytes bytes that need not end in NUL (a XenStore value). */
int num_parse_bytes(const char *bytes, size_t length_bytes, uint64_t min, uint64_t max,
		    uint64_t *out);

/**
 * A size in bytes: digits and an optional K, M, G or T (powers of 1024; "KiB" and so on are
 * understood too). Same returns as num_parse().
 */
int num_parse_size(const char *text, uint64_t min_bytes, uint64_t max_bytes, uint64_t *out_bytes);

/**
 * A time: digits with an optional fraction and an optional unit ns, us, ms, s (the default), m, h.
 * Same returns as num_parse().
 */
int num_parse_time(const char *text, uint64_t min_ns, uint64_t max_ns, uint64_t *out_ns);

/** "4.0 KiB", "1.5 GiB" for people. Returns @buf. */
char *num_format_size(uint64_t bytes, char buf[static 16]);

/** "850 ns", "1.2 ms", "3.4 s" for people. Returns @buf. */
char *num_format_time(uint64_t ns, char buf[static 16]);

#endif
