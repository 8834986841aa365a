/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <string.h>

#include "front-inner.h"
#include "num.h"

#define ID_SLOT_BITS 12 /* of an id; the rest is a serial number, so that no id comes twice */

static bool carries_data(const struct front_op *op)
{
	return op->operation == REQUEST_READ || op->operation == REQUEST_WRITE;
}

static bool has_extent(const struct front_op *op)
{
	return carries_data(op) || op->operation == REQUEST_DISCARD;
}

int front_submit(struct front *front, struct front_op *op)
{
	uint64_t end, unit = front->facts.sector_bytes;

	if (front->broken)
		return front->broken;
	if (has_extent(op)) {
		if (!op->length_bytes || op->length_bytes % unit || op->offset_bytes % unit ||
		    op->page_offset_sectors > 7)
			return -EINVAL;
		if (add_overflows(op->offset_bytes, op->length_bytes, &end) ||
		    end > front->facts.sectors * SECTOR_BYTES)
			return -ERANGE;
	}
	op->result = 0;
	op->issued_bytes = 0;
	op->pending = 0;
	op->next = NULL;
	*front->queue_tail = op;
	front->queue_tail = &op->next;
	return 0;
}

/* How much of @op its next request carries. */
static uint64_t next_bytes(const struct front *front, const struct front_op *op)
{
	uint64_t left = op->length_bytes - op->issued_bytes, room;

	if (!has_extent(op))
		return 0;
	if (!carries_data(op))
		return left;
	room = (uint64_t)REQUEST_SEGMENTS_DIRECT * RING_PAGE_BYTES -
	       (uint64_t)op->page_offset_sectors * SECTOR_BYTES;
	return left <= room ? left : room - room % front->facts.sector_bytes;
}

static void fill_segments(struct request *request, const struct front_slot *slot)
{
	uint64_t left = slot->length_bytes / SECTOR_BYTES;
	unsigned first = slot->page_offset_sectors;

	request->nr_segments = (uint8_t)slot->n_pages;
	for (unsigned i = 0; i < slot->n_pages; i++) {
		unsigned n = left < 8 - first ? (unsigned)left : 8 - first;

		request->segment[i] = (struct request_segment){
			.gref = slot->refs[i],
			.first_sect = (uint8_t)first,
			.last_sect = (uint8_t)(first + n - 1),
		};
		left -= n;
		first = 0;
	}
}

static void *slot_data(const struct front_slot *slot)
{
	return (char *)slot->pages + slot->page_offset_sectors * SECTOR_BYTES;
}

/* Put the next request of @op into @slot and on the ring. */
static int issue(struct front *front, struct front_slot *slot, struct front_op *op)
{
	struct request request = {.operation = (uint8_t)op->operation,
				  .handle = (uint16_t)front->vdev};
	uint64_t sectors, bytes = next_bytes(front, op);
	int ret;

	slot->id = (front->serial++ << ID_SLOT_BITS) | (uint64_t)(slot - front->slots);
	slot->operation = request.operation;
	slot->length_bytes = bytes;
	slot->page_offset_sectors = op->page_offset_sectors;
	slot->n_pages = 0;
	sectors = bytes / SECTOR_BYTES;
	request.id = slot->id;
	if (has_extent(op))
		request.sector = (op->offset_bytes + op->issued_bytes) / SECTOR_BYTES;
	if (op->operation == REQUEST_DISCARD)
		request.nr_sectors = sectors;
	if (carries_data(op)) {
		slot->data = (char *)op->data + op->issued_bytes;
		slot->n_pages = (unsigned)((sectors + slot->page_offset_sectors + 7) / 8);
		ret = front_pages_take(front, slot);
		if (ret)
			return front_break(front, ret, "cannot grant pages of a request: %s",
					   strerror(-ret));
		if (op->operation == REQUEST_WRITE)
			memcpy(slot_data(slot), slot->data, bytes);
		fill_segments(&request, slot);
	}
	ret = ring_front_put(&front->ring, &request);
	if (ret)
		return front_break(front, ret, "cannot put a request on the ring: %s",
				   strerror(-ret));
	slot->op = op;
	slot->busy = true;
	op->issued_bytes += bytes;
	op->pending++;
	return 0;
}

static int issue_queued(struct front *front)
{
	while (front->queue && front->n_free && ring_front_free(&front->ring)) {
		struct front_op *op = front->queue;
		int ret = issue(front, front->free_slots[front->n_free - 1], op);

		if (ret)
			return ret;
		front->n_free--;
		if (has_extent(op) && op->issued_bytes < op->length_bytes)
			continue;
		front->queue = op->next;
		if (!front->queue)
			front->queue_tail = &front->queue;
		op->next = NULL;
	}
	return 0;
}

static int status_result(int16_t status)
{
	if (status == RESPONSE_OKAY)
		return 0;
	return status == RESPONSE_EOPNOTSUPP ? -EOPNOTSUPP : -EIO;
}

