/* SPDX-License-Identifier: MIT */
/* How the data of a request lies in its pages. */
#include <string.h>

#include "front-inner.h"
#include "num.h"

#define PAGE_SECTORS	   (RING_PAGE_BYTES / SECTOR_BYTES)
#define SEGMENTS_PER_TABLE (RING_PAGE_BYTES / sizeof(struct request_segment))

bool front_op_has_data(const struct front_op *op)
{
	switch (op->operation) {
	case REQUEST_READ:
	case REQUEST_WRITE:
		return true;
	case REQUEST_FLUSH_DISKCACHE:
	case REQUEST_WRITE_BARRIER:
		return op->length_bytes;
	default:
		return false;
	}
}

bool front_op_has_extent(const struct front_op *op)
{
	return front_op_has_data(op) || op->operation == REQUEST_DISCARD;
}

/* A number that looks like chance and is the same for the same request. */
static uint64_t scramble(uint64_t n)
{
	n = (n ^ (n >> 31)) * 0x9e3779b97f4a7c15u;
	return n ^ (n >> 29);
}

/* Sector of its page where a segment begins, and how many it may have there. */
static unsigned place(const struct front *front, const struct front_op *op,
		      const struct front_slot *slot, unsigned *room)
{
	unsigned i = slot->n_segments, first = i ? 0 : op->page_offset_sectors;
	uint64_t chance;

	*room = PAGE_SECTORS - first;
	if (!front->options.scatter)
		return first;
	chance = scramble(slot->id + i);
	first = (chance >> 8) % PAGE_SECTORS;
	*room = 1 + (unsigned)(chance >> 16) % (PAGE_SECTORS - first);
	return first;
}

static unsigned length_of(const struct request_segment *segment)
{
	return segment->last_sect - segment->first_sect + 1u;
}

/* A request is a multiple of the disk's sector, though a segment need not be. */
static uint64_t trim(struct front_slot *slot, uint64_t sectors, unsigned unit)
{
	unsigned surplus = (unsigned)(sectors % unit);

	sectors -= surplus;
	while (surplus) {
		struct request_segment *last = &slot->segment[slot->n_segments - 1];

		if (surplus < length_of(last)) {
			last->last_sect = (uint8_t)(last->last_sect - surplus);
			break;
		}
		surplus -= length_of(last);
		slot->n_segments--;
	}
	return sectors;
}

static uint64_t plan_segments(const struct front *front, const struct front_op *op,
			      struct front_slot *slot, uint64_t left_sectors, unsigned max_segments)
{
	uint64_t sectors = 0;

	while (sectors < left_sectors && slot->n_segments < max_segments) {
		unsigned room, first = place(front, op, slot, &room);

		if (room > left_sectors - sectors)
			room = (unsigned)(left_sectors - sectors);
		slot->segment[slot->n_segments++] = (struct request_segment){
			.first_sect = (uint8_t)first,
			.last_sect = (uint8_t)(first + room - 1),
		};
		sectors += room;
	}
	return trim(slot, sectors, front->facts.sector_bytes / SECTOR_BYTES);
}

void front_request_plan(const struct front *front, const struct front_op *op,
			struct front_slot *slot)
{
	bool indirect = op->operation == REQUEST_READ || op->operation == REQUEST_WRITE;
	uint64_t left_bytes = op->length_bytes - op->issued_bytes;

	slot->operation = (uint8_t)op->operation;
	slot->n_segments = 0;
	slot->n_tables = 0;
	slot->length_bytes = 0;
	if (!front_op_has_data(op)) {
		if (front_op_has_extent(op))
			slot->length_bytes = left_bytes;
		return;
	}
	slot->data = (char *)op->data + op->issued_bytes;
	slot->length_bytes =
		plan_segments(front, op, slot, left_bytes / SECTOR_BYTES,
			      indirect ? front->facts.max_segments : REQUEST_SEGMENTS_DIRECT) *
		SECTOR_BYTES;
	if (slot->n_segments > REQUEST_SEGMENTS_DIRECT)
		slot->n_tables = (unsigned)((slot->n_segments + SEGMENTS_PER_TABLE - 1) /
					    SEGMENTS_PER_TABLE);
}

/* Between the pages and the caller's memory. */
static void move_data(struct front_slot *slot, bool to_pages)
{
	char *data = slot->data;

	for (unsigned i = 0; i < slot->n_segments; i++) {
		const struct request_segment *segment = &slot->segment[i];
		char *at = (char *)slot->page[i].at + segment->first_sect * SECTOR_BYTES;
		size_t bytes = (size_t)length_of(segment) * SECTOR_BYTES;

		if (to_pages)
			memcpy(at, data, bytes);
		else
			memcpy(data, at, bytes);
		data += bytes;
	}
}

static void put_tables(const struct front_slot *slot, struct request *request)
{
	const struct front_page *table = slot->page + slot->n_segments;

	request->operation = REQUEST_INDIRECT;
	request->indirect_operation = slot->operation;
	request->indirect_segments = (uint16_t)slot->n_segments;
	for (unsigned i = 0; i < slot->n_tables; i++) {
		unsigned first = i * (unsigned)SEGMENTS_PER_TABLE;
		unsigned left = slot->n_segments - first;
		size_t n = left < SEGMENTS_PER_TABLE ? left : SEGMENTS_PER_TABLE;

		memcpy(table[i].at, slot->segment + first, n * sizeof(*slot->segment));
		request->indirect_gref[i] = table[i].ref;
	}
}

void front_request_make(const struct front *front, const struct front_op *op,
			struct front_slot *slot, struct request *request)
{
	*request = (struct request){
		.id = slot->id,
		.operation = slot->operation,
		.handle = (uint16_t)front->vdev,
	};
	if (front_op_has_extent(op))
		request->sector = (op->offset_bytes + op->issued_bytes) / SECTOR_BYTES;
	if (op->operation == REQUEST_DISCARD) {
		request->nr_sectors = slot->length_bytes / SECTOR_BYTES;
		request->flag = op->secure ? REQUEST_DISCARD_SECURE : 0;
	}
	for (unsigned i = 0; i < slot->n_segments; i++)
		slot->segment[i].gref = slot->page[i].ref;
	if (slot->operation != REQUEST_READ)
		move_data(slot, true);
	if (slot->n_tables) {
		put_tables(slot, request);
		return;
	}
	request->nr_segments = (uint8_t)slot->n_segments;
	memcpy(request->segment, slot->segment, slot->n_segments * sizeof(*slot->segment));
}

void front_request_fetch(struct front_slot *slot)
{
	move_data(slot, false);
}
