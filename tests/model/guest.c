/* SPDX-License-Identifier: MIT */
/* The guest's rings, and its way through the states. */
#include <stdio.h>
#include <string.h>

#include "model.h"

static void key_of(const struct model *m, unsigned queue, const char *name, char key[static 40])
{
	if (m->queues > 1)
		snprintf(key, 40, "queue-%u/%s", queue, name);
	else
		snprintf(key, 40, "%s", name);
}

static const struct ring_pages *pages_of(const struct guest_queue *queue)
{
	return &queue->pages[queue->turn];
}

static void publish_queue(struct model *m, unsigned q)
{
	const struct guest_queue *queue = &m->queue[q];
	char name[24], key[40];

	if (!m->order) {
		key_of(m, q, "ring-ref", key);
		hostile_node(&m->h, key, "%u", pages_of(queue)->refs[0]);
	}
	for (unsigned i = 0; m->order && i < 1u << m->order; i++) {
		snprintf(name, sizeof(name), "ring-ref%u", i);
		key_of(m, q, name, key);
		hostile_node(&m->h, key, "%u", pages_of(queue)->refs[i]);
	}
	key_of(m, q, "event-channel", key);
	hostile_node(&m->h, key, "%u", channel_port(queue->channel));
}

/* Whatever the nodes said before. */
static void publish(struct model *m)
{
	if (m->queues == 1)
		hostile_node_remove(&m->h, "queue-0");
	for (unsigned q = 0; q < m->queues; q++)
		publish_queue(m, q);
	hostile_node(&m->h, "multi-queue-num-queues", "%u", m->queues);
	if (m->old_dialect) {
		hostile_node_remove(&m->h, "ring-page-order");
		hostile_node(&m->h, "num-ring-pages", "%u", 1u << m->order);
	} else {
		hostile_node(&m->h, "ring-page-order", "%u", m->order);
	}
	hostile_node(&m->h, "protocol", "%s", ring_abi_name(m->h.abi));
	hostile_node(&m->h, "feature-persistent", "%d", m->persistent);
}

void guest_publish_again(struct model *m)
{
	publish(m);
	hostile_state(&m->h, XENBUS_CONNECTED);
	m->boots = false;
}

/* A fresh ring whose indices begin at @start. */
static void make_ring(struct model *m, unsigned q, uint32_t start)
{
	struct guest_queue *queue = &m->queue[q];
	uint32_t *index;

	queue->turn = !queue->turn;
	index = pages_of(queue)->at;
	memset(index, 0, (size_t)RING_PAGE_BYTES << m->order);
	need(!ring_setup(&queue->ring, index, m->h.abi, m->order), "ring");
	ring_front_init(&queue->ring);
	index[0] = index[2] = start;
	index[1] = index[3] = start + 1;
	queue->ring.req_prod_pvt = queue->ring.rsp_cons = queue->ring.pushed = start;
	queue->lied = queue->broken = false;
}

static void agree(struct model *m)
{
	static const enum ring_abi abis[] = {RING_ABI_X86_64, RING_ABI_X86_32, RING_ABI_NATIVE};
	uint32_t start[] = {0, UINT32_MAX, UINT32_MAX - dice(m, 300), (uint32_t)dice64(m)};
	unsigned which = dice(m, 4);

	m->queues = 1 + dice(m, m->life.max_queues);
	m->order = dice(m, m->life.max_ring_order + 1);
	m->h.abi = abis[dice(m, 3)];
	m->persistent = chance(m, 50);
	m->old_dialect = chance(m, 30);
	for (unsigned q = 0; q < m->queues; q++)
		make_ring(m, q, start[which]);
	tell(m, "%u queues of order %u, %s, from %#x%s; ", m->queues, m->order,
	     ring_abi_name(m->h.abi), start[which], m->persistent ? ", persistent" : "");
}

void guest_connect(struct model *m)
{
	bool waits = chance(m, 70);

	m->boots = chance(m, 15);
	agree(m);
	publish(m);
	/* As Linux does, or straight to Connected as UEFI; or never Connected as a boot loader. */
	hostile_state(&m->h, waits || m->boots ? XENBUS_INITIALISED : XENBUS_CONNECTED);
	hostile_await(&m->h, XENBUS_CONNECTED);
	if (waits && !m->boots)
		hostile_state(&m->h, XENBUS_CONNECTED);
	hostile_read_facts(&m->h);
	need(m->h.sectors == SECTORS, "the disk has %llu sectors",
	     (unsigned long long)m->h.sectors);
	need(m->h.read_only == m->life.read_only, "'info' says nothing of read-only");
	m->phase = PHASE_CONNECTED;
}

/* The first answer in the new rings says that the old ones are done with. */
static void prove(struct model *m)
{
	for (unsigned q = 0; q < m->queues; q++) {
		struct request request;
		struct asked *asked = ask_make(m, q, 200, 0, &request);

		asked->fault = FAULT_OPERATION;
		ask_put(m, asked, &request);
		answers_await(m, q, 1);
	}
}

static void swap_rings(struct model *m, struct ring rings[static MODEL_QUEUES], unsigned *queues)
{
	unsigned count = m->queues;

	for (unsigned q = 0; q < MODEL_QUEUES; q++) {
		struct ring ring = m->queue[q].ring;

		m->queue[q].ring = rings[q];
		rings[q] = ring;
	}
	m->queues = *queues;
	*queues = count;
}

void guest_resume(struct model *m)
{
	struct ring others[MODEL_QUEUES];
	unsigned queues = m->queues;

	if (m->waiting + MODEL_QUEUES > MODEL_ASKED)
		answers_settle(m);
	for (unsigned q = 0; q < MODEL_QUEUES; q++)
		others[q] = m->queue[q].ring;
	agree(m);
	publish(m);
	hostile_state(&m->h, XENBUS_INITIALISED);
	prove(m);
	hostile_state(&m->h, XENBUS_CONNECTED);
	m->boots = false;
	swap_rings(m, others, &queues);
	answers_collect(m);
	swap_rings(m, others, &queues);
}

void guest_push(struct model *m, unsigned q)
{
	struct guest_queue *queue = &m->queue[q];

	if (ring_front_push(&queue->ring) || queue->lied)
		need(!channel_notify(queue->channel), "notify: %m");
}

void guest_reset(struct model *m)
{
	hostile_reset(&m->h);
	if (m->phase == PHASE_CONNECTED)
		answers_collect(m);
	m->phase = PHASE_APART;
	m->persistent = false;
	m->queues = 0;
}