/* What an answer means for the operation it belongs to. */
static void settle(struct front *front, struct front_slot *slot, int result)
{
	struct front_op *op = slot->op;

	if (!op) {
		front->changed = true; /* front_drain() counts slots */
		return;
	}
	if (!result && slot->operation == REQUEST_READ)
		memcpy(slot->data, slot_data(slot), slot->length_bytes);
	if (result && !op->result)
		op->result = result;
	if (--op->pending || (has_extent(op) && op->issued_bytes < op->length_bytes))
		return;
	op->next = NULL;
	*front->done_tail = op;
	front->done_tail = &op->next;
}

/* Believe an answer only if it is to a question that was asked. */
static int take_answer(struct front *front, const struct response *answer)
{
	uint64_t i = answer->id & ((1u << ID_SLOT_BITS) - 1);
	struct front_slot *slot = i < front->ring.slots ? &front->slots[i] : NULL;
	int ret;

	if (!slot || !slot->busy || slot->id != answer->id)
		return front_break(front, -EPROTO,
				   "the backend answered id %#llx, which is not pending",
				   (unsigned long long)answer->id);
	if (answer->operation != slot->operation)
		return front_break(front, -EPROTO, "the backend answered a %s as a %s",
				   request_operation_name(slot->operation),
				   request_operation_name(answer->operation));
	settle(front, slot, status_result(answer->status));
	slot->op = NULL;
	slot->busy = false;
	front->free_slots[front->n_free++] = slot;
	ret = front_pages_give(front, slot);
	if (ret)
		return front_break(front, -EPROTO,
				   "the backend answered a %s whose pages it still holds: %s",
				   request_operation_name(slot->operation), strerror(-ret));
	return 0;
}

static int take_answers(struct front *front)
{
	struct response answer;
	int n = ring_front_waiting(&front->ring);
	int ret = 0;

	if (n < 0)
		return front_break(front, -EPROTO,
				   "the backend's response index is beyond what was asked");
	for (; n > 0 && !ret; n--) {
		ring_front_take(&front->ring, &answer);
		ret = take_answer(front, &answer);
	}
	return ret;
}

int front_kick(struct front *front)
{
	int ret = front->broken ? front->broken : issue_queued(front);

	if (ret)
		return ret;
	if (ring_front_push(&front->ring))
		ret = channel_notify(front->channel);
	if (ret)
		return front_break(front, ret, "cannot notify the backend: %s", strerror(-ret));
	return 0;
}

/* Until there is something to tell: answers, then new requests, then wait for the backend. */
static int turn_until_news(struct front *front, uint64_t deadline_ns)
{
	int ret;

	for (;;) {
		if (front->broken)
			return front->broken;
		ret = take_answers(front);
		if (!ret)
			ret = front_kick(front);
		if (ret || front->done || front->changed)
			return ret;
		ret = ring_front_rest(&front->ring);
		if (ret > 0)
			continue;
		if (!ret)
			ret = front_wait(front, deadline_ns);
		else
			ret = take_answers(front);
		if (ret)
			return ret;
	}
}

int front_poll(struct front *front, uint64_t deadline_ns, struct front_op **done, struct err *e)
{
	int ret = turn_until_news(front, deadline_ns);

	*done = front->done;
	front->done = NULL;
	front->done_tail = &front->done;
	front->changed = false;
	/* What finished before the end is told first; the end is told by the next call. */
	if (*done)
		return 0;
	if (!ret)
		return 0;
	if (front->broken) {
		if (e)
			*e = front->why;
		return front->broken;
	}
	return err_set(e, ret, ret == -ETIMEDOUT ? TAP_EXIT_TIMEOUT : err_exit_of(ret), "%s",
		       ret == -EINTR	   ? "interrupted"
		       : ret == -ETIMEDOUT ? "timed out waiting for the backend's answer"
					   : strerror(-ret));
}

int front_do(struct front *front, enum request_operation operation, uint64_t offset_bytes,
	     void *data, uint64_t length_bytes, struct err *e)
{
	struct front_op op = {
		.operation = operation,
		.offset_bytes = offset_bytes,
		.length_bytes = length_bytes,
		.data = data,
	};
	struct front_op *done = NULL;
	int ret = front_submit(front, &op);

	if (ret)
		return err_set(e, ret, TAP_EXIT_SYSTEM, "cannot %s %llu bytes at %llu: %s",
			       request_operation_name((uint8_t)operation),
			       (unsigned long long)length_bytes, (unsigned long long)offset_bytes,
			       strerror(-ret));
	while (!done) {
		ret = front_poll(front, UINT64_MAX, &done, e);
		if (ret)
			return ret;
	}
	if (op.result)
		return err_set(e, op.result, TAP_EXIT_IMAGE, "%s at %llu: %s",
			       request_operation_name((uint8_t)operation),
			       (unsigned long long)offset_bytes, strerror(-op.result));
	return 0;
}

void front_forget(struct front *front)
{
	front->queue = NULL;
	front->queue_tail = &front->queue;
	front->done = NULL;
	front->done_tail = &front->done;
	for (uint32_t i = 0; front->slots && i < front->ring.slots; i++)
		front->slots[i].op = NULL;
}

int front_drain(struct front *front, uint64_t deadline_ns)
{
	struct front_op *done;
	int ret = front->broken;

	front_forget(front);
	while (!ret && front->n_free < front->ring.slots)
		ret = front_poll(front, deadline_ns, &done, NULL);
	return ret;
}
