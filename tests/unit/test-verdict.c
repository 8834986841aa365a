/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

#include "num.h"
#include "verdict.h"

#define SECOND_NS 1000000000ull

/* A ring of one page with such indices: the four stand first in the shared page. */
struct look {
	struct ring_indices at;
	uint8_t bytes[RING_PAGE_BYTES];
	struct ring_copy copy;
};

static struct ring_copy *look(struct look *look, struct ring_indices at, uint64_t taken_ns)
{
	memset(look, 0, sizeof(*look));
	memcpy(look->bytes, &at, sizeof(at));
	look->copy.taken_ns = taken_ns;
	look->copy.bytes = look->bytes;
	assert_int_equal(ring_setup(&look->copy.ring, look->bytes, RING_ABI_X86_64, 0), 0);
	return &look->copy;
}

/* req_prod, req_event, rsp_prod, rsp_event */
struct row {
	struct ring_indices was, now;
	enum verdict verdict;
	uint32_t outstanding;
	const char *text; /* part of it */
};

static void check_rows(const struct row *rows, size_t count, bool two)
{
	for (size_t i = 0; i < count; i++) {
		struct look a, b;
		struct verdict_facts facts;
		struct ring_copy *was = look(&a, rows[i].was, SECOND_NS);
		struct ring_copy *now = look(&b, rows[i].now, 2 * SECOND_NS);

		verdict_of(two ? was : NULL, now, &facts);
		if (facts.verdict != rows[i].verdict || facts.outstanding != rows[i].outstanding ||
		    !strstr(facts.text, rows[i].text))
			fail_msg("row %zu: %s, %u outstanding: '%s'", i,
				 verdict_name(facts.verdict), facts.outstanding, facts.text);
	}
}

static void one_look(void **state)
{
	static const struct row rows[] = {
		{.now = {0, 1, 0, 1}, VERDICT_IDLE, 0, "nothing outstanding"},
		{.now = {7, 8, 7, 8}, VERDICT_IDLE, 0, "nothing outstanding"},
		{.now = {7, 8, 7, 6}, VERDICT_IDLE, 0, "2 responses not taken"},
		{.now = {7, 8, 7, 7}, VERDICT_IDLE, 0, "1 response not taken"},
		{.now = {8, 8, 7, 8}, VERDICT_BUSY, 1, "1 request outstanding"},
		{.now = {39, 8, 7, 8}, VERDICT_BUSY, 32, "32 requests outstanding"},
		{.now = {40, 8, 7, 8}, VERDICT_BROKEN, 0, "33 ahead of rsp_prod 7"},
		{.now = {7, 8, 8, 9}, VERDICT_BROKEN, 0, "rsp_prod 8 is 1 ahead of req_prod 7"},
		{.now = {0, 0, 1u << 31, 0}, VERDICT_BROKEN, 0, "more was answered than asked"},
		/* Indices wrap. */
		{.now = {5, 6, UINT32_MAX - 10, 6}, VERDICT_BUSY, 16, "16 requests outstanding"},
		{.now = {UINT32_MAX, 0, 0, 1}, VERDICT_BROKEN, 0, "is 1 ahead"},
		/* A frontend that never says up to where it has taken. */
		{.now = {900, 901, 900, 1}, VERDICT_IDLE, 0, "nothing outstanding"},
	};

	check_rows(rows, ARRAY_SIZE(rows), false);
}

