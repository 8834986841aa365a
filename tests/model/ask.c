/* SPDX-License-Identifier: MIT */
/* Legal requests. */
#include <string.h>

#include "model.h"
#include "num.h"

unsigned queue_any(struct model *m, unsigned count)
{
	unsigned q = dice(m, m->queues);

	if (m->waiting + count > MODEL_ASKED || ring_front_free(&m->queue[q].ring) < count)
		answers_settle(m);
	return q;
}

/* Which page it is depends on what was answered first, and matters to nothing. */
static uint16_t page_take(struct model *m)
{
	while (m->page[m->next_page].busy)
		m->next_page = (m->next_page + 1) % MODEL_PAGES;
	m->page[m->next_page].busy = true;
	return (uint16_t)m->next_page;
}

static struct asked *asked_new(struct model *m, unsigned queue)
{
	struct asked *asked = m->asked;

	while (asked->waits)
		asked++;
	*asked = (struct asked){.queue = queue};
	asked->id = chance(m, 80) ? m->next_id++ : dice64(m);
	return asked;
}

struct request_segment *ask_table(struct model *m, const struct asked *asked)
{
	return (struct request_segment *)(void *)m->page[asked->table].at;
}

/* Segments anywhere in their pages; sums of them are multiples of the disk's sector. */
static void pick_spans(struct model *m, struct asked *asked, unsigned count)
{
	unsigned left = 0;

	for (asked->spans = 0; asked->spans < count; asked->spans++) {
		bool is_last = asked->spans + 1 == count;
		unsigned length = chance(m, 60) ? 8 : 1 + dice(m, 8), first;

		if (m->life.sector_bytes > SECTOR_BYTES) {
			length = left ? left : is_last ? 8 : length;
			left = left ? 0 : 8 - length;
		}
		first = dice(m, 9 - length);
		asked->span[asked->spans] =
			(struct span){.page = page_take(m),
				      .first_sect = (uint8_t)first,
				      .last_sect = (uint8_t)(first + length - 1)};
		asked->sectors += length;
	}
	/* The other half of the last but one would be missing. */
	need(!left || m->life.sector_bytes == SECTOR_BYTES, "segments");
}

/* Often near the start, where requests meet; at times right at the end. */
static uint64_t pick_place(struct model *m, uint64_t sectors)
{
	uint64_t unit = m->life.sector_bytes / SECTOR_BYTES, room = SECTORS - sectors;

	if (chance(m, 5))
		return room;
	if (chance(m, 30) && room > 256)
		room = 256;
	return dice64(m) % (room / unit + 1) * unit;
}

static struct request_segment segment_of(const struct model *m, const struct span *span)
{
	return (struct request_segment){.gref = m->page[span->page].ref,
					.first_sect = span->first_sect,
					.last_sect = span->last_sect};
}

static enum effect effect_of(uint8_t task, unsigned spans)
{
	if (task == REQUEST_READ)
		return EFFECT_READ;
	return spans ? EFFECT_WRITE : EFFECT_NONE;
}

static struct asked *make(struct model *m, unsigned queue, uint8_t task, unsigned most,
			  struct request *request)
{
	struct asked *asked = asked_new(m, queue);

	if (most)
		pick_spans(m, asked, 1 + dice(m, most));
	asked->operation = task;
	asked->effect = effect_of(task, asked->spans);
	asked->sector = asked->spans ? pick_place(m, asked->sectors) : dice64(m);
	*request = (struct request){.id = asked->id,
				    .operation = task,
				    .handle = (uint16_t)dice64(m),
				    .sector = asked->sector};
	return asked;
}

struct asked *ask_make(struct model *m, unsigned queue, uint8_t task, unsigned most,
		       struct request *request)
{
	struct asked *asked = make(m, queue, task, most, request);

	request->nr_segments = (uint8_t)asked->spans;
	for (unsigned s = 0; s < asked->spans; s++)
		request->segment[s] = segment_of(m, &asked->span[s]);
	return asked;
}

struct asked *ask_make_indirect(struct model *m, unsigned queue, uint8_t task, unsigned most,
				struct request *request)
{
	struct asked *asked = make(m, queue, task, most, request);
	struct request_segment *table;

