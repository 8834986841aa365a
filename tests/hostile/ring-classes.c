/* SPDX-License-Identifier: MIT */
/* Indices that cannot be, indices that wrap, slots that change under the server. */
#include <string.h>

#include "hostile.h"

/* The shared indices, as an attacker writes them. */
static volatile uint32_t *index_at(struct hostile *h, unsigned n)
{
	return (volatile uint32_t *)h->ring_page + n;
}

#define REQ_PROD  0
#define REQ_EVENT 1
#define RSP_PROD  2
#define RSP_EVENT 3

static void break_by(struct hostile *h, uint32_t req_prod)
{
	*index_at(h, REQ_PROD) = req_prod;
	need(!channel_notify(h->channel), "notify: %m");
	hostile_await_break(h);
}

static void far_ahead(struct hostile *h)
{
	static const uint32_t by[] = {1, 2, 1000, 0x7fffffff, 0x80000000};

	for (size_t i = 0; i < sizeof(by) / sizeof(*by); i++)
		break_by(h, h->ring.rsp_cons + h->ring.slots + by[i]);
}

/* With nothing outstanding: below what was answered. */
static void behind(struct hostile *h)
{
	static const uint32_t by[] = {1, 2, 32, 1000};

	for (size_t i = 0; i < sizeof(by) / sizeof(*by); i++)
		break_by(h, h->ring.rsp_cons - by[i]);
}

/* Requests that the server has fetched and that will take a while: writes, and flushes of them. */
static uint32_t keep_it_busy(struct hostile *h)
{
	uint32_t begin = h->ring.req_prod_pvt, end = begin + h->ring.slots - 4;

	while (h->ring.req_prod_pvt != end) {
		bool flush = end - h->ring.req_prod_pvt <= 8;
		struct request request = hostile_request(
			h, flush ? REQUEST_FLUSH_DISKCACHE : REQUEST_WRITE, flush ? 0 : 11);

		hostile_ask(h, &request, REQUEST_FINE);
	}
	ring_front_push(&h->ring);
	need(!channel_notify(h->channel), "notify: %m");
	/* It asks for an event at the one that follows what it has fetched. */
	while (*index_at(h, REQ_EVENT) != end + 1 && *index_at(h, RSP_PROD) != end)
		;
	return end;
}

/* Below what was fetched, and not below what was answered. */
static void lowered(struct hostile *h)
{
	static const uint32_t by[] = {1, 2, 8};

	for (size_t i = 0; i < sizeof(by) / sizeof(*by); i++) {
		uint32_t end = keep_it_busy(h);

		/* All too fast: once more. */
		for (unsigned tries = 0; end - *index_at(h, RSP_PROD) < by[i]; tries++) {
			need(tries < 1000, "nothing stays in flight");
			hostile_settle(h);
			end = keep_it_busy(h);
		}
		*index_at(h, REQ_PROD) = end - by[i];
		need(!channel_notify(h->channel), "notify: %m");
		hostile_see_error(h, "request index is impossible");
		/* Stopped or not, what was fetched is answered, once. */
		*index_at(h, REQ_PROD) = end;
		hostile_settle(h);
		hostile_await_break(h);
	}
}

/* It is for the frontend to say where indices begin: a sound ring across 2^32. */
static void wrapping(struct hostile *h)
{
	hostile_disconnect(h);
	hostile_connect(h, UINT32_MAX - 40);
	for (unsigned i = 0; i < 100; i++) {
		struct request request = hostile_request(h, REQUEST_READ, 1 + i % 11);

		hostile_ask(h, &request, REQUEST_FINE);
		if (i % 7 == 0)
			hostile_settle(h);
	}
	hostile_settle(h);
	need(h->ring.rsp_cons < 100, "the indices did not wrap");
	hostile_disconnect(h);
	hostile_connect(h, UINT32_MAX);
	break_by(h, h->ring.rsp_cons + h->ring.slots + 1);
	hostile_disconnect(h);
	hostile_connect(h, 0);
	break_by(h, UINT32_MAX);
}

/* As soon as the server looks at it. */
static void impossible_from_the_start(struct hostile *h)
{
	hostile_disconnect(h);
	hostile_offer(h, 0);
	*index_at(h, REQ_PROD) = h->ring.slots + 1;
	hostile_state(h, XENBUS_INITIALISED);
	hostile_await(h, XENBUS_CONNECTED);
	hostile_await_break(h);
}

