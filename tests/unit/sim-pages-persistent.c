/* SPDX-License-Identifier: MIT */
/* Pages that stay mapped: what is kept, what makes room, what is released and when. */
#include <errno.h>
#include <poll.h>
#include "guest.h"

#include "msg.h"
#include "pages.h"

#define SLOTS	 8u
#define SEGMENTS 4u
#define PAGES	 300u /* of the guest */
#define BAD_GREF 0x7ffffff0u
#define LONG_NS	 3600000000000ull

struct bench {
	struct guest guest;
	struct pages *pages;
	struct pages_counters counters;
	struct request request[SLOTS];
	struct iovec iov[SLOTS][SEGMENTS];
	struct pages_use use[SLOTS], *clear[SLOTS];
};

static void open_arena(struct bench *b, unsigned keep_pages, uint64_t idle_ns)
{
	struct pages_setup setup = {.mode = PAGES_PERSISTENT,
				    .domid = 1,
				    .slots = SLOTS,
				    .max_segments = SEGMENTS,
				    .keep_pages = keep_pages,
				    .keep_idle_ns = idle_ns,
				    .counters = &b->counters};

	assert_int_equal(pages_open(&b->pages, &setup), 0);
}

static struct bench *begin(unsigned keep_pages, uint64_t idle_ns)
{
	struct bench *b = calloc(1, sizeof(*b));

	assert_non_null(b);
	guest_begin(&b->guest, PAGES);
	open_arena(b, keep_pages, idle_ns);
	return b;
}

/* The guest's grants end only if nothing is mapped any more. */
static void end(struct bench *b)
{
	assert_int_equal(pages_close(b->pages), 0);
	assert_int_equal(b->counters.persistent_kept, 0);
	assert_int_equal(b->counters.pages_mapped, b->counters.pages_unmapped);
	guest_end(&b->guest);
	free(b);
}

static uint64_t calls(const struct bench *b)
{
	return b->counters.map_calls + b->counters.unmap_calls + b->counters.copy_calls;
}

/* In @slot, a write of @n whole pages from the guest's page @first on. Returns its status. */
static int acquire(struct bench *b, unsigned slot, unsigned first, unsigned n)
{
	struct request *request = &b->request[slot];
	struct pages_use *use = &b->use[slot];

	*request = (struct request){.operation = REQUEST_WRITE, .nr_segments = (uint8_t)n};
	for (unsigned s = 0; s < n; s++)
		request->segment[s] =
			(struct request_segment){b->guest.gref[(first + s) % PAGES], 0, 7};
	*use = (struct pages_use){.slot = slot, .request = request, .iov = b->iov[slot]};
	pages_acquire(b->pages, &use, 1);
	return use->status;
}

static void release(struct bench *b, unsigned slot)
{
	struct pages_use *use = &b->use[slot];

	assert_int_equal(pages_release(b->pages, &use, 1, b->clear), 1);
	assert_ptr_equal(b->clear[0], use);
}

static void use_page(struct bench *b, unsigned page)
{
	assert_int_equal(acquire(b, 0, page, 1), 0);
	release(b, 0);
}

static bool is_mapped(struct bench *b, unsigned page)
{
	if (guest_revoke(&b->guest, page))
		return true;
	/* It was not: grant another one in its place. */
	guest_grant(&b->guest, 0, true);
	b->guest.count--;
	b->guest.page[page] = b->guest.page[b->guest.count];
	b->guest.gref[page] = b->guest.gref[b->guest.count];
	return false;
}

static void known_pages_need_no_call(void **state)
{
	struct bench *b = begin(16, LONG_NS);
	uint64_t before;

	for (unsigned i = 0; i < 8; i++)
		use_page(b, i);
	assert_int_equal(b->counters.persistent_misses, 8);
	assert_int_equal(b->counters.persistent_kept, 8);
	before = calls(b);
	for (unsigned round = 0; round < 100; round++) {
		assert_int_equal(acquire(b, 1, round % 5, 4), 0);
		release(b, 1);
	}
	assert_int_equal(calls(b), before);
	assert_int_equal(b->counters.persistent_hits, 400);
	assert_int_equal(b->counters.persistent_misses, 8);
	assert_int_equal(b->counters.persistent_evicted, 0);
	end(b);
}

