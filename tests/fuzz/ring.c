/* SPDX-License-Identifier: MIT */
/*
 * A ring that a hostile frontend writes to while a backend works on it: fetch, check, answer.
 *
 * Input: struct plan, then the bytes of the shared pages; what is left holds the indirect pages.
 */
#include "fuzz.h"

#include <errno.h>

#include "ring-abi.h"

#define STEPS	       24
#define RING_BYTES_MAX (RING_PAGE_BYTES << RING_ORDER_MAX)
#define PAGE_SECTORS   8u
#define SLOTS_MAX      512u

struct plan {
	uint8_t abi, order, flags, max_segments;
	uint16_t max_indirect_segments;
	uint16_t sectors_shift;
	uint64_t sectors;
	uint8_t step[STEPS];
};

enum { FLAG_READ_ONLY = 1, FLAG_FLUSH = 2, FLAG_BARRIER = 4, FLAG_DISCARD = 8, FLAG_4096 = 16 };

struct backend {
	struct ring ring;
	struct request_limits limits;
	struct input rest;
	size_t length_bytes; /* of the shared pages */
	unsigned unanswered;
	struct response due[SLOTS_MAX]; /* in the order they were fetched */
};

static uint8_t shared[RING_BYTES_MAX] __attribute__((aligned(RING_PAGE_BYTES)));
static uint8_t before[RING_BYTES_MAX];

static struct request_limits limits_of(const struct plan *plan)
{
	return (struct request_limits){
		.sectors = plan->sectors >> (plan->sectors_shift % 64),
		.logical_sector_bytes = plan->flags & FLAG_4096 ? 4096 : 512,
		.max_segments = plan->max_segments % (REQUEST_SEGMENTS_DIRECT + 1),
		.max_indirect_segments = plan->max_indirect_segments % (REQUEST_SEGMENTS_MAX + 1),
		.read_only = plan->flags & FLAG_READ_ONLY,
		.can_flush = plan->flags & FLAG_FLUSH,
		.can_barrier = plan->flags & FLAG_BARRIER,
		.can_discard = plan->flags & FLAG_DISCARD,
	};
}

/* The segments of a request that passed, one by one; their sum. */
static uint64_t must_have_good_segments(const struct request *request)
{
	const struct request_segment *segments = request_segments(request);
	uint64_t sum = 0;

	for (unsigned i = 0; i < request_count(request); i++) {
		must(segments[i].first_sect <= segments[i].last_sect);
		must(segments[i].last_sect < PAGE_SECTORS);
		sum += segments[i].last_sect - segments[i].first_sect + 1u;
	}
	return sum;
}

/* Each promise of request_check() about a request that it let through. */
static void must_be_allowed(const struct request *request, const struct request_limits *limits,
			    uint64_t length_sectors)
{
	bool indirect = request->operation == REQUEST_INDIRECT;
	uint64_t unit = limits->logical_sector_bytes / 512;
	uint64_t sum = 0;

	if (request->operation != REQUEST_DISCARD) {
		must(request_count(request) <=
		     (indirect ? limits->max_indirect_segments : limits->max_segments));
		sum = must_have_good_segments(request);
	}
	switch (request_task(request)) {
	case REQUEST_READ:
		must(sum);
		break;
	case REQUEST_WRITE:
		must(sum && !limits->read_only);
		break;
	case REQUEST_FLUSH_DISKCACHE:
		must(!indirect && limits->can_flush && (!sum || !limits->read_only));
		break;
	case REQUEST_WRITE_BARRIER:
		must(!indirect && limits->can_barrier && (!sum || !limits->read_only));
		break;
	case REQUEST_DISCARD:
		must(!indirect && limits->can_discard && !limits->read_only);
		sum = request->nr_sectors;
		must(sum);
		break;
	default:
		must(!"an operation that there is not");
	}
	must(length_sectors == sum);
	if (!sum)
		return;
	must(sum <= limits->sectors && request->sector <= limits->sectors - sum);
	must(request->sector % unit == 0 && sum % unit == 0);
}

/* As pages_fetch_indirect() does: no more than was asked for. */
static void fetch_indirect(struct backend *backend, struct request *request,
			   struct request_segment *into)
{
	must(request->indirect_segments <= REQUEST_SEGMENTS_MAX);
	must(request_indirect_pages(request) <= REQUEST_INDIRECT_PAGES);
	input_take(&backend->rest, into, request->indirect_segments * sizeof(*into));
	request->indirect = into;
}

/* What was decoded, encoded anew in a ring of each ABI, is decoded the same. */
static void must_survive_encoding(const struct request *request)
{
	static uint8_t page[RING_PAGE_BYTES] __attribute__((aligned(RING_PAGE_BYTES)));
	struct request again;
	struct ring ring;

	for (enum ring_abi abi = RING_ABI_NATIVE; abi <= RING_ABI_X86_32; abi++) {
		must(!ring_setup(&ring, page, abi, 0));
		ring_front_init(&ring);
		must(!ring_front_put(&ring, request));
		ring_front_push(&ring);
		must(ring_back_waiting(&ring) == 1);
		ring_back_fetch(&ring, &again);
		must(!memcmp(&again, request, sizeof(again)));
	}
}

