/* SPDX-License-Identifier: MIT */
#define __XEN_TOOLS__
#include <errno.h>
#include <string.h>

#include "num.h"
#include "ring-abi.h"

#include <xen/xen.h>
#include <xen/io/blkif.h>
#include <xen/io/protocols.h>

#define SLOT_BYTES_MAX 112u

/*
 * Where things are in a slot. The two ABIs differ in the alignment of 64-bit numbers alone; what
 * comes before the first of them (operation, nr_segments or flag, handle) is in one place in both.
 */
struct layout {
	uint8_t stride_bytes, response_bytes;
	uint8_t id, sector, segments, nr_sectors; /* of a request */
	uint8_t indirect_handle, indirect_grefs;
};

#define AT_OPERATION	     0
#define AT_NR_SEGMENTS	     1 /* flag of a discard, inner operation of an indirect request */
#define AT_HANDLE	     2
#define AT_INDIRECT_SEGMENTS 2
#define AT_RESPONSE_ID	     0
#define AT_RESPONSE_OP	     8
#define AT_RESPONSE_STATUS   10
#define SEGMENT_BYTES	     8u

static const struct layout layout_64 = {
	.stride_bytes = 112,
	.response_bytes = 16,
	.id = 8,
	.sector = 16,
	.segments = 24,
	.nr_sectors = 24,
	.indirect_handle = 24,
	.indirect_grefs = 28,
};

static const struct layout layout_32 = {
	.stride_bytes = 108,
	.response_bytes = 12,
	.id = 4,
	.sector = 12,
	.segments = 20,
	.nr_sectors = 20,
	.indirect_handle = 20,
	.indirect_grefs = 24,
};

#define SAME(offset, type, field) \
	_Static_assert((offset) == offsetof(type, field), "as in xen/io/blkif.h")

/* The numbers above, against the header where it says them: the native layout of this build. */
#ifdef __x86_64__
_Static_assert(sizeof(union blkif_sring_entry) == 112, "as in xen/io/blkif.h");
_Static_assert(sizeof(struct blkif_response) == 16, "as in xen/io/blkif.h");
_Static_assert(sizeof(struct blkif_request_segment) == SEGMENT_BYTES, "as in xen/io/blkif.h");
SAME(sizeof(struct ring_header), struct blkif_sring, ring);
SAME(offsetof(struct ring_header, rsp_event), struct blkif_sring, rsp_event);
SAME(AT_NR_SEGMENTS, struct blkif_request, nr_segments);
SAME(AT_HANDLE, struct blkif_request, handle);
SAME(8, struct blkif_request, id);
SAME(16, struct blkif_request, sector_number);
SAME(24, struct blkif_request, seg);
SAME(AT_NR_SEGMENTS, struct blkif_request_discard, flag);
SAME(24, struct blkif_request_discard, nr_sectors);
SAME(AT_NR_SEGMENTS, struct blkif_request_indirect, indirect_op);
SAME(AT_INDIRECT_SEGMENTS, struct blkif_request_indirect, nr_segments);
SAME(24, struct blkif_request_indirect, handle);
SAME(28, struct blkif_request_indirect, indirect_grefs);
_Static_assert(sizeof(struct request_segment) == SEGMENT_BYTES,
	       "indirect pages are copied into it");
_Static_assert(BLKIF_MAX_INDIRECT_PAGES_PER_REQUEST == REQUEST_INDIRECT_PAGES,
	       "as in xen/io/blkif.h");
SAME(AT_RESPONSE_OP, struct blkif_response, operation);
SAME(AT_RESPONSE_STATUS, struct blkif_response, status);
#endif

static const struct layout *layout_of(enum ring_abi abi)
{
	return abi == RING_ABI_X86_32 ? &layout_32 : &layout_64;
}

static const char *const abi_names[] = {
	[RING_ABI_NATIVE] = "native",
	[RING_ABI_X86_64] = XEN_IO_PROTO_ABI_X86_64,
	[RING_ABI_X86_32] = XEN_IO_PROTO_ABI_X86_32,
};

const char *ring_abi_name(enum ring_abi abi)
{
	return (unsigned)abi < ARRAY_SIZE(abi_names) ? abi_names[abi] : "unknown";
}

int ring_abi_parse(const char *text, enum ring_abi *out)
{
	if (!text) {
		*out = RING_ABI_NATIVE;
		return 0;
	}
	for (size_t i = 0; i < ARRAY_SIZE(abi_names); i++) {
		if (strcmp(text, abi_names[i]) == 0) {
			*out = (enum ring_abi)i;
			return 0;
		}
	}
	return -EINVAL;
}

uint32_t ring_stride_bytes(enum ring_abi abi)
{
	return layout_of(abi)->stride_bytes;
}

static uint8_t *slot_at(const struct ring *ring, uint32_t index)
{
	return (uint8_t *)ring->shared + sizeof(struct ring_header) +
	       (size_t)(index & (ring->slots - 1)) * ring->stride_bytes;
}

/* Each word of shared memory is read once (volatile), so that what is checked is what is used. */
static void copy_from_slot(const uint8_t *slot, uint8_t *out, unsigned bytes)
{
	const volatile uint32_t *from = (const volatile uint32_t *)(const void *)slot;

	for (unsigned i = 0; i < bytes / sizeof(*from); i++) {
		uint32_t word = from[i];

		memcpy(out + i * sizeof(word), &word, sizeof(word));
	}
}