/* What the guest writes into a page later on is seen, and what is read into it arrives. */
static void a_kept_page_is_the_guests_own(void **state)
{
	struct bench *b = begin(16, LONG_NS);

	for (uint8_t round = 1; round < 4; round++) {
		memset(b->guest.page[3], round, GUEST_PAGE);
		assert_int_equal(acquire(b, 0, 3, 1), 0);
		assert_int_equal(*(uint8_t *)b->iov[0][0].iov_base, round);
		b->request[0].operation = REQUEST_READ;
		*(uint8_t *)b->iov[0][0].iov_base = 0xe0 + round;
		release(b, 0);
		assert_int_equal(b->guest.page[3][0], 0xe0 + round);
	}
	assert_int_equal(b->counters.map_calls, 1);
	end(b);
}

static void never_more_than_the_bound(void **state)
{
	struct bench *b = begin(4, LONG_NS);

	for (unsigned page = 0; page < PAGES; page++) {
		use_page(b, page);
		assert_true(b->counters.persistent_kept <= 4);
	}
	assert_int_equal(b->counters.persistent_kept, 4);
	end(b);
}

/* One that finds no room is mapped for its request, and no longer; one call for all of them. */
static void over_the_bound_for_one_request(void **state)
{
	struct bench *b = begin(4, LONG_NS);

	assert_int_equal(acquire(b, 0, 0, 4), 0);
	release(b, 0);
	assert_int_equal(acquire(b, 1, 2, 4), 0); /* 2 and 3 are kept, 4 and 5 have no room */
	assert_int_equal(b->counters.map_calls, 4 + 1);
	assert_true(is_mapped(b, 4) && is_mapped(b, 5));
	release(b, 1);
	assert_int_equal(b->counters.unmap_calls, 1);
	assert_int_equal(b->counters.persistent_kept, 4);
	assert_true(is_mapped(b, 2));
	assert_false(is_mapped(b, 4));
	assert_false(is_mapped(b, 5));
	end(b);
}

/* The one that was not used for longest goes first, once it was not used for many lookups. */
static void the_least_recently_used_makes_room(void **state)
{
	struct bench *b = begin(4, LONG_NS);

	use_page(b, 2);
	use_page(b, 0);
	use_page(b, 1);
	use_page(b, 3);
	for (unsigned i = 0; i < 5 * 4; i++)
		use_page(b, i % 2);
	use_page(b, 10);
	assert_false(is_mapped(b, 2));
	assert_true(is_mapped(b, 0) && is_mapped(b, 1) && is_mapped(b, 3) && is_mapped(b, 10));
	use_page(b, 11);
	assert_false(is_mapped(b, 3));
	assert_true(is_mapped(b, 0) && is_mapped(b, 1) && is_mapped(b, 10) && is_mapped(b, 11));
	use_page(b, 12); /* all of them were used of late */
	assert_false(is_mapped(b, 12));
	assert_int_equal(b->counters.persistent_evicted, 2);
	end(b);
}

static void a_page_in_use_stays(void **state)
{
	struct bench *b = begin(4, LONG_NS);

	assert_int_equal(acquire(b, 1, 0, 4), 0);
	release(b, 1);
	assert_int_equal(acquire(b, 1, 0, 4), 0);
	for (unsigned i = 0; i < 40; i++)
		use_page(b, 20 + i % 7);
	for (unsigned page = 0; page < 4; page++)
		assert_true(is_mapped(b, page));
	assert_int_equal(b->counters.persistent_evicted, 0);
	release(b, 1);
	end(b);
}