static void two_looks(void **state)
{
	static const struct row rows[] = {
		{{7, 8, 7, 8}, {7, 8, 7, 8}, VERDICT_IDLE, 0, "nothing outstanding"},
		{{9, 8, 7, 8}, {9, 8, 7, 8}, VERDICT_BACKEND_STUCK, 2, "none answered in 1.0 s"},
		/* The guest asks for more, the backend still answers nothing. */
		{{9, 8, 7, 8}, {12, 8, 7, 8}, VERDICT_BACKEND_STUCK, 5, "5 requests"},
		{{7, 8, 7, 8}, {9, 8, 7, 8}, VERDICT_MOVING, 2, "2 requests and 0 responses"},
		{{9, 8, 7, 8}, {9, 8, 8, 8}, VERDICT_MOVING, 1, "0 requests and 1 response in"},
		{{9, 8, 7, 8}, {9, 8, 9, 8}, VERDICT_MOVING, 0, "0 outstanding"},
		{{7, 8, 7, 6}, {7, 8, 7, 6}, VERDICT_FRONTEND_STUCK, 0, "2 responses that"},
		/* It took some and asked for the next in between. */
		{{7, 8, 7, 6}, {7, 8, 7, 7}, VERDICT_IDLE, 0, "1 response not taken"},
		{{7, 8, 7, 6}, {7, 8, 7, 8}, VERDICT_IDLE, 0, "nothing outstanding"},
		{{9, 8, 7, 8}, {1, 2, 1, 2}, VERDICT_MOVING, 0, "began anew"},
		{{9, 8, 7, 8}, {99, 8, 7, 8}, VERDICT_BROKEN, 0, "92 ahead"},
		{{99, 8, 7, 8}, {9, 8, 7, 8}, VERDICT_MOVING, 2, "began anew"},
		{{UINT32_MAX, 0, UINT32_MAX, 0},
		 {3, 0, 1, 0},
		 VERDICT_MOVING,
		 2,
		 "4 requests and 2"},
	};

	check_rows(rows, ARRAY_SIZE(rows), true);
}

static void private_indices(void **state)
{
	struct look a;
	struct verdict_facts facts;
	struct ring_copy *now = look(&a, (struct ring_indices){9, 8, 5, 6}, SECOND_NS);

	now->has_private = true;
	now->req_cons = 6;
	now->oldest_age_ns = 3 * SECOND_NS;
	verdict_of(NULL, now, &facts);
	assert_true(facts.knows_unfetched);
	assert_int_equal(facts.unfetched, 3);
	assert_string_equal(facts.text,
			    "4 requests outstanding, 3 of them not fetched, the oldest for 3.0 s");
	now->req_cons = 4; /* behind what was answered: a file may say so */
	verdict_of(NULL, now, &facts);
	assert_false(facts.knows_unfetched);
}

static void stopped(void **state)
{
	struct look a;
	struct verdict_facts facts;
	struct ring_copy *now = look(&a, (struct ring_indices){9, 8, 5, 6}, SECOND_NS);

	now->stopped = EPROTO;
	verdict_of(NULL, now, &facts);
	assert_int_equal(facts.verdict, VERDICT_STOPPED);
	assert_int_equal(facts.outstanding, 4);
	assert_non_null(strstr(facts.text, "indices were impossible"));
	verdict_of(now, now, &facts); /* not a stuck backend */
	assert_int_equal(facts.verdict, VERDICT_STOPPED);
	now->stopped = EIO;
	verdict_of(NULL, now, &facts);
	assert_non_null(strstr(facts.text, "event channel failed (Input/output error)"));
	now = look(&a, (struct ring_indices){99, 8, 5, 6}, SECOND_NS);
	now->stopped = EPROTO;
	verdict_of(NULL, now, &facts);
	assert_int_equal(facts.verdict, VERDICT_BROKEN);
	assert_non_null(strstr(facts.text, "; the server stopped it"));
}

static void names(void **state)
{
	assert_string_equal(verdict_name(VERDICT_BACKEND_STUCK), "backend-stuck");
	assert_string_equal(verdict_name(VERDICT_BROKEN), "broken");
	assert_false(verdict_is_bad(VERDICT_IDLE));
	assert_false(verdict_is_bad(VERDICT_BUSY));
	assert_false(verdict_is_bad(VERDICT_MOVING));
	assert_true(verdict_is_bad(VERDICT_BACKEND_STUCK));
	assert_true(verdict_is_bad(VERDICT_FRONTEND_STUCK));
	assert_true(verdict_is_bad(VERDICT_BROKEN));
	assert_string_equal(verdict_name(VERDICT_STOPPED), "ring-stopped");
	assert_true(verdict_is_bad(VERDICT_STOPPED));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_look),	   cmocka_unit_test(two_looks),
		cmocka_unit_test(private_indices), cmocka_unit_test(stopped),
		cmocka_unit_test(names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
