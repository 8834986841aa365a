/* SPDX-License-Identifier: MIT */
#define __XEN_TOOLS__
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define xen_mb()
#define xen_rmb()
#define xen_wmb()
#include <xen/xen.h>
#include <xen/io/blkif.h>

#include "num.h"
#include "ring.h"

/* The 32-bit layouts, written down a second time: 64-bit numbers aligned to 4. */
struct segment_32 {
	uint32_t gref;
	uint8_t first_sect, last_sect, pad[2];
};
struct request_32 {
	uint8_t operation, nr_segments;
	uint16_t handle;
	uint64_t id __attribute__((packed)), sector __attribute__((packed));
	struct segment_32 seg[11];
};
struct discard_32 {
	uint8_t operation, flag;
	uint16_t handle;
	uint64_t id __attribute__((packed)), sector __attribute__((packed));
	uint64_t nr_sectors __attribute__((packed));
};
struct indirect_32 {
	uint8_t operation, indirect_op;
	uint16_t nr_segments;
	uint64_t id __attribute__((packed)), sector __attribute__((packed));
	uint16_t handle;
	uint32_t grefs[8];
	uint64_t pad __attribute__((packed));
};
_Static_assert(sizeof(struct request_32) == 108, "protocol.md 2");

static const enum ring_abi abis[] = {RING_ABI_NATIVE, RING_ABI_X86_64, RING_ABI_X86_32};

/* One shared ring with both its ends, the header at @start everywhere. */
struct pair {
	_Alignas(8) uint8_t pages[RING_PAGE_BYTES << RING_ORDER_MAX];
	struct ring front, back;
};

static uint32_t *index_at(struct pair *p, unsigned n)
{
	return (uint32_t *)(void *)p->pages + n;
}
#define REQ_PROD(p)  (*index_at(p, 0))
#define REQ_EVENT(p) (*index_at(p, 1))
#define RSP_PROD(p)  (*index_at(p, 2))
#define RSP_EVENT(p) (*index_at(p, 3))

static void pair_begin(struct pair *p, enum ring_abi abi, unsigned order, uint32_t start)
{
	memset(p->pages, 0xa5, sizeof(p->pages));
	assert_int_equal(ring_setup(&p->front, p->pages, abi, order), 0);
	assert_int_equal(ring_setup(&p->back, p->pages, abi, order), 0);
	ring_front_init(&p->front);
	REQ_PROD(p) = RSP_PROD(p) = start;
	REQ_EVENT(p) = RSP_EVENT(p) = start + 1;
	p->front.req_prod_pvt = p->front.rsp_cons = p->front.pushed = start;
	ring_back_resume(&p->back);
}

static uint8_t *slot(struct pair *p, uint32_t index)
{
	return p->pages + 64 + (size_t)(index % p->back.slots) * p->back.stride_bytes;
}

static struct request sample(uint8_t operation, uint8_t nr_segments)
{
	struct request request = {
		.id = 0x1122334455667788,
		.operation = operation,
		.handle = 0xca10,
		.sector = 0xfedcba9876543210,
	};

	if (operation == REQUEST_DISCARD) {
		request.flag = 1;
		request.nr_sectors = 0x0102030405060708;
		return request;
	}
	if (operation == REQUEST_INDIRECT) {
		request.indirect_operation = REQUEST_WRITE;
		request.indirect_segments = 0x1ff;
		return request;
	}
	request.nr_segments = nr_segments;
	for (unsigned i = 0; i < nr_segments && i < REQUEST_SEGMENTS_DIRECT; i++)
		request.segment[i] =
			(struct request_segment){0xdeadbe00 + i, (uint8_t)i, (uint8_t)(200 + i)};
	return request;
}