/* Going round a little more than fits, most of it is found: no newcomer takes the place of all. */
static void a_little_too_much_is_still_mostly_kept(void **state)
{
	struct bench *b = begin(16, LONG_NS);

	for (unsigned i = 0; i < 20 * 50; i++)
		use_page(b, i % 20);
	assert_true(b->counters.persistent_hits > 20 * 50 * 3 / 4);
	end(b);
}

/* A page that two requests use is in use until both are finished. */
static void two_requests_of_one_page(void **state)
{
	struct bench *b = begin(1, LONG_NS);

	assert_int_equal(acquire(b, 0, 7, 1), 0);
	assert_int_equal(acquire(b, 1, 7, 1), 0);
	release(b, 0);
	for (unsigned i = 0; i < 20; i++) {
		assert_int_equal(acquire(b, 2, 8, 1), 0);
		release(b, 2);
	}
	assert_true(is_mapped(b, 7));
	release(b, 1);
	assert_int_equal(b->counters.persistent_kept, 1);
	end(b);
}

static void the_same_page_in_each_segment(void **state)
{
	struct bench *b = begin(16, LONG_NS);

	for (unsigned round = 0; round < 2; round++) {
		struct pages_use *use = &b->use[0];

		assert_int_equal(acquire(b, 0, 5, 4), 0);
		release(b, 0);
		for (unsigned s = 1; s < 4; s++)
			b->request[0].segment[s].gref = b->guest.gref[5];
		pages_acquire(b->pages, &use, 1);
		assert_int_equal(use->status, 0);
		assert_int_equal(use->iovcnt, 4);
		release(b, 0);
	}
	end(b);
}

/* A request that fails gives back what it took; what it shares with others stays theirs. */
static void a_bad_grant_harms_no_other(void **state)
{
	struct bench *b = begin(16, LONG_NS);
	struct pages_use *both[2] = {&b->use[1], &b->use[0]};

	for (unsigned bad = 0; bad < 4; bad++) {
		assert_int_equal(acquire(b, 0, 0, 4), 0);
		release(b, 0);
		b->request[1] = b->request[0];
		b->request[1].segment[bad].gref = BAD_GREF;
		b->use[1] =
			(struct pages_use){.slot = 1, .request = &b->request[1], .iov = b->iov[1]};
		pages_acquire(b->pages, both, 2);
		assert_int_equal(b->use[1].status, -EFAULT);
		assert_int_equal(b->use[0].status, 0);
		release(b, 0);
	}
	assert_int_equal(b->counters.persistent_kept, 4);
	end(b);
}

/* A bad one among those that have no room. */
static void a_bad_grant_over_the_bound(void **state)
{
	struct bench *b = begin(1, LONG_NS);

	use_page(b, 0);
	assert_int_equal(acquire(b, 0, 0, 4), 0);
	release(b, 0);
	b->guest.gref[2] ^= BAD_GREF;
	assert_int_equal(acquire(b, 0, 0, 4), -EFAULT);
	b->guest.gref[2] ^= BAD_GREF;
	assert_int_equal(acquire(b, 0, 0, 4), 0);
	release(b, 0);
	end(b);
}

/* It said persistent: its grants are to be writable, also for what it writes. */
static void read_only_grants_fail(void **state)
{
	struct bench *b = begin(16, LONG_NS);
	unsigned page = guest_grant(&b->guest, 0, false);

	acquire(b, 0, 0, 3);
	release(b, 0);
	b->request[0].segment[1].gref = b->guest.gref[page];
	for (unsigned operation = REQUEST_READ; operation <= REQUEST_WRITE; operation++) {
		struct pages_use *use = &b->use[0];

		b->request[0].operation = (uint8_t)operation;
		pages_acquire(b->pages, &use, 1);
		assert_int_equal(use->status, -EFAULT);
	}
	end(b);
}

