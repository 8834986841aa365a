/* SPDX-License-Identifier: MIT */
/* The steps: what a frontend can do, legal and not. */
#include <stdio.h>
#include <string.h>

#include "model.h"
#include "num.h"

/* --- connected -------------------------------------------------------------------------------- */

static void ask_some(struct model *m)
{
	unsigned count = 1 + dice(m, chance(m, 20) ? 30 : 6), q = queue_any(m, count);

	tell(m, "queue %u: ", q);
	for (unsigned i = 0; i < count; i++)
		ask_legal(m, q);
	if (chance(m, 70))
		guest_push(m, q);
}

/* Illegal ones among legal ones, in one push: one must not harm the other. */
static void ask_mixed(struct model *m)
{
	unsigned count = 1 + dice(m, 6), q = queue_any(m, 3 * count);

	tell(m, "queue %u: ", q);
	for (unsigned i = 0; i < count; i++) {
		if (chance(m, 50))
			ask_legal(m, q);
		ask_wrong(m, q);
	}
	if (chance(m, 70))
		guest_push(m, q);
}

static void settle(struct model *m)
{
	tell(m, "wait for all answers");
	answers_settle(m);
}

static void await_some(struct model *m)
{
	unsigned q = dice(m, m->queues), percent = dice(m, 101);
	unsigned count = m->queue[q].waiting * percent / 100;

	tell(m, "queue %u: wait for %u answers", q, count);
	/* A barrier in this ring may wait for what was not shown in another one. */
	for (unsigned i = 0; i < m->queues; i++)
		guest_push(m, i);
	answers_await(m, q, count);
}

static void notify(struct model *m)
{
	unsigned q = dice(m, m->queues), times = dice(m, 200);

	tell(m, "queue %u: notify %u times", q, times);
	for (unsigned i = 0; i < times; i++)
		need(!channel_notify(m->queue[q].channel), "notify: %m");
}

/* A page that no request has is the guest's again, unless it agreed that it is not. */
static void end_grants(struct model *m)
{
	unsigned count = 1 + dice(m, 40);

	for (unsigned i = 0; i < count; i++) {
		struct guest_page *page = &m->page[dice(m, MODEL_PAGES)];

		if (!page->busy)
			page_renew(m, page);
	}
	tell(m, "end %u grants", count);
}

/* What the server writes for the guest to read is written by the guest; nothing is under way. */
static void lie_about_events(struct model *m)
{
	static const uint32_t lies[] = {0, 1, 0x7fffffff, 0x80000000, UINT32_MAX};
	struct guest_queue *queue;
	volatile uint32_t *index;
	uint32_t rsp_prod;

	answers_settle(m);
	queue = &m->queue[dice(m, m->queues)];
	index = queue->ring.shared;
	rsp_prod = index[2];
	index[1] = lies[dice(m, ARRAY_SIZE(lies))];
	index[2] = lies[dice(m, ARRAY_SIZE(lies))];
	queue->lied = true;
	need(!channel_notify(queue->channel), "notify: %m");
	index[2] = rsp_prod;
	tell(m, "req_event and rsp_prod overwritten");
}

/* The ring is stopped, the others go on, and after a reconnect all is well. */
static void lie_about_requests(struct model *m)
{
	unsigned q = dice(m, m->queues), by = 1 + dice(m, chance(m, 50) ? 40 : INT32_MAX / 2);
	struct guest_queue *queue = &m->queue[q];
	bool quiet = chance(m, 50), ahead = chance(m, 50);
	volatile uint32_t *req_prod = queue->ring.shared;
	uint32_t lie;

	if (quiet)
		answers_settle(m);
	for (unsigned i = 0; i < m->queues; i++)
		guest_push(m, i);
	/* Behind what was answered: then it is impossible whatever is under way. */
	lie = ahead ? queue->ring.req_prod_pvt + queue->ring.slots + by : queue->ring.rsp_cons - by;
	tell(m, "queue %u: req_prod %#x where %#x is true; ", q, lie, queue->ring.req_prod_pvt);
	queue->broken = true;
	*req_prod = lie;
	need(!channel_notify(queue->channel), "notify: %m");
	hostile_await_error(&m->h, "request index is impossible");
	m->breaks++;
	answers_settle(m);
	guest_reset(m);
}

static void write_state_again(struct model *m)
{
	static const char *const states[] = {"4", "4", "4", "2", "7", "8", "9", "", "x", "-1"};
	const char *state = states[dice(m, ARRAY_SIZE(states))];

	tell(m, "state '%s'", state);
	hostile_node(&m->h, "state", "%s", state);
}

static const char *const keys[] = {"ring-ref",
				   "ring-ref0",
				   "ring-page-order",
				   "num-ring-pages",
				   "event-channel",
				   "protocol",
				   "multi-queue-num-queues",
				   "queue-0/ring-ref",
				   "queue-1/event-channel",
				   "feature-persistent"};
static const char *const values[] = {"",	   "x",		 "-1",	 "0", "31",
				     "2147483632", "4294967297", "%s%n", "1 "};

