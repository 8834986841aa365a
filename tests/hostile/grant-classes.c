/* SPDX-License-Identifier: MIT */
/* Grants that do not map or copy, at each place of a batch. */
#include "hostile.h"
#include "num.h"

#define BATCH 8u

/* One push of BATCH requests of three segments; one of them has one bad page. */
static void batch(struct hostile *h, uint8_t operation, uint32_t bad, unsigned at, unsigned segment,
		  enum request_fault fault)
{
	for (unsigned n = 0; n < BATCH; n++) {
		struct request request = hostile_request(h, operation, 3);

		request.sector = 64 * n;
		for (unsigned s = 0; s < 3; s++)
			request.segment[s].gref = h->page_ref[3 * n + s];
		if (n == at)
			request.segment[segment].gref = bad;
		hostile_ask(h, &request, n == at ? fault : REQUEST_FINE);
	}
	hostile_settle(h);
}

static void everywhere(struct hostile *h, uint32_t bad, enum request_fault reading,
		       enum request_fault writing)
{
	for (unsigned at = 0; at < BATCH; at++) {
		for (unsigned segment = 0; segment < 3; segment++) {
			batch(h, REQUEST_READ, bad, at, segment, reading);
			batch(h, REQUEST_WRITE, bad, at, segment, writing);
		}
	}
}

static void bad_grants(struct hostile *h)
{
	everywhere(h, HOSTILE_GREF, FAULT_GRANT, FAULT_GRANT);
	everywhere(h, 0, FAULT_GRANT, FAULT_GRANT);
}

static void foreign_grants(struct hostile *h)
{
	everywhere(h, h->foreign_ref, FAULT_GRANT, FAULT_GRANT);
}

static void revoked_grants(struct hostile *h)
{
	everywhere(h, h->revoked_ref, FAULT_GRANT, FAULT_GRANT);
}

/* The guest's data may be read from such a page, but nothing may be read into it. */
static void read_only_grants(struct hostile *h)
{
	everywhere(h, h->read_only_ref, FAULT_GRANT, h->persistent ? FAULT_GRANT : REQUEST_FINE);
}

/* A batch of nothing but bad ones: the slowest way to say no. */
static void all_bad(struct hostile *h)
{
	for (unsigned n = 0; n < 4 * h->ring.slots; n++) {
		struct request request =
			hostile_request(h, n % 2 ? REQUEST_READ : REQUEST_WRITE, 11);

		request.segment[n % 11].gref = n % 3 ? HOSTILE_GREF : h->revoked_ref;
		hostile_ask(h, &request, FAULT_GRANT);
	}
	hostile_settle(h);
}

/* Legal, and a page of the guest that is written by many at once is its own business. */
static void same_page(struct hostile *h)
{
	for (unsigned n = 0; n < 4 * h->ring.slots; n++) {
		struct request request = hostile_request(h, REQUEST_READ, 11);

		for (unsigned s = 0; s < 11; s++)
			request.segment[s].gref = h->page_ref[0];
		request.sector = n;
		hostile_ask(h, &request, REQUEST_FINE);
	}
	hostile_settle(h);
}

/* Its own ring as a data page: what is read lands in the ring. */
static void ring_as_data(struct hostile *h)
{
	struct request request = hostile_request(h, REQUEST_WRITE, 1);

	request.segment[0].gref = h->ring_ref;
	hostile_ask(h, &request, REQUEST_FINE);
	hostile_settle(h);
}

const struct hostile_class grant_classes[] = {
	{"grants-bad", "references that there are not", bad_grants},
	{"grants-foreign", "pages granted to somebody else", foreign_grants},
	{"grants-revoked", "pages no longer granted", revoked_grants},
	{"grants-read-only", "pages granted for reading only, to be read into", read_only_grants},
	{"grants-all-bad", "batches without one good page", all_bad},
	{"grants-same-page", "one page in all segments", same_page},
	{"grants-ring", "the ring itself as data", ring_as_data},
	{0},
};
