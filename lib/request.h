/* SPDX-License-Identifier: MIT */
/*
 * request - a block request in private memory, in one form whatever the ring's ABI was; and the
 * gate that each passes before anything is done for it.
 *
 * Here is where a request is checked. request_check() is pure: no I/O, no guest memory. What comes
 * after it may rely on each of its promises.
 */
#ifndef TAP_REQUEST_H
#define TAP_REQUEST_H

#include <stdbool.h>
#include <stdint.h>

#define REQUEST_SEGMENTS_DIRECT 11u  /* BLKIF_MAX_SEGMENTS_PER_REQUEST */
#define REQUEST_SEGMENTS_MAX	256u /* of an indirect request, here */
#define REQUEST_INDIRECT_PAGES \
	8u /* BLKIF_MAX_INDIRECT_PAGES_PER_REQUEST: room for more segments than that */

/** Operations of xen/io/blkif.h; any other value of `operation` is possible. */
enum request_operation {
	REQUEST_READ = 0,
	REQUEST_WRITE = 1,
	REQUEST_WRITE_BARRIER = 2,
	REQUEST_FLUSH_DISKCACHE = 3,
	REQUEST_DISCARD = 5,
	REQUEST_INDIRECT = 6,
};

/** BLKIF_RSP_* */
enum response_status { RESPONSE_OKAY = 0, RESPONSE_ERROR = -1, RESPONSE_EOPNOTSUPP = -2 };

/** Laid out as struct blkif_request_segment is, in every ABI: indirect pages are copied into it. */
struct request_segment {
	uint32_t gref;
	uint8_t first_sect, last_sect; /* 512-byte sectors of the page, both included */
};

struct request {
	uint64_t id;
	uint8_t operation;
	uint8_t nr_segments; /* as on the wire: may exceed what segment[] holds. 0 for a discard or
				an indirect request, which have none here */
	uint8_t flag;	     /* discard: REQUEST_DISCARD_SECURE */
	uint8_t indirect_operation; /* indirect: the inner operation, which its answer carries */
	uint16_t indirect_segments; /* indirect */
	uint16_t handle;
	uint64_t sector;     /* 512-byte units, always (protocol.md 1) */
	uint64_t nr_sectors; /* discard */
	struct request_segment segment[REQUEST_SEGMENTS_DIRECT];
	uint32_t indirect_gref[REQUEST_INDIRECT_PAGES];
	/** Indirect: the private copy of its segments, once that was made (pages_fetch_indirect()).
	 */
	const struct request_segment *indirect;
};

#define REQUEST_DISCARD_SECURE 1u /* BLKIF_DISCARD_SECURE */

/** What is to be done: the operation, or the inner one of an indirect request. */
static inline uint8_t request_task(const struct request *request)
{
	return request->operation == REQUEST_INDIRECT ? request->indirect_operation
						      : request->operation;
}

/** Its segments, wherever they stand. NULL: indirect and not fetched. */
static inline const struct request_segment *request_segments(const struct request *request)
{
	return request->operation == REQUEST_INDIRECT ? request->indirect : request->segment;
}

/** Their number, as the frontend says it. */
static inline unsigned request_count(const struct request *request)
{
	return request->operation == REQUEST_INDIRECT ? request->indirect_segments
						      : request->nr_segments;
}

/** Pages that hold the segments of an indirect request. */
static inline unsigned request_indirect_pages(const struct request *request)
{
	unsigned per_page = 4096u / (unsigned)sizeof(struct request_segment);

	return (request->indirect_segments + per_page - 1) / per_page;
}

/** What a disk allows. */
struct request_limits {
	uint64_t sectors;		/* capacity, 512-byte units */
	uint32_t logical_sector_bytes;	/* 512 or 4096: alignment and granularity only */
	uint32_t max_segments;		/* direct; REQUEST_SEGMENTS_DIRECT at most */
	uint32_t max_indirect_segments; /* 0: not offered */
	bool read_only;
	bool can_flush;
	bool can_barrier;
	bool can_discard;
	bool can_discard_secure; /* else the flag is ignored, as blkif.h says */
};

/** Why a request is refused. Names for tap-stat: request_fault_name(). */
enum request_fault {
	REQUEST_FINE = 0,
	FAULT_OPERATION, /* unknown or not offered: answered EOPNOTSUPP */
	FAULT_SEGMENTS,	 /* none where some are needed, or more than allowed */
	FAULT_BOUNDS,	 /* a segment backwards or outside its page; a discard of nothing */
	FAULT_CAPACITY,	 /* outside the disk, or wrapping */
	FAULT_ALIGNMENT, /* not a multiple of the logical sector */
	FAULT_READ_ONLY, /* would change a read-only disk */
	FAULT_GRANT,	 /* a grant that does not map or copy (set by the caller, never by
			    request_check) */
	REQUEST_FAULTS,	 /* their number */
};

/**
 * May the segments of this indirect request be fetched? Tells only of what the slot itself says:
 * the inner operation is a READ or a WRITE, its segments are at least one and no more than was
 * offered. To be asked before pages_fetch_indirect(); request_check() follows.
 */
enum request_fault request_check_indirect(const struct request *request,
					  const struct request_limits *limits);

/**
 * May @request be done? On REQUEST_FINE: its task is a READ, WRITE, FLUSH_DISKCACHE, WRITE_BARRIER
 * or DISCARD that the limits allow; request_count() is within the limits; each segment has
 * first_sect <= last_sect <= 7; sector + length stays within the disk and both are multiples of the
 * logical sector (a segment alone need not be); *length_sectors is the sum over the segments, or
 * a discard's length. READ and WRITE have at least one segment, a discard at least one sector; a
 * flush and a barrier without segments have length 0. *length_sectors is left alone on a fault.
 */
enum request_fault request_check(const struct request *request, const struct request_limits *limits,
				 uint64_t *length_sectors);

/** The status to answer a fault with. */
enum response_status request_fault_status(enum request_fault fault);

/** "fine", "operation", "segments", "bounds", ...; "unknown" for what is none. */
const char *request_fault_name(enum request_fault fault);

/** "READ", "WRITE", "FLUSH_DISKCACHE", ..., "UNKNOWN" */
const char *request_operation_name(uint8_t operation);

/** Does the guest's memory get written by it (a read), rather than read? */
static inline bool request_fills_guest(const struct request *request)
{
	return request_task(request) == REQUEST_READ;
}

#endif