/* Once connected, nobody reads them; until a new ring is to be looked at. */
static void spoil_nodes(struct model *m)
{
	const char *key = keys[dice(m, ARRAY_SIZE(keys))];
	const char *value = values[dice(m, ARRAY_SIZE(values))];
	bool remove = chance(m, 40);

	/* Other nodes in that state are another ring. */
	if (m->boots)
		hostile_state(&m->h, XENBUS_CONNECTED);
	m->boots = false;
	tell(m, "node %s %s%s", key, remove ? "removed" : "is ", remove ? "" : value);
	if (remove)
		hostile_node_remove(&m->h, key);
	else
		hostile_node(&m->h, key, "%s", value);
}

static void disconnect(struct model *m)
{
	tell(m, "disconnect, %u not answered", m->waiting);
	guest_reset(m);
}

static void disconnect_in_order(struct model *m)
{
	answers_settle(m);
	disconnect(m);
}

/* The frontend's state vanishes, its nodes with it or not. */
static void vanish(struct model *m)
{
	tell(m, "state removed; ");
	hostile_node_remove(&m->h, "state");
	hostile_await(&m->h, XENBUS_CLOSED);
	disconnect(m);
}

static void resume(struct model *m)
{
	tell(m, "new rings, without closing, %u not answered: ", m->waiting);
	guest_resume(m);
}

/* --- either ----------------------------------------------------------------------------------- */

/* States in any order, and nobody waits; rings may come and go meanwhile. */
static void toggle(struct model *m)
{
	static const char *const states[] = {"0", "1", "2", "3", "4", "5", "6", "7", "9", "", "x"};
	unsigned times = 1 + dice(m, 60);

	tell(m, "%u states; ", times);
	for (unsigned i = 0; i < times; i++)
		hostile_node(&m->h, "state", "%s", states[dice(m, ARRAY_SIZE(states))]);
	guest_reset(m);
	xenbus_clear_error(m->h.judge, m->h.disk.backend);
}

static void restart(struct model *m)
{
	tell(m, "server restarted: ");
	server_restart(m);
}

/* --- apart ------------------------------------------------------------------------------------ */

/* Sound nodes but for one: refused with a word of it. */
static void connect_wrong(struct model *m)
{
	static const struct {
		const char *key, *value, *because;
	} wrong[] = {
		{"ring-ref", "0", "ring-ref"},
		{"ring-ref", "4294967296", "ring-ref"},
		{"ring-ref", "2147483632", "ring"},
		{"ring-ref", NULL, "ring-ref"},
		{"event-channel", "0", "event-channel"},
		{"event-channel", "4000", "event channel"},
		{"event-channel", NULL, "event-channel"},
		{"ring-page-order", "5", "ring-page-order"},
		{"ring-page-order", "-1", "ring-page-order"},
		{"num-ring-pages", "3", "num-ring-pages"},
		{"multi-queue-num-queues", "0", "multi-queue-num-queues"},
		{"multi-queue-num-queues", "17", "multi-queue-num-queues"},
		{"multi-queue-num-queues", "16", "ring-ref"},
		{"protocol", "x86_65-abi", "protocol"},
		{"protocol", "", "protocol"},
	};
	unsigned which = dice(m, ARRAY_SIZE(wrong));

	tell(m, "connect, but %s is %s", wrong[which].key,
	     wrong[which].value ? wrong[which].value : "missing");
	hostile_offer(&m->h, 0);
	if (wrong[which].value)
		hostile_node(&m->h, wrong[which].key, "%s", wrong[which].value);
	else
		hostile_node_remove(&m->h, wrong[which].key);
	hostile_state(&m->h, chance(m, 50) ? XENBUS_INITIALISED : XENBUS_CONNECTED);
	hostile_await_error(&m->h, wrong[which].because);
	check_counters(m);
	check_held(m);
	guest_reset(m);
}

static void connect_right(struct model *m)
{
	tell(m, "connect: ");
	guest_connect(m);
}

struct action {
	unsigned weight;
	void (*act)(struct model *m);
};

static const struct action while_connected[] = {
	{300, ask_some},
	{200, ask_mixed},
	{80, settle},
	{150, await_some},
	{20, ask_largest},
	{20, notify},
	{60, end_grants},
	{20, lie_about_events},
	{15, lie_about_requests},
	{20, write_state_again},
	{20, spoil_nodes},
	{20, disconnect},
	{20, disconnect_in_order},
	{8, vanish},
	{8, resume},
	{8, toggle},
	{15, restart},
};

static const struct action while_apart[] = {
	{100, connect_right},
	{30, connect_wrong},
	{10, toggle},
	{5, restart},
};

static void pick(struct model *m, const struct action *actions, size_t count)
{
	unsigned sum = 0, point;

	for (size_t i = 0; i < count; i++)
		sum += actions[i].weight;
	point = dice(m, sum);
	while (point >= actions->weight)
		point -= (actions++)->weight;
	actions->act(m);
}

void act(struct model *m)
{
	if (m->phase == PHASE_CONNECTED)
		pick(m, while_connected, ARRAY_SIZE(while_connected));
	else
		pick(m, while_apart, ARRAY_SIZE(while_apart));
}
