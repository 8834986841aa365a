/* SPDX-License-Identifier: MIT */
/* Answers: each to something that was asked, and as it must be. */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>

#include "model.h"
#include "num.h"

/* Nothing in a response but what belongs there (XSA-216). */
static void check_padding(const struct guest_queue *queue)
{
	const struct ring *ring = &queue->ring;
	uint32_t at = ring->rsp_cons & (ring->slots - 1);
	const uint8_t *slot = (const uint8_t *)ring->shared + 64 + (size_t)at * ring->stride_bytes;
	unsigned bytes = ring->abi == RING_ABI_X86_32 ? 12 : 16;

	for (unsigned i = 9; i < bytes; i++)
		need(i == 10 || i == 11 || !slot[i], "a response has %#x in its padding", slot[i]);
}

static bool answers(const struct asked *asked, unsigned queue, const struct response *response)
{
	int16_t status = (int16_t)request_fault_status(asked->fault);

	return asked->waits && asked->queue == queue && asked->id == response->id &&
	       asked->operation == response->operation &&
	       (status == response->status ||
		(asked->either && response->status == RESPONSE_ERROR));
}

static void let_go(struct model *m, struct asked *asked)
{
	asked->waits = false;
	m->queue[asked->queue].waiting--;
	m->waiting--;
	for (unsigned s = 0; s < asked->spans; s++)
		m->page[asked->span[s].page].busy = false;
	if (asked->has_table)
		m->page[asked->table].busy = false;
}

static void take(struct model *m, unsigned q)
{
	struct asked *asked = m->asked;
	struct response response;

	check_padding(&m->queue[q]);
	ring_front_take(&m->queue[q].ring, &response);
	while (asked < m->asked + MODEL_ASKED && !answers(asked, q, &response))
		asked++;
	need(asked < m->asked + MODEL_ASKED,
	     "answer to %#" PRIx64 " in queue %u, operation %u, status %d: not what was asked",
	     response.id, q, response.operation, response.status);
	shadow_answer(m, asked, response.status == RESPONSE_OKAY);
	let_go(m, asked);
	/* At once: it was unmapped before this answer could be seen. */
	if (asked->spans && asked->id % 4 == 0)
		page_renew(m, &m->page[asked->span[0].page]);
	m->answered++;
	if (asked->either)
		m->either++;
	else
		m->fault[asked->fault]++;
}

static void wait_for_event(struct model *m, unsigned q)
{
	struct guest_queue *queue = &m->queue[q];
	struct pollfd event = {.fd = channel_fd(queue->channel), .events = POLLIN};
	int n = poll(&event, 1, (int)(HOSTILE_WAIT_NS / 1000000));

	need(n >= 0 || errno == EINTR, "poll: %m");
	need(n, "queue %u: %u requests are not answered", q, queue->waiting);
	if (n == 1)
		need(channel_take(queue->channel) >= 0 && !channel_rearm(queue->channel),
		     "event channel: %m");
}

static int waiting_in(struct model *m, unsigned q)
{
	int n = ring_front_waiting(&m->queue[q].ring);

	need(n >= 0, "queue %u: the server's response index is impossible", q);
	return n;
}

void answers_await(struct model *m, unsigned q, unsigned count)
{
	struct guest_queue *queue = &m->queue[q];

	guest_push(m, q);
	while (count) {
		for (int n = waiting_in(m, q); count && n > 0; n--, count--)
			take(m, q);
		if (count && !ring_front_rest(&queue->ring))
			wait_for_event(m, q);
	}
}

void answers_settle(struct model *m)
{
	/* All of them first: a barrier in one may wait for another. */
	for (unsigned q = 0; q < m->queues; q++)
		if (!m->queue[q].broken)
			guest_push(m, q);
	for (unsigned q = 0; q < m->queues; q++) {
		if (m->queue[q].broken)
			continue;
		answers_await(m, q, m->queue[q].waiting);
		need(!waiting_in(m, q), "queue %u: answers to nothing", q);
	}
}

void answers_take(struct model *m)
{
	for (unsigned q = 0; q < m->queues; q++)
		for (int n = waiting_in(m, q); n > 0; n--)
			take(m, q);
}

void answers_collect(struct model *m)
{
	answers_take(m);
	for (unsigned i = 0; i < MODEL_ASKED; i++) {
		if (!m->asked[i].waits)
			continue;
		shadow_forget(m, &m->asked[i]);
		let_go(m, &m->asked[i]);
	}
}