/* A guest cannot end a grant that is kept; one that it ended before is bad, and no other one is. */
static void revoked_grants_fail(void **state)
{
	struct bench *b = begin(16, LONG_NS);

	use_page(b, 0);
	assert_int_equal(guest_revoke(&b->guest, 0), -1);
	assert_int_equal(guest_revoke(&b->guest, 1), 0);
	assert_int_equal(acquire(b, 0, 0, 2), -EFAULT);
	use_page(b, 0);
	end(b);
}

/* A guest that shows ever new pages gets few of them kept in one batch. */
static void a_batch_takes_few_new_pages(void **state)
{
	enum { EACH = 75 };
	static struct request_segment segments[4][EACH];
	static struct iovec iov[4][EACH];
	struct bench *b = begin(16, LONG_NS);
	struct pages_use *uses[4];
	struct pages_setup setup = {.mode = PAGES_PERSISTENT,
				    .domid = 1,
				    .slots = SLOTS,
				    .max_segments = EACH,
				    .keep_pages = PAGES_KEEP_DEFAULT,
				    .keep_idle_ns = LONG_NS,
				    .counters = &b->counters};

	assert_int_equal(pages_close(b->pages), 0);
	assert_int_equal(pages_open(&b->pages, &setup), 0);
	for (unsigned n = 0; n < 4; n++) {
		for (unsigned s = 0; s < EACH; s++)
			segments[n][s] =
				(struct request_segment){b->guest.gref[n * EACH + s], 0, 7};
		b->request[n] = (struct request){.operation = REQUEST_INDIRECT,
						 .indirect_operation = REQUEST_WRITE,
						 .indirect_segments = EACH,
						 .indirect = segments[n]};
		b->use[n] = (struct pages_use){.slot = n, .request = &b->request[n], .iov = iov[n]};
		uses[n] = &b->use[n];
	}
	for (unsigned round = 1; round <= 3; round++) {
		uint64_t before = b->counters.map_calls;

		pages_acquire(b->pages, uses, 4);
		assert_true(b->counters.map_calls - before <= 128 + 4);
		for (unsigned n = 0; n < 4; n++)
			assert_int_equal(uses[n]->status, 0);
		assert_int_equal(pages_release(b->pages, uses, 4, b->clear), 4);
		assert_int_equal(b->counters.persistent_kept, round < 3 ? round * 128 : PAGES);
	}
	end(b);
}

static bool idle_within(struct bench *b, int timeout_ms)
{
	struct pollfd fd = {.fd = pages_idle_fd(b->pages), .events = POLLIN};

	assert_true(fd.fd >= 0);
	return poll(&fd, 1, timeout_ms) == 1;
}

static void unused_pages_are_released(void **state)
{
	struct bench *b = begin(16, 1000000);
	uint64_t started_ns = now_ns();

	assert_int_equal(acquire(b, 1, 8, 2), 0); /* in use all the time */
	for (unsigned page = 0; page < 5; page++)
		use_page(b, page);
	while (b->counters.persistent_kept > 2) {
		assert_true(idle_within(b, 10000));
		pages_idle(b->pages);
	}
	assert_true(now_ns() - started_ns >= 1000000);
	assert_int_equal(b->counters.persistent_evicted, 5);
	for (unsigned page = 0; page < 5; page++)
		assert_false(is_mapped(b, page));
	assert_true(is_mapped(b, 8) && is_mapped(b, 9));
	release(b, 1);
	assert_true(idle_within(b, 10000));
	pages_idle(b->pages);
	while (b->counters.persistent_kept) {
		assert_true(idle_within(b, 10000));
		pages_idle(b->pages);
	}
	use_page(b, 0); /* as if it had never been */
	assert_int_equal(b->counters.persistent_kept, 1);
	end(b);
}

