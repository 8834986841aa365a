/* SPDX-License-Identifier: MIT */
/*
 * pages - the guest's pages of requests in flight: mapped, or copied through an arena.
 *
 * Here is where pages are mapped. One arena per queue, with a place per ring slot. One call
 * acquires the pages of a whole batch, one call releases those of all requests that finished.
 *
 * PAGES_MAP: a batch is one mapping (two when it has both directions: pages the guest granted
 * read-only are mapped read-only). gntdev unmaps only what was mapped, exactly (protocol.md 8), so
 * a mapping ends when the last request of its batch has finished; requests that finished earlier
 * come clear with it. When a batch's map call fails, each request is mapped alone to find the
 * culprit.
 *
 * PAGES_COPY: data of writes is copied in at acquire, data of reads is copied out at release, one
 * grant copy call for all; the arena is page-aligned memory of our own, fit for O_DIRECT. A
 * request's segments lie in its place without gaps, so that it is one iovec.
 *
 * PAGES_PERSISTENT: for a frontend that said feature-persistent, whose grants stay the same. Pages
 * are mapped writable, whatever the request's direction, and kept from one request to the next:
 * known ones need no call. Kept are keep_pages at most; then a page that was not used for long
 * makes room, least recently used first, never one in use. A page without room is mapped for its
 * request alone and unmapped before the request comes clear. All that is kept is released by
 * pages_close(), and what was not used for keep_idle_ns by pages_idle().
 */
#ifndef TAP_PAGES_H
#define TAP_PAGES_H

#include <stdint.h>
#include <sys/uio.h>

#include "request.h"

enum pages_mode { PAGES_MAP, PAGES_COPY, PAGES_PERSISTENT };

/** "map", "copy", "persistent" */
const char *pages_mode_name(enum pages_mode mode);

/** Of one queue. 1024 pages are all that a stock Linux frontend uses (32 slots of 32 segments). */
#define PAGES_KEEP_DEFAULT	1024u
#define PAGES_KEEP_MAX		65536u
#define PAGES_KEEP_IDLE_DEFAULT 60000000000ull /* ns */

/** Calls made and pages moved; may live in memory shared with tap-stat (written by one thread). */
struct pages_counters {
	uint64_t map_calls, unmap_calls, copy_calls;
	uint64_t pages_mapped, pages_unmapped, pages_copied;
	/* PAGES_PERSISTENT, in pages */
	uint64_t persistent_hits, persistent_misses;
	uint64_t persistent_evicted; /* released before pages_close(): for room, or not used */
	uint64_t persistent_kept;    /* gauge: mapped now, in use or not */
};

struct pages;
struct pages_mapping;

/** One request's use of its pages. The caller owns it and fills the first block. */
struct pages_use {
	unsigned slot;		       /* place in the arena, < slots; one use at a time */
	const struct request *request; /* checked; at least one segment */
	struct iovec *iov;	       /* room for request_count(request) entries */

	/* Out, from pages_acquire(): */
	int status; /* 0, or -EFAULT when a grant did not map or copy. After pages_release(): 0 or
		       -EFAULT */
	unsigned iovcnt; /* neighbouring segments may be merged */

	/* Private to pages. */
	struct pages_mapping *mapping;
	struct pages_use *next;
};

struct pages_setup {
	enum pages_mode mode;
	uint32_t domid;	       /* whose grants */
	unsigned slots;	       /* requests at a time */
	unsigned max_segments; /* of each: a page a segment */
	unsigned keep_pages;   /* PAGES_PERSISTENT: 1 to PAGES_KEEP_MAX; more than the slots'
				  pages are never kept */
	uint64_t keep_idle_ns; /* PAGES_PERSISTENT: not 0 */
	struct pages_counters *counters;
};

/** Memory is set aside here: no allocation later. 0 or a negative errno. */
int pages_open(struct pages **out, const struct pages_setup *setup);

/**
 * Every use must have come clear. Returns the number of pages that were still mapped for one, which
 * must be 0 (XSA-71); they are unmapped now, as is what was kept. NULL is fine.
 */
unsigned pages_close(struct pages *pages);

/** The segments of one indirect request, to be copied out of the guest's pages. */
struct pages_indirect {
	const struct request *request; /* request_check_indirect() was REQUEST_FINE */
	struct request_segment *into;  /* room for request->indirect_segments */
	int status;		       /* out: 0, or -EFAULT */
};

/**
 * Copy the segments of @n indirect requests into private memory, whatever the mode: one grant copy
 * for all of them. Only that copy is ever looked at (XSA-155), so that a guest may change its page
 * as it likes.
 */
void pages_fetch_indirect(struct pages *pages, struct pages_indirect *fetches, unsigned n);

/**
 * Make the pages of @n requests usable: fills iov, iovcnt and status of each. One bad request does
 * not harm the others. A use with status != 0 holds nothing and must not be released.
 */
void pages_acquire(struct pages *pages, struct pages_use **uses, unsigned n);

/**
 * These @n requests are finished: write reads' data back (copy), unmap what can be (map). Puts into
 * @clear (room for the arena's slots) each use whose pages are no longer in our hands, also ones
 * finished in earlier calls, and returns their number. Only those may be answered (protocol.md 10).
 *
 * A use whose status the caller set to a negative errno (its I/O failed) is released without
 * copying anything to the guest; copying out may set status to -EFAULT. Should an unmap fail, its
 * uses come clear all the same (each request is answered) and pages_close() counts their pages.
 */
unsigned pages_release(struct pages *pages, struct pages_use **uses, unsigned n,
		       struct pages_use **clear);

/**
 * Readable when pages that are kept were not used for keep_idle_ns: then pages_idle() releases
 * them. -1 where nothing is ever kept.
 */
int pages_idle_fd(const struct pages *pages);
void pages_idle(struct pages *pages);

#endif