static void same(const struct request *a, const struct request *b)
{
	assert_int_equal(a->id, b->id);
	assert_int_equal(a->operation, b->operation);
	assert_int_equal(a->nr_segments, b->nr_segments);
	assert_int_equal(a->flag, b->flag);
	assert_int_equal(a->indirect_operation, b->indirect_operation);
	assert_int_equal(a->indirect_segments, b->indirect_segments);
	assert_int_equal(a->handle, b->handle);
	assert_int_equal(a->sector, b->sector);
	assert_int_equal(a->nr_sectors, b->nr_sectors);
	for (unsigned i = 0; i < REQUEST_SEGMENTS_DIRECT; i++) {
		assert_int_equal(a->segment[i].gref, b->segment[i].gref);
		assert_int_equal(a->segment[i].first_sect, b->segment[i].first_sect);
		assert_int_equal(a->segment[i].last_sect, b->segment[i].last_sect);
	}
}

static void geometry(void **state)
{
	struct ring ring;

	for (size_t i = 0; i < ARRAY_SIZE(abis); i++) {
		for (unsigned order = 0; order <= RING_ORDER_MAX; order++) {
			assert_int_equal(ring_slots(abis[i], order), 32u << order);
			assert_int_equal(ring_setup(&ring, NULL, abis[i], order), 0);
			assert_int_equal(ring.slots, 32u << order);
			assert_int_equal(ring.stride_bytes, abis[i] == RING_ABI_X86_32 ? 108 : 112);
		}
		assert_int_equal(ring_slots(abis[i], RING_ORDER_MAX + 1), 0);
		assert_int_equal(ring_setup(&ring, NULL, abis[i], 31), -EINVAL);
		assert_int_equal(ring_setup(&ring, NULL, abis[i], UINT32_MAX), -EINVAL);
	}
}

static void abi_names(void **state)
{
	enum ring_abi abi;

	for (size_t i = 0; i < ARRAY_SIZE(abis); i++) {
		assert_int_equal(ring_abi_parse(ring_abi_name(abis[i]), &abi), 0);
		assert_int_equal(abi, abis[i]);
	}
	assert_string_equal(ring_abi_name(RING_ABI_X86_32), "x86_32-abi");
	assert_string_equal(ring_abi_name(RING_ABI_X86_64), "x86_64-abi");
	assert_int_equal(ring_abi_parse(NULL, &abi), 0);
	assert_int_equal(abi, RING_ABI_NATIVE);
	assert_int_equal(ring_abi_parse("", &abi), -EINVAL);
	assert_int_equal(ring_abi_parse("x86_64", &abi), -EINVAL);
	assert_int_equal(ring_abi_parse("x86_64-abi ", &abi), -EINVAL);
	assert_int_equal(ring_abi_parse("arm-abi", &abi), -EINVAL);
}

/* What a frontend puts is, byte by byte, what the header's structures say. */
static void layout_64(void **state)
{
	struct pair *p = malloc(sizeof(*p));
	const struct request write = sample(REQUEST_WRITE, 11),
			     discard = sample(REQUEST_DISCARD, 0),
			     indirect = sample(REQUEST_INDIRECT, 0);
	struct blkif_request w;
	struct blkif_request_discard d;
	struct blkif_request_indirect i;

	pair_begin(p, RING_ABI_X86_64, 0, 0);
	assert_int_equal(ring_front_put(&p->front, &write), 0);
	assert_int_equal(ring_front_put(&p->front, &discard), 0);
	assert_int_equal(ring_front_put(&p->front, &indirect), 0);
	memcpy(&w, slot(p, 0), sizeof(w));
	assert_int_equal(w.operation, BLKIF_OP_WRITE);
	assert_int_equal(w.nr_segments, 11);
	assert_int_equal(w.handle, write.handle);
	assert_int_equal(w.id, write.id);
	assert_int_equal(w.sector_number, write.sector);
	for (unsigned s = 0; s < 11; s++) {
		assert_int_equal(w.seg[s].gref, write.segment[s].gref);
		assert_int_equal(w.seg[s].first_sect, write.segment[s].first_sect);
		assert_int_equal(w.seg[s].last_sect, write.segment[s].last_sect);
	}
	memcpy(&d, slot(p, 1), sizeof(d));
	assert_int_equal(d.operation, BLKIF_OP_DISCARD);
	assert_int_equal(d.flag, 1);
	assert_int_equal(d.handle, discard.handle);
	assert_int_equal(d.id, discard.id);
	assert_int_equal(d.sector_number, discard.sector);
	assert_int_equal(d.nr_sectors, discard.nr_sectors);
	memcpy(&i, slot(p, 2), sizeof(i));
	assert_int_equal(i.operation, BLKIF_OP_INDIRECT);
	assert_int_equal(i.indirect_op, BLKIF_OP_WRITE);
	assert_int_equal(i.nr_segments, 0x1ff);
	assert_int_equal(i.id, indirect.id);
	assert_int_equal(i.sector_number, indirect.sector);
	assert_int_equal(i.handle, indirect.handle);
	free(p);
}