/* The timer is set by the oldest page; one used later has its own time. */
static void each_page_has_its_time(void **state)
{
	const uint64_t idle_ns = 200000000;
	struct bench *b = begin(16, idle_ns);
	uint64_t used_ns;

	use_page(b, 0);
	assert_false(idle_within(b, 100));
	used_ns = now_ns();
	use_page(b, 1);
	assert_true(idle_within(b, 10000));
	pages_idle(b->pages);
	/* On a machine too busy to look in time, both are due. */
	if (now_ns() - used_ns < idle_ns) {
		assert_false(is_mapped(b, 0));
		assert_true(is_mapped(b, 1));
	}
	end(b);
}

/* The timer does not go off while all is in use, nor is it set for what failed and is not kept. */
static void nothing_to_release(void **state)
{
	struct bench *b = begin(16, 1000000);

	assert_false(idle_within(b, 5));
	b->guest.gref[0] ^= BAD_GREF;
	assert_int_equal(acquire(b, 0, 0, 1), -EFAULT);
	assert_false(idle_within(b, 5));
	b->guest.gref[0] ^= BAD_GREF;
	assert_int_equal(acquire(b, 0, 0, 2), 0);
	assert_false(idle_within(b, 5));
	release(b, 0);
	assert_true(idle_within(b, 10000));
	end(b);
}

/* Also pages that only a failed request ever took. */
static void what_a_failed_request_took_is_released_too(void **state)
{
	struct bench *b = begin(16, 1000000);

	b->guest.gref[2] ^= BAD_GREF;
	assert_int_equal(acquire(b, 0, 0, 3), -EFAULT);
	b->guest.gref[2] ^= BAD_GREF;
	while (b->counters.persistent_kept) {
		assert_true(idle_within(b, 10000));
		pages_idle(b->pages);
	}
	end(b);
}

static void closing_counts_what_is_in_use_only(void **state)
{
	struct bench *b = begin(4, LONG_NS);

	assert_int_equal(acquire(b, 0, 0, 2), 0);
	release(b, 0);
	assert_int_equal(acquire(b, 1, 1, 4), 0); /* 1 to 3 are kept, and one more */
	assert_int_equal(pages_close(b->pages), 4);
	open_arena(b, 4, LONG_NS);
	end(b);
}

static void impossible_keeps(void **state)
{
	struct pages_counters counters;
	struct pages_setup setup = {.mode = PAGES_PERSISTENT,
				    .domid = 1,
				    .slots = SLOTS,
				    .max_segments = SEGMENTS,
				    .keep_idle_ns = 1,
				    .counters = &counters};
	struct pages *pages;

	assert_int_equal(pages_open(&pages, &setup), -EINVAL);
	setup.keep_pages = PAGES_KEEP_MAX + 1;
	assert_int_equal(pages_open(&pages, &setup), -EINVAL);
	setup.keep_pages = 1;
	setup.keep_idle_ns = 0;
	assert_int_equal(pages_open(&pages, &setup), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(known_pages_need_no_call),
		cmocka_unit_test(a_kept_page_is_the_guests_own),
		cmocka_unit_test(never_more_than_the_bound),
		cmocka_unit_test(over_the_bound_for_one_request),
		cmocka_unit_test(the_least_recently_used_makes_room),
		cmocka_unit_test(a_page_in_use_stays),
		cmocka_unit_test(a_little_too_much_is_still_mostly_kept),
		cmocka_unit_test(two_requests_of_one_page),
		cmocka_unit_test(the_same_page_in_each_segment),
		cmocka_unit_test(a_bad_grant_harms_no_other),
		cmocka_unit_test(a_bad_grant_over_the_bound),
		cmocka_unit_test(read_only_grants_fail),
		cmocka_unit_test(revoked_grants_fail),
		cmocka_unit_test(a_batch_takes_few_new_pages),
		cmocka_unit_test(unused_pages_are_released),
		cmocka_unit_test(each_page_has_its_time),
		cmocka_unit_test(nothing_to_release),
		cmocka_unit_test(what_a_failed_request_took_is_released_too),
		cmocka_unit_test(closing_counts_what_is_in_use_only),
		cmocka_unit_test(impossible_keeps),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