	asked->has_table = true;
	asked->table = page_take(m);
	table = ask_table(m, asked);
	memset(table, 0xff, RING_PAGE_BYTES);
	for (unsigned s = 0; s < asked->spans; s++)
		table[s] = segment_of(m, &asked->span[s]);
	request->operation = REQUEST_INDIRECT;
	request->indirect_operation = task;
	request->indirect_segments = (uint16_t)asked->spans;
	memset(request->indirect_gref, 0xff, sizeof(request->indirect_gref));
	request->indirect_gref[0] = m->page[asked->table].ref;
	return asked;
}

void ask_put(struct model *m, struct asked *asked, const struct request *request)
{
	struct guest_queue *queue = &m->queue[asked->queue];

	shadow_ask(m, asked);
	asked->waits = true;
	m->waiting++;
	queue->waiting++;
	need(!ring_front_put(&queue->ring, request), "ring %u is full", asked->queue);
}

static void ask_discard(struct model *m, unsigned queue)
{
	struct request request;
	struct asked *asked = ask_make(m, queue, REQUEST_DISCARD, 0, &request);

	asked->effect = EFFECT_DISCARD;
	asked->sectors = (1 + dice(m, 20)) * 8;
	asked->sector = request.sector = pick_place(m, asked->sectors);
	request.nr_sectors = asked->sectors;
	request.flag = (uint8_t)dice(m, 256);
	ask_put(m, asked, &request);
}

static uint8_t pick_task(struct model *m)
{
	static const uint8_t tasks[] = {REQUEST_READ,
					REQUEST_READ,
					REQUEST_READ,
					REQUEST_WRITE,
					REQUEST_WRITE,
					REQUEST_WRITE,
					REQUEST_FLUSH_DISKCACHE,
					REQUEST_WRITE_BARRIER,
					REQUEST_DISCARD};
	uint8_t task = tasks[dice(m, ARRAY_SIZE(tasks))];

	if ((task == REQUEST_FLUSH_DISKCACHE && !m->h.flush) ||
	    (task == REQUEST_WRITE_BARRIER && !m->h.barrier) ||
	    (task == REQUEST_DISCARD && !m->h.discard))
		return REQUEST_READ;
	return task;
}

void ask_legal(struct model *m, unsigned queue)
{
	uint8_t task = pick_task(m);
	bool is_data = task == REQUEST_READ || task == REQUEST_WRITE, empty = chance(m, 50);
	struct request request;
	struct asked *asked;

	tell(m, "%s, ", request_operation_name(task));
	if (task == REQUEST_DISCARD) {
		ask_discard(m, queue);
		return;
	}
	if (is_data && m->h.max_indirect && chance(m, 40)) {
		unsigned most = m->h.max_indirect < MODEL_SPANS ? m->h.max_indirect : MODEL_SPANS;

		asked = ask_make_indirect(m, queue, task, most, &request);
	} else if (is_data || !empty) {
		asked = ask_make(m, queue, task, REQUEST_SEGMENTS_DIRECT, &request);
	} else {
		asked = ask_make(m, queue, task, 0, &request);
	}
	/* All that would write to a disk that may not be written to. */
	if (m->life.read_only && asked->effect == EFFECT_WRITE) {
		asked->effect = EFFECT_NONE;
		asked->fault = FAULT_READ_ONLY;
	}
	ask_put(m, asked, &request);
}

void ask_largest(struct model *m)
{
	uint8_t task = m->life.read_only || chance(m, 50) ? REQUEST_READ : REQUEST_WRITE;
	struct request request;
	struct asked *asked;
	unsigned queue;

	answers_settle(m);
	queue = queue_any(m, 1);
	if (m->h.max_indirect)
		asked = ask_make_indirect(m, queue, task, m->h.max_indirect, &request);
	else
		asked = ask_make(m, queue, task, REQUEST_SEGMENTS_DIRECT, &request);
	tell(m, "%s of %u segments", request_operation_name(task), asked->spans);
	ask_put(m, asked, &request);
	answers_settle(m);
}
