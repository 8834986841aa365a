/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <string.h>

#include "front-inner.h"
#include "num.h"

#define ID_SLOT_BITS 12 /* of an id; the rest is a serial number, so that no id comes twice */

static uint64_t serial_of(const struct front_slot *slot)
{
	return slot->id >> ID_SLOT_BITS;
}

int front_submit(struct front *front, struct front_op *op)
{
	uint64_t end, unit = front->facts.sector_bytes;
	struct front_ring *ring;

	if (front->broken)
		return front->broken;
	if (front_op_has_extent(op)) {
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
	ring = &front->rings[front->next_ring++ % front->facts.queues];
	*ring->queue_tail = op;
	ring->queue_tail = &op->next;
	return 0;
}

/* Put the next request of @op into @slot and on the ring. -EAGAIN: there are no pages for it now.
 */
static int issue(struct front *front, struct front_ring *ring, struct front_slot *slot,
		 struct front_op *op)
{
	struct request request;
	int ret;

	slot->id = (front->serial << ID_SLOT_BITS) | (uint64_t)(slot - ring->slots);
	front_request_plan(front, op, slot);
	ret = front_pages_take(front, ring, slot);
	if (ret == -EAGAIN)
		return ret;
	if (ret)
		return front_break(front, ret, "cannot grant pages of a request: %s",
				   strerror(-ret));
	front_request_make(front, op, slot, &request);
	ret = ring_front_put(&ring->ring, &request);
	if (ret)
		return front_break(front, ret, "cannot put a request on the ring: %s",
				   strerror(-ret));
	front->serial++;
	slot->op = op;
	slot->busy = true;
	ring->barriers += slot->operation == REQUEST_WRITE_BARRIER;
	op->issued_bytes += slot->length_bytes;
	op->pending++;
	return 0;
}

static bool wholly_issued(const struct front_op *op)
{
	return !front_op_has_extent(op) || op->issued_bytes == op->length_bytes;
}

static int issue_queued(struct front *front, struct front_ring *ring)
{
	while (ring->queue && ring->n_free && ring_front_free(&ring->ring)) {
		struct front_op *op = ring->queue;
		int ret = issue(front, ring, ring->free_slots[ring->n_free - 1], op);

		if (ret)
			return ret == -EAGAIN ? 0 : ret;
		ring->n_free--;
		if (!wholly_issued(op))
			continue;
		ring->queue = op->next;
		if (!ring->queue)
			ring->queue_tail = &ring->queue;
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
		front_request_fetch(slot);
	if (result && !op->result)
		op->result = result;
	if (--op->pending || !wholly_issued(op))
		return;
	op->next = NULL;
	*front->done_tail = op;
	front->done_tail = &op->next;
}

/* On one ring, a barrier is answered after all that came before it and before all that came after.
 */
static int judge_order(struct front *front, const struct front_ring *ring,
		       const struct front_slot *answered, int result)
{
	bool barrier = answered->operation == REQUEST_WRITE_BARRIER && !result;

	for (uint32_t i = 0; ring->barriers && i < ring->ring.slots; i++) {
		const struct front_slot *slot = &ring->slots[i];

		if (!slot->busy || serial_of(slot) >= serial_of(answered))
			continue;
		if (barrier)
			return front_break(front, -EPROTO,
					   "the backend did a barrier before a %s ahead of it",
					   request_operation_name(slot->operation));
		if (slot->operation == REQUEST_WRITE_BARRIER)
			return front_break(front, -EPROTO,
					   "the backend did a %s before the barrier ahead of it",
					   request_operation_name(answered->operation));
	}
	return 0;
}

/* Believe an answer only if it is to a question that was asked. */
static int judge(struct front *front, const struct front_ring *ring, const struct response *answer,
		 struct front_slot **out)
{
	uint64_t i = answer->id & ((1u << ID_SLOT_BITS) - 1);
	struct front_slot *slot = i < ring->ring.slots ? &ring->slots[i] : NULL;

	if (!slot || !slot->busy || slot->id != answer->id)
		return front_break(front, -EPROTO,
				   "the backend answered id %#llx, which is not pending",
				   (unsigned long long)answer->id);
	if (answer->operation != slot->operation)
		return front_break(front, -EPROTO, "the backend answered a %s as a %s",
				   request_operation_name(slot->operation),
				   request_operation_name(answer->operation));
	*out = slot;
	return judge_order(front, ring, slot, status_result(answer->status));
}

static int take_answer(struct front *front, struct front_ring *ring, const struct response *answer)
{
	struct front_slot *slot = NULL;
	int ret = judge(front, ring, answer, &slot);

	if (ret)
		return ret;
	settle(front, slot, status_result(answer->status));
	slot->op = NULL;
	slot->busy = false;
	ring->barriers -= slot->operation == REQUEST_WRITE_BARRIER;
	ring->free_slots[ring->n_free++] = slot;
	ret = front_pages_give(front, ring, slot);
	if (ret)
		return front_break(front, -EPROTO,
				   "the backend answered a %s whose pages it still holds: %s",
				   request_operation_name(slot->operation), strerror(-ret));
	return 0;
}

static int take_answers(struct front *front, struct front_ring *ring)
{
	struct response answer;
	int n = ring_front_waiting(&ring->ring);
	int ret = 0;

	if (n < 0)
		return front_break(front, -EPROTO,
				   "the backend's response index is beyond what was asked");
	for (; n > 0 && !ret; n--) {
		ring_front_take(&ring->ring, &answer);
		ret = take_answer(front, ring, &answer);
	}
	return ret;
}

static int kick(struct front *front, struct front_ring *ring)
{
	int ret = issue_queued(front, ring);

	if (ret)
		return ret;
	if (ring_front_push(&ring->ring))
		ret = channel_notify(ring->channel);
	if (ret)
		return front_break(front, ret, "cannot notify the backend: %s", strerror(-ret));
	return 0;
}

int front_kick(struct front *front)
{
	int ret = front->broken;

	for (unsigned i = 0; !ret && i < front->facts.queues; i++)
		ret = kick(front, &front->rings[i]);
	return ret;
}

/* Ask each ring for an event. 1 when one of them has answers already, and none is to be waited for.
 */
static int rest(struct front *front)
{
	bool waiting = false;

	for (unsigned i = 0; i < front->facts.queues; i++) {
		struct front_ring *ring = &front->rings[i];
		int ret = ring_front_rest(&ring->ring);

		if (ret < 0) {
			ret = take_answers(front, ring); /* says what is wrong */
			return ret ? ret : 1;
		}
		waiting = waiting || ret;
	}
	return waiting;
}

/* Until there is something to tell: answers, then new requests, then wait for the backend. */
static int turn_until_news(struct front *front, uint64_t deadline_ns)
{
	int ret;

	for (;;) {
		ret = front->broken;
		for (unsigned i = 0; !ret && i < front->facts.queues; i++)
			ret = take_answers(front, &front->rings[i]);
		if (!ret)
			ret = front_kick(front);
		if (ret || front->done || front->changed)
			return ret;
		ret = rest(front);
		if (ret > 0)
			continue;
		if (!ret)
			ret = front_wait(front, deadline_ns);
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

int front_do(struct front *front, struct front_op *op, struct err *e)
{
	struct front_op *done = NULL;
	int ret = front_submit(front, op);

	if (ret)
		return err_set(e, ret, TAP_EXIT_SYSTEM, "cannot submit: %s", strerror(-ret));
	while (!ret && !done)
		ret = front_poll(front, UINT64_MAX, &done, e);
	if (ret)
		front_forget(front); /* @op is the caller's again */
	return ret;
}

void front_forget(struct front *front)
{
	for (unsigned r = 0; r < front->facts.queues; r++) {
		struct front_ring *ring = &front->rings[r];

		ring->queue = NULL;
		ring->queue_tail = &ring->queue;
		for (uint32_t i = 0; ring->slots && i < ring->ring.slots; i++)
			ring->slots[i].op = NULL;
	}
	front->done = NULL;
	front->done_tail = &front->done;
}

static bool has_requests(const struct front *front)
{
	for (unsigned i = 0; i < front->facts.queues; i++) {
		if (front->rings[i].n_free < front->rings[i].ring.slots)
			return true;
	}
	return false;
}

int front_drain(struct front *front, uint64_t deadline_ns)
{
	struct front_op *done;
	int ret = front->broken;

	front_forget(front);
	while (!ret && has_requests(front))
		ret = front_poll(front, deadline_ns, &done, NULL);
	return ret;
}
