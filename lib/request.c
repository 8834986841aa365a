/* SPDX-License-Identifier: MIT */
#include "num.h"
#include "request.h"

#define PAGE_SECTORS 8u /* grants are of 4096 bytes, whatever either end's pages are */

static enum request_fault check_segments(const struct request *request,
					 const struct request_limits *limits, uint64_t *sum_sectors)
{
	const struct request_segment *segments = request_segments(request);
	unsigned count = request_count(request);

	*sum_sectors = 0;
	if (request->operation != REQUEST_INDIRECT &&
	    (!count || count > limits->max_segments || count > REQUEST_SEGMENTS_DIRECT))
		return FAULT_SEGMENTS;
	for (unsigned i = 0; i < count; i++) {
		const struct request_segment *segment = &segments[i];

		if (segment->first_sect > segment->last_sect || segment->last_sect >= PAGE_SECTORS)
			return FAULT_BOUNDS;
		*sum_sectors += segment->last_sect - segment->first_sect + 1u;
	}
	return REQUEST_FINE;
}

static enum request_fault check_place(uint64_t sector, uint64_t length_sectors,
				      const struct request_limits *limits)
{
	uint64_t unit = limits->logical_sector_bytes / SECTOR_BYTES;
	uint64_t end;

	if (add_overflows(sector, length_sectors, &end) || end > limits->sectors)
		return FAULT_CAPACITY;
	if (unit > 1 && (sector % unit || length_sectors % unit))
		return FAULT_ALIGNMENT;
	return REQUEST_FINE;
}

static enum request_fault check_data(const struct request *request,
				     const struct request_limits *limits, uint64_t *length_sectors)
{
	enum request_fault fault;
	uint64_t sum_sectors;

	if (limits->read_only && !request_fills_guest(request))
		return FAULT_READ_ONLY;
	fault = check_segments(request, limits, &sum_sectors);
	if (fault)
		return fault;
	fault = check_place(request->sector, sum_sectors, limits);
	if (fault)
		return fault;
	*length_sectors = sum_sectors;
	return REQUEST_FINE;
}

/* A flush or a barrier: with data it is a write, too. */
static enum request_fault check_order(const struct request *request,
				      const struct request_limits *limits, bool offered,
				      uint64_t *length_sectors)
{
	if (!offered)
		return FAULT_OPERATION;
	if (request->nr_segments)
		return check_data(request, limits, length_sectors);
	*length_sectors = 0;
	return REQUEST_FINE;
}

static enum request_fault check_discard(const struct request *request,
					const struct request_limits *limits,
					uint64_t *length_sectors)
{
	enum request_fault fault;

	if (!limits->can_discard)
		return FAULT_OPERATION;
	if (limits->read_only)
		return FAULT_READ_ONLY;
	if (!request->nr_sectors)
		return FAULT_BOUNDS;
	fault = check_place(request->sector, request->nr_sectors, limits);
	if (!fault)
		*length_sectors = request->nr_sectors;
	return fault;
}

enum request_fault request_check_indirect(const struct request *request,
					  const struct request_limits *limits)
{
	if (!limits->max_indirect_segments)
		return FAULT_OPERATION;
	if (request->indirect_operation != REQUEST_READ &&
	    request->indirect_operation != REQUEST_WRITE)
		return FAULT_OPERATION;
	if (!request->indirect_segments || request->indirect_segments > REQUEST_SEGMENTS_MAX ||
	    request->indirect_segments > limits->max_indirect_segments)
		return FAULT_SEGMENTS;
	return REQUEST_FINE;
}

enum request_fault request_check(const struct request *request, const struct request_limits *limits,
				 uint64_t *length_sectors)
{
	enum request_fault fault;

	switch (request->operation) {
	case REQUEST_INDIRECT:
		fault = request_check_indirect(request, limits);
		if (!fault && !request->indirect)
			fault = FAULT_GRANT;
		return fault ? fault : check_data(request, limits, length_sectors);
	case REQUEST_READ:
	case REQUEST_WRITE:
		return check_data(request, limits, length_sectors);
	case REQUEST_FLUSH_DISKCACHE:
		return check_order(request, limits, limits->can_flush, length_sectors);
	case REQUEST_WRITE_BARRIER:
		return check_order(request, limits, limits->can_barrier, length_sectors);
	case REQUEST_DISCARD:
		return check_discard(request, limits, length_sectors);
	default:
		return FAULT_OPERATION;
	}
}

enum response_status request_fault_status(enum request_fault fault)
{
	switch (fault) {
	case REQUEST_FINE:
		return RESPONSE_OKAY;
	case FAULT_OPERATION:
		return RESPONSE_EOPNOTSUPP;
	default:
		return RESPONSE_ERROR;
	}
}

const char *request_fault_name(enum request_fault fault)
{
	static const char *const names[] = {
		[REQUEST_FINE] = "fine",	 [FAULT_OPERATION] = "operation",
		[FAULT_SEGMENTS] = "segments",	 [FAULT_BOUNDS] = "bounds",
		[FAULT_CAPACITY] = "capacity",	 [FAULT_ALIGNMENT] = "alignment",
		[FAULT_READ_ONLY] = "read-only", [FAULT_GRANT] = "grant",
	};

	_Static_assert(ARRAY_SIZE(names) == REQUEST_FAULTS, "a name for each fault");
	return (unsigned)fault < REQUEST_FAULTS ? names[fault] : "unknown";
}

const char *request_operation_name(uint8_t operation)
{
	switch (operation) {
	case REQUEST_READ:
		return "READ";
	case REQUEST_WRITE:
		return "WRITE";
	case REQUEST_WRITE_BARRIER:
		return "WRITE_BARRIER";
	case REQUEST_FLUSH_DISKCACHE:
		return "FLUSH_DISKCACHE";
	case REQUEST_DISCARD:
		return "DISCARD";
	case REQUEST_INDIRECT:
		return "INDIRECT";
	default:
		return "UNKNOWN";
	}
}