static void layout_32(void **state)
{
	struct pair *p = malloc(sizeof(*p));
	const struct request write = sample(REQUEST_WRITE, 11),
			     discard = sample(REQUEST_DISCARD, 0),
			     indirect = sample(REQUEST_INDIRECT, 0);
	struct request_32 w;
	struct discard_32 d;
	struct indirect_32 i;

	pair_begin(p, RING_ABI_X86_32, 0, 0);
	assert_int_equal(ring_front_put(&p->front, &write), 0);
	assert_int_equal(ring_front_put(&p->front, &discard), 0);
	assert_int_equal(ring_front_put(&p->front, &indirect), 0);
	memcpy(&w, slot(p, 0), sizeof(w));
	assert_int_equal(w.operation, BLKIF_OP_WRITE);
	assert_int_equal(w.nr_segments, 11);
	assert_int_equal(w.handle, write.handle);
	assert_int_equal(w.id, write.id);
	assert_int_equal(w.sector, write.sector);
	for (unsigned s = 0; s < 11; s++) {
		assert_int_equal(w.seg[s].gref, write.segment[s].gref);
		assert_int_equal(w.seg[s].first_sect, write.segment[s].first_sect);
		assert_int_equal(w.seg[s].last_sect, write.segment[s].last_sect);
	}
	memcpy(&d, slot(p, 1), sizeof(d));
	assert_int_equal(d.flag, 1);
	assert_int_equal(d.handle, discard.handle);
	assert_int_equal(d.id, discard.id);
	assert_int_equal(d.sector, discard.sector);
	assert_int_equal(d.nr_sectors, discard.nr_sectors);
	memcpy(&i, slot(p, 2), sizeof(i));
	assert_int_equal(i.indirect_op, BLKIF_OP_WRITE);
	assert_int_equal(i.nr_segments, 0x1ff);
	assert_int_equal(i.id, indirect.id);
	assert_int_equal(i.sector, indirect.sector);
	assert_int_equal(i.handle, indirect.handle);
	free(p);
}

/* Every form, every ABI, every ring size, across the end of the ring and of the indices. */
static void round_trip(void **state)
{
	static const uint8_t operations[] = {
		REQUEST_READ,	 REQUEST_WRITE,	   REQUEST_WRITE_BARRIER, REQUEST_FLUSH_DISKCACHE,
		REQUEST_DISCARD, REQUEST_INDIRECT, BLKIF_OP_RESERVED_1,	  255};
	struct pair *p = malloc(sizeof(*p));

	for (size_t a = 0; a < ARRAY_SIZE(abis) * (RING_ORDER_MAX + 1); a++) {
		unsigned order = (unsigned)(a / ARRAY_SIZE(abis));

		pair_begin(p, abis[a % ARRAY_SIZE(abis)], order, UINT32_MAX - 40);
		for (unsigned i = 0; i < 3 * p->back.slots; i++) {
			uint8_t op = operations[i % ARRAY_SIZE(operations)];
			struct request put = sample(op, (uint8_t)(i % 12)), got;
			const int16_t status = (int16_t)(0 - (int)(i % 3));
			struct response response;

			put.id += i;
			assert_int_equal(ring_front_put(&p->front, &put), 0);
			ring_front_push(&p->front);
			assert_int_equal(ring_back_waiting(&p->back), 1);
			ring_peek_request(&p->front, UINT32_MAX - 40 + i, &got);
			same(&put, &got);
			ring_back_fetch(&p->back, &got);
			same(&put, &got);
			ring_back_respond(&p->back, got.id, got.operation, status);
			assert_int_equal(ring_front_waiting(&p->front), 0);
			ring_back_push(&p->back);
			assert_int_equal(ring_front_waiting(&p->front), 1);
			ring_peek_response(&p->back, p->front.rsp_cons, &response);
			assert_int_equal(response.id, put.id);
			memset(&response, 0, sizeof(response));
			ring_front_take(&p->front, &response);
			assert_int_equal(response.id, put.id);
			assert_int_equal(response.operation, op);
			assert_int_equal(response.status, status);
		}
	}
	free(p);
}