/* The server's own indices are its private matter; what it is to be told of is the guest's. */
static void other_indices(struct hostile *h)
{
	static const uint32_t values[] = {0, 1, 0x7fffffff, 0x80000000, UINT32_MAX};

	for (size_t i = 0; i < sizeof(values) / sizeof(*values); i++) {
		*index_at(h, REQ_EVENT) = values[i];
		for (unsigned n = 0; n < 5; n++) {
			struct request request = hostile_request(h, REQUEST_READ, 1);

			hostile_ask(h, &request, REQUEST_FINE);
		}
		*index_at(h, RSP_PROD) = values[i];
		/* Restored before the answers are looked for, or they would be hidden from us. */
		*index_at(h, RSP_PROD) = h->ring.rsp_cons;
		ring_front_push(&h->ring);
		channel_notify(h->channel);
		hostile_settle(h);
	}
}

/* All slots full of what was never a request: each is answered, by the id that stands there. */
static void garbage(struct hostile *h)
{
	uint32_t seed = (uint32_t)h->next_id * 2654435761u + 1;

	for (unsigned n = 0; n < h->ring.slots; n++) {
		uint32_t slot = h->ring.req_prod_pvt & (h->ring.slots - 1);
		uint8_t *at = (uint8_t *)h->ring_page + 64 + (size_t)slot * h->ring.stride_bytes;
		uint8_t bytes[112];
		struct request sound = hostile_request(h, 200, 0);

		for (unsigned i = 0; i < sizeof(bytes); i++) {
			seed = seed * 1664525u + 1013904223u;
			bytes[i] = (uint8_t)(seed >> 24);
		}
		/* Known operations would write to the disk by luck; the rest is noise. */
		bytes[0] = (uint8_t)(7 + bytes[0] % 249);
		sound.operation = bytes[0];
		memcpy(&sound.id, bytes + (h->abi == RING_ABI_X86_32 ? 4 : 8), sizeof(sound.id));
		hostile_ask(h, &sound, FAULT_OPERATION);
		memcpy(at, bytes, h->ring.stride_bytes);
	}
	hostile_settle(h);
}

/* Each request is read once: what its slot says later does not count. */
static void slot_changes(struct hostile *h)
{
	for (unsigned round = 0; round < 20; round++) {
		for (unsigned n = 0; n < h->ring.slots; n++) {
			struct request request = hostile_request(h, REQUEST_READ, 2);

			hostile_ask_either(h, &request);
		}
		ring_front_push(&h->ring);
		channel_notify(h->channel);
		/* Behind the bytes that an answer takes: sector_number and segments. */
		for (unsigned n = 0; n < h->ring.slots * 8; n++) {
			volatile uint8_t *slot = (uint8_t *)h->ring_page + 64 +
						 (n & (h->ring.slots - 1)) * h->ring.stride_bytes;

			slot[18] = (uint8_t)n;
			slot[28 + n % 16] = (uint8_t)(n * 13);
		}
		hostile_settle(h);
	}
}

static void duplicate_ids(struct hostile *h)
{
	for (unsigned n = 0; n < 3 * h->ring.slots; n++) {
		struct request request = hostile_request(h, n % 3 ? REQUEST_READ : 77, 1);

		request.id = n % 2 ? 0 : UINT64_MAX;
		hostile_ask(h, &request, n % 3 ? REQUEST_FINE : FAULT_OPERATION);
	}
	hostile_settle(h);
}

const struct hostile_class index_classes[] = {
	{"req_prod-far-ahead", "more requests than the ring has slots", far_ahead},
	{"req_prod-behind", "a producer index that goes back", behind},
	{"req_prod-lowered", "a producer index that takes back what is in flight", lowered},
	{"req_prod-wrapping", "indices across 2^32, sound and not", wrapping},
	{"req_prod-at-connect", "a ring that is broken before it is connected",
	 impossible_from_the_start},
	{"other-indices", "rsp_prod, req_event: written by who should not", other_indices},
	{"garbage", "slots full of noise", garbage},
	{"slot-changes", "slots that change after they were pushed", slot_changes},
	{"duplicate-ids", "many requests of one id", duplicate_ids},
	{0},
};