static void copy_to_slot(uint8_t *slot, const uint8_t *in, unsigned bytes)
{
	volatile uint32_t *to = (volatile uint32_t *)(void *)slot;

	for (unsigned i = 0; i < bytes / sizeof(*to); i++) {
		uint32_t word;

		memcpy(&word, in + i * sizeof(word), sizeof(word));
		to[i] = word;
	}
}

/* A number at a place of a private copy, which may be unaligned there (x86_32). */
#define GET(copy, at, field) memcpy(&(field), (copy) + (at), sizeof(field))
#define PUT(copy, at, field) memcpy((copy) + (at), &(field), sizeof(field))

static unsigned segments_in_slot(const struct request *request)
{
	return request->nr_segments < REQUEST_SEGMENTS_DIRECT ? request->nr_segments
							      : REQUEST_SEGMENTS_DIRECT;
}

static void get_segments(const uint8_t *at, struct request *out)
{
	for (unsigned i = 0; i < segments_in_slot(out); i++, at += SEGMENT_BYTES) {
		GET(at, 0, out->segment[i].gref);
		out->segment[i].first_sect = at[4];
		out->segment[i].last_sect = at[5];
	}
}

static void put_segments(uint8_t *at, const struct request *request)
{
	for (unsigned i = 0; i < segments_in_slot(request); i++, at += SEGMENT_BYTES) {
		PUT(at, 0, request->segment[i].gref);
		at[4] = request->segment[i].first_sect;
		at[5] = request->segment[i].last_sect;
	}
}

void ring_slot_get_request(const struct ring *ring, uint32_t index, struct request *out)
{
	const struct layout *layout = layout_of(ring->abi);
	uint8_t copy[SLOT_BYTES_MAX];

	copy_from_slot(slot_at(ring, index), copy, layout->stride_bytes);
	memset(out, 0, sizeof(*out));
	out->operation = copy[AT_OPERATION];
	GET(copy, layout->id, out->id);
	GET(copy, layout->sector, out->sector);
	switch (out->operation) {
	case REQUEST_DISCARD:
		out->flag = copy[AT_NR_SEGMENTS];
		GET(copy, AT_HANDLE, out->handle);
		GET(copy, layout->nr_sectors, out->nr_sectors);
		break;
	case REQUEST_INDIRECT:
		out->indirect_operation = copy[AT_NR_SEGMENTS];
		GET(copy, AT_INDIRECT_SEGMENTS, out->indirect_segments);
		GET(copy, layout->indirect_handle, out->handle);
		GET(copy, layout->indirect_grefs, out->indirect_gref);
		break;
	default:
		out->nr_segments = copy[AT_NR_SEGMENTS];
		GET(copy, AT_HANDLE, out->handle);
		get_segments(copy + layout->segments, out);
	}
}

void ring_slot_put_request(struct ring *ring, uint32_t index, const struct request *request)
{
	const struct layout *layout = layout_of(ring->abi);
	uint8_t copy[SLOT_BYTES_MAX] = {0};

	copy[AT_OPERATION] = request->operation;
	PUT(copy, layout->id, request->id);
	PUT(copy, layout->sector, request->sector);
	switch (request->operation) {
	case REQUEST_DISCARD:
		copy[AT_NR_SEGMENTS] = request->flag;
		PUT(copy, AT_HANDLE, request->handle);
		PUT(copy, layout->nr_sectors, request->nr_sectors);
		break;
	case REQUEST_INDIRECT:
		copy[AT_NR_SEGMENTS] = request->indirect_operation;
		PUT(copy, AT_INDIRECT_SEGMENTS, request->indirect_segments);
		PUT(copy, layout->indirect_handle, request->handle);
		PUT(copy, layout->indirect_grefs, request->indirect_gref);
		break;
	default:
		copy[AT_NR_SEGMENTS] = request->nr_segments;
		PUT(copy, AT_HANDLE, request->handle);
		put_segments(copy + layout->segments, request);
	}
	copy_to_slot(slot_at(ring, index), copy, layout->stride_bytes);
}

void ring_slot_get_response(const struct ring *ring, uint32_t index, struct response *out)
{
	uint8_t copy[SLOT_BYTES_MAX];

	copy_from_slot(slot_at(ring, index), copy, layout_of(ring->abi)->response_bytes);
	GET(copy, AT_RESPONSE_ID, out->id);
	out->operation = copy[AT_RESPONSE_OP];
	GET(copy, AT_RESPONSE_STATUS, out->status);
}

void ring_slot_put_response(struct ring *ring, uint32_t index, const struct response *response)
{
	uint8_t copy[SLOT_BYTES_MAX] = {0}; /* padding included: XSA-216 */

	PUT(copy, AT_RESPONSE_ID, response->id);
	copy[AT_RESPONSE_OP] = response->operation;
	PUT(copy, AT_RESPONSE_STATUS, response->status);
	copy_to_slot(slot_at(ring, index), copy, layout_of(ring->abi)->response_bytes);
}