/* nr_segments beyond the slot's room is handed on as it is; nothing beyond the slot is read. */
static void too_many_segments(void **state)
{
	static const uint8_t counts[] = {12, 13, 128, 255};
	struct pair *p = malloc(sizeof(*p));

	for (size_t i = 0; i < ARRAY_SIZE(counts) * ARRAY_SIZE(abis); i++) {
		struct request put = sample(REQUEST_READ, counts[i % ARRAY_SIZE(counts)]), got;

		pair_begin(p, abis[i / ARRAY_SIZE(counts)], 0, 31);
		assert_int_equal(ring_front_put(&p->front, &put), 0);
		ring_front_push(&p->front);
		ring_back_fetch(&p->back, &got);
		same(&put, &got);
	}
	free(p);
}

static void producer_index(void **state)
{
	static const uint32_t starts[] = {0, 1, 5000, UINT32_MAX, UINT32_MAX - 3, 1u << 31};
	struct pair *p = malloc(sizeof(*p));
	struct request got;

	for (size_t i = 0; i < ARRAY_SIZE(starts); i++) {
		uint32_t start = starts[i];

		pair_begin(p, RING_ABI_X86_64, 0, start);
		assert_int_equal(ring_back_waiting(&p->back), 0);
		REQ_PROD(p) = start + 32;
		assert_int_equal(ring_back_waiting(&p->back), 32);
		REQ_PROD(p) = start + 33; /* a ring's worth and one */
		assert_int_equal(ring_back_waiting(&p->back), -EPROTO);
		REQ_PROD(p) = start - 1; /* behind what was answered */
		assert_int_equal(ring_back_waiting(&p->back), -EPROTO);
		REQ_PROD(p) = start + (1u << 31);
		assert_int_equal(ring_back_waiting(&p->back), -EPROTO);

		/* Four fetched, one answered, not yet shown. */
		REQ_PROD(p) = start + 4;
		for (unsigned n = 0; n < 4; n++)
			ring_back_fetch(&p->back, &got);
		ring_back_respond(&p->back, 0, 0, 0);
		assert_int_equal(ring_back_waiting(&p->back), 0);
		REQ_PROD(p) = start + 3; /* behind what was fetched */
		assert_int_equal(ring_back_waiting(&p->back), -EPROTO);
		assert_int_equal(ring_back_rest(&p->back), -EPROTO);
		REQ_PROD(p) = start + 33;
		assert_int_equal(ring_back_waiting(&p->back), 29);
		REQ_PROD(p) = start + 34;
		assert_int_equal(ring_back_waiting(&p->back), -EPROTO);
	}
	free(p);
}