static void take_request(struct backend *backend)
{
	struct request_segment segments[REQUEST_SEGMENTS_MAX];
	uint64_t length_sectors = UINT64_MAX;
	enum request_fault fault = REQUEST_FINE;
	struct request request;

	ring_back_fetch(&backend->ring, &request);
	must_survive_encoding(&request);
	if (request.operation == REQUEST_INDIRECT)
		fault = request_check_indirect(&request, &backend->limits);
	if (!fault && request.operation == REQUEST_INDIRECT)
		fetch_indirect(backend, &request, segments);
	if (!fault)
		fault = request_check(&request, &backend->limits, &length_sectors);
	if (fault)
		must(length_sectors == UINT64_MAX && fault < REQUEST_FAULTS &&
		     request_fault_status(fault) != RESPONSE_OKAY);
	else
		must_be_allowed(&request, &backend->limits, length_sectors);
	must(request_fault_name(fault) && request_operation_name(request.operation));
	must(backend->unanswered < backend->ring.slots);
	backend->due[backend->unanswered++] = (struct response){
		.id = request.id,
		.operation = request_task(&request),
		.status = (int16_t)request_fault_status(fault),
	};
}

static void fetch(struct backend *backend, unsigned most)
{
	int waiting = ring_back_waiting(&backend->ring);

	must(waiting == -EPROTO || (waiting >= 0 && (unsigned)waiting <= backend->ring.slots));
	for (; waiting > 0 && most; waiting--, most--)
		take_request(backend);
}

/* An answer changes its slot and nothing else, and has no byte that is not its own (XSA-216). */
static void must_be_answer(const struct backend *backend, uint32_t index,
			   const struct response *response)
{
	size_t at = sizeof(struct ring_header) +
		    (index & (backend->ring.slots - 1)) * backend->ring.stride_bytes;
	size_t bytes = backend->ring.abi == RING_ABI_X86_32 ? 12 : 16;
	uint8_t wanted[16] = {0};

	memcpy(wanted, &response->id, 8);
	wanted[8] = response->operation;
	memcpy(wanted + 10, &response->status, 2);
	must(!memcmp(shared + at, wanted, bytes));
	must(!memcmp(shared, before, at));
	must(!memcmp(shared + at + bytes, before + at + bytes, backend->length_bytes - at - bytes));
}

/* Out of order: the answer that is @which of those due. */
static void answer(struct backend *backend, unsigned which)
{
	uint32_t index = backend->ring.rsp_prod_pvt;
	struct response response, seen;

	if (!backend->unanswered)
		return;
	which %= backend->unanswered;
	response = backend->due[which];
	backend->due[which] = backend->due[--backend->unanswered];
	memcpy(before, shared, backend->length_bytes);
	ring_back_respond(&backend->ring, response.id, response.operation, response.status);
	must_be_answer(backend, index, &response);
	ring_peek_response(&backend->ring, index, &seen);
	must(seen.id == response.id && seen.operation == response.operation &&
	     seen.status == response.status);
}

/* The frontend moves its producer index by a little, or far. */
static void move_producer(struct backend *backend, unsigned by)
{
	struct ring_header *header = ring_header(&backend->ring);
	static const uint32_t far[] = {0, 1, 31, 32, 33, 512, INT32_MAX, UINT32_MAX};

	index_write(&header->req_prod, by < 8 ? backend->ring.req_cons + far[by]
					      : index_read(&header->req_prod) + by - 8);
}

static void step(struct backend *backend, uint8_t what)
{
	unsigned amount = what >> 3;

	switch (what & 7) {
	case 0:
	case 1:
		fetch(backend, amount + 1);
		break;
	case 2:
		fetch(backend, UINT32_MAX);
		break;
	case 3:
		answer(backend, amount);
		break;
	case 4:
		while (backend->unanswered)
			answer(backend, amount);
		break;
	case 5:
		ring_back_push(&backend->ring);
		must(ring_look(&backend->ring).rsp_prod == backend->ring.rsp_prod_pvt);
		break;
	case 6:
		must(ring_back_rest(&backend->ring) >= -EPROTO);
		break;
	default:
		move_producer(backend, amount);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length_bytes)
{
	static struct backend backend;
	struct plan plan;

	backend = (struct backend){.rest = {bytes, length_bytes}};
	input_take(&backend.rest, &plan, sizeof(plan));
	backend.limits = limits_of(&plan);
	must(!ring_setup(&backend.ring, shared, plan.abi % 3, plan.order % (RING_ORDER_MAX + 1)));
	must(backend.ring.slots <= SLOTS_MAX);
	backend.length_bytes = (size_t)RING_PAGE_BYTES << backend.ring.order;
	input_take(&backend.rest, shared, backend.length_bytes);
	ring_back_resume(&backend.ring);
	for (unsigned i = 0; i < STEPS; i++)
		step(&backend, plan.step[i]);
	return 0;
}
