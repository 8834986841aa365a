/* SPDX-License-Identifier: MIT */
/* States in every order, and storms of events that say nothing. */
#include "hostile.h"
#include "num.h"

static const char *const states[] = {"0", "1", "2", "3", "4", "5",	    "6",
				     "7", "8", "9", "",	 "x", "4294967297", "-1"};

/* Whatever was toggled, the disk comes back, and works. */
static void recover(struct hostile *h)
{
	hostile_reset(h);
	hostile_connect(h, 0);
	hostile_prove(h);
}

/* Each with a ring published and without one. */
static void every_pair(struct hostile *h)
{
	for (size_t from = 0; from < ARRAY_SIZE(states); from++) {
		for (size_t to = 0; to < ARRAY_SIZE(states); to++) {
			hostile_node(h, "state", "%s", states[from]);
			hostile_node(h, "state", "%s", states[to]);
		}
		recover(h);
		hostile_reset(h);
		for (size_t to = 0; to < ARRAY_SIZE(states); to++) {
			hostile_node(h, "state", "%s", states[from]);
			hostile_node(h, "state", "%s", states[to]);
		}
		recover(h);
	}
}

static void toggled(struct hostile *h)
{
	uint32_t seed = (uint32_t)h->next_id;

	for (unsigned n = 0; n < 2000; n++) {
		seed = seed * 1664525u + 1013904223u;
		hostile_node(h, "state", "%u", 1 + (seed >> 16) % 6);
	}
	recover(h);
}

/* As often as it can be had: each time the server maps a ring and makes all that belongs to it. */
static void reconnecting(struct hostile *h)
{
	for (unsigned n = 0; n < 50; n++) {
		hostile_disconnect(h);
		hostile_connect(h, n * 1000);
	}
	hostile_prove(h);
}

/* As Linux before 5.14 does with a disk that is mounted: Closing means that it refused. */
static void in_use(struct hostile *h)
{
	for (unsigned n = 0; n < 5; n++) {
		hostile_state(h, XENBUS_CLOSING);
		hostile_await(h, XENBUS_CLOSING);
		hostile_prove(h);
		hostile_disconnect(h);
		hostile_connect(h, n);
	}
}

/* The same without waiting for anybody, and with a ring that cannot be mapped. */
static void refused(struct hostile *h)
{
	hostile_node(h, "ring-ref", "%u", HOSTILE_GREF);
	for (unsigned n = 0; n < 500; n++) {
		hostile_state(h, XENBUS_CLOSED);
		hostile_state(h, XENBUS_INITIALISED);
	}
	recover(h);
	xenbus_clear_error(h->judge, h->disk.backend);
}

const struct hostile_class state_classes[] = {
	{"states-pairs", "every pair of states, and what is none", every_pair},
	{"states-toggled", "states in any order, as fast as XenStore takes them", toggled},
	{"states-reconnecting", "one connection after the other", reconnecting},
	{"states-in-use", "Closing, and the ring in use all the same", in_use},
	{"states-refused", "one bad connection after the other", refused},
	{0},
};

static void notify_storm(struct hostile *h)
{
	for (unsigned n = 0; n < 20000; n++)
		need(!channel_notify(h->channel), "notify: %m");
	hostile_prove(h);
}

/* Its own state, written as it is. */
static void watch_storm(struct hostile *h)
{
	for (unsigned n = 0; n < 2000; n++)
		hostile_state(h, XENBUS_CONNECTED);
	hostile_prove(h);
}

/* Rings as full as they get, of the requests that take longest. */
static void full_ring(struct hostile *h)
{
	unsigned most = h->max_indirect ? h->max_indirect : 1;

	for (unsigned n = 0; n < 4 * h->ring.slots; n++) {
		struct request request = h->max_indirect
						 ? hostile_indirect(h, REQUEST_READ, most, 0)
						 : hostile_request(h, REQUEST_READ, 11);

		hostile_ask(h, &request,
			    h->max_indirect * 8 > h->sectors ? FAULT_CAPACITY : REQUEST_FINE);
	}
	hostile_settle(h);
}

const struct hostile_class storm_classes[] = {
	{"storm-notify", "an event channel that is hammered with nothing to do", notify_storm},
	{"storm-watch", "a state node that is written all the time", watch_storm},
	{"storm-requests", "a ring that is full of the largest requests", full_ring},
	{0},
};