/* XSA-216: no byte of ours but the response's own; and no byte of another slot. */
static void response_padding(void **state)
{
	static const struct {
		enum ring_abi abi;
		unsigned bytes;
	} rows[] = {{RING_ABI_NATIVE, 16}, {RING_ABI_X86_64, 16}, {RING_ABI_X86_32, 12}};
	struct pair *p = malloc(sizeof(*p));

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		uint8_t want[16] = {0x88, 0x77, 0x66, 0x55, 0x44, 0x33,
				    0x22, 0x11, 3,    0,    0xfe, 0xff};

		pair_begin(p, rows[i].abi, 0, 31);
		ring_back_respond(&p->back, 0x1122334455667788, 3, RESPONSE_EOPNOTSUPP);
		assert_memory_equal(slot(p, 31), want, rows[i].bytes);
		for (unsigned b = rows[i].bytes; b < p->back.stride_bytes; b++)
			assert_int_equal(slot(p, 31)[b], 0xa5);
		assert_int_equal(slot(p, 30)[p->back.stride_bytes - 1], 0xa5);
		assert_int_equal(slot(p, 0)[0], 0xa5);
	}
	free(p);
}

static void notifies(void **state)
{
	static const uint32_t starts[] = {0, UINT32_MAX - 2, UINT32_MAX};
	struct pair *p = malloc(sizeof(*p));
	const struct request request = sample(REQUEST_READ, 1);
	struct request got;
	struct response response;

	for (size_t i = 0; i < ARRAY_SIZE(starts); i++) {
		pair_begin(p, RING_ABI_X86_64, 0, starts[i]);
		assert_false(ring_front_push(&p->front)); /* nothing new */
		for (unsigned n = 0; n < 4; n++)
			ring_front_put(&p->front, &request);
		assert_int_equal(REQ_PROD(p), starts[i]);
		assert_true(ring_front_push(&p->front));
		assert_int_equal(REQ_PROD(p), starts[i] + 4);
		ring_front_put(&p->front, &request);
		assert_false(ring_front_push(&p->front)); /* the backend did not rest since */

		for (unsigned n = 0; n < 5; n++)
			ring_back_fetch(&p->back, &got);
		assert_false(ring_back_push(&p->back));
		assert_int_equal(ring_back_rest(&p->back), 0);
		assert_int_equal(REQ_EVENT(p), starts[i] + 6);
		ring_front_put(&p->front, &request);
		assert_true(ring_front_push(&p->front));

		/* A frontend may ask to be told of the third response only. */
		RSP_EVENT(p) = starts[i] + 3;
		ring_back_respond(&p->back, 0, 0, 0);
		ring_back_respond(&p->back, 0, 0, 0);
		assert_int_equal(RSP_PROD(p), starts[i]);
		assert_false(ring_back_push(&p->back));
		assert_int_equal(RSP_PROD(p), starts[i] + 2);
		ring_back_respond(&p->back, 0, 0, 0);
		assert_true(ring_back_push(&p->back));
		ring_back_respond(&p->back, 0, 0, 0);
		assert_false(ring_back_push(&p->back));

		assert_int_equal(ring_front_rest(&p->front), 4);
		assert_int_equal(RSP_EVENT(p), starts[i] + 3); /* no wish while there is work */
		for (unsigned n = 0; n < 4; n++)
			ring_front_take(&p->front, &response);
		assert_int_equal(ring_front_rest(&p->front), 0);
		assert_int_equal(RSP_EVENT(p), starts[i] + 5);
		ring_back_respond(&p->back, 0, 0, 0);
		assert_true(ring_back_push(&p->back));
	}
	free(p);
}

/* Whether there is something to publish is not decided by what the other end wrote in our index. */
static void pushed_is_private(void **state)
{
	struct pair *p = malloc(sizeof(*p));

	pair_begin(p, RING_ABI_X86_64, 0, 7);
	REQ_PROD(p) = 9;
	ring_back_respond(&p->back, 0, 0, 0);
	RSP_PROD(p) = 8; /* as if the answer had been shown */
	assert_true(ring_back_push(&p->back));
	assert_int_equal(RSP_PROD(p), 8);
	free(p);
}

static void resume(void **state)
{
	struct pair *p = malloc(sizeof(*p));
	struct request request = sample(REQUEST_READ, 1), got;

	pair_begin(p, RING_ABI_X86_64, 0, 100);
	ring_front_put(&p->front, &request);
	ring_front_push(&p->front);
	memset(&p->back, 0, sizeof(p->back));
	ring_setup(&p->back, p->pages, RING_ABI_X86_64, 0);
	ring_back_resume(&p->back);
	assert_int_equal(p->back.req_cons, 100);
	assert_int_equal(p->back.rsp_prod_pvt, 100);
	assert_int_equal(ring_back_waiting(&p->back), 1);
	ring_back_fetch(&p->back, &got);
	same(&request, &got);
	RSP_EVENT(p) = 90; /* told of that long ago, and no wish since */
	ring_back_respond(&p->back, got.id, got.operation, 0);
	assert_false(ring_back_push(&p->back));
	free(p);
}

static void frontend_judges(void **state)
{
	struct pair *p = malloc(sizeof(*p));
	const struct request request = sample(REQUEST_READ, 1);
	struct response response;

	pair_begin(p, RING_ABI_X86_64, 0, UINT32_MAX - 1);
	for (unsigned n = 0; n < 32; n++) {
		assert_int_equal(ring_front_free(&p->front), 32 - n);
		assert_int_equal(ring_front_put(&p->front, &request), 0);
	}
	assert_int_equal(ring_front_put(&p->front, &request), -ENOSPC);
	RSP_PROD(p) += 1; /* an answer to what was not shown to it yet */
	assert_int_equal(ring_front_waiting(&p->front), -EPROTO);
	ring_front_push(&p->front);
	assert_int_equal(ring_front_waiting(&p->front), 1);
	ring_front_take(&p->front, &response);
	assert_int_equal(ring_front_free(&p->front), 1);
	RSP_PROD(p) -= 1; /* back behind what was taken */
	assert_int_equal(ring_front_waiting(&p->front), -EPROTO);
	RSP_PROD(p) += 32;
	assert_int_equal(ring_front_waiting(&p->front), 31);
	RSP_PROD(p) += 1;
	assert_int_equal(ring_front_waiting(&p->front), -EPROTO);
	assert_int_equal(ring_front_rest(&p->front), -EPROTO);
	free(p);
}

static void looks(void **state)
{
	struct pair *p = malloc(sizeof(*p));
	struct ring_indices indices;

	pair_begin(p, RING_ABI_X86_32, 0, 0);
	REQ_PROD(p) = 1, REQ_EVENT(p) = 2, RSP_PROD(p) = 3, RSP_EVENT(p) = 4;
	indices = ring_look(&p->back);
	assert_int_equal(indices.req_prod, 1);
	assert_int_equal(indices.req_event, 2);
	assert_int_equal(indices.rsp_prod, 3);
	assert_int_equal(indices.rsp_event, 4);
	free(p);
}

static void fresh_header(void **state)
{
	struct pair *p = malloc(sizeof(*p));
	struct blkif_sring want;

	memset(p->pages, 0xa5, sizeof(p->pages));
	memset(&want, 0xa5, sizeof(want));
	SHARED_RING_INIT(&want);
	ring_setup(&p->front, p->pages, RING_ABI_NATIVE, 0);
	ring_front_init(&p->front);
	assert_memory_equal(p->pages, &want, offsetof(struct blkif_sring, ring));
	free(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(geometry),	  cmocka_unit_test(abi_names),
		cmocka_unit_test(layout_64),	  cmocka_unit_test(layout_32),
		cmocka_unit_test(round_trip),	  cmocka_unit_test(too_many_segments),
		cmocka_unit_test(producer_index), cmocka_unit_test(response_padding),
		cmocka_unit_test(notifies),	  cmocka_unit_test(pushed_is_private),
		cmocka_unit_test(resume),	  cmocka_unit_test(frontend_judges),
		cmocka_unit_test(looks),	  cmocka_unit_test(fresh_header),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
