/* SPDX-License-Identifier: MIT */
/* Guests in one thread, by a clock that goes on only as the thread works or has nothing to do. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "loop.h"
#include "share.h"

#define US 1000ull
#define MS 1000000ull

/* A guest with one task, which is due again @think_ns after it was done. */
struct guest {
	struct share *share;
	struct loop_task task;
	uint64_t takes_ns, think_ns;
	uint64_t next_ns; /* when it is due again */
	uint64_t served, used_ns, longest_wait_ns, due_ns;
	bool due;
};

static void guest_open(struct shares *shares, struct guest *guest, uint32_t domid,
		       uint64_t takes_ns, uint64_t think_ns)
{
	*guest = (struct guest){.takes_ns = takes_ns, .think_ns = think_ns};
	guest->share = share_get(shares, domid);
	assert_non_null(guest->share);
	guest->task.owner = guest;
}

static void become_due(struct guest *guests, unsigned n, uint64_t at_ns)
{
	for (unsigned i = 0; i < n; i++) {
		if (guests[i].due || guests[i].next_ns > at_ns)
			continue;
		guests[i].due = true;
		guests[i].due_ns = at_ns;
		share_add(guests[i].share, &guests[i].task);
	}
}

static uint64_t work(struct shares *shares, uint64_t at_ns)
{
	struct share *share = shares_next(shares);
	struct guest *guest;

	if (!share)
		return at_ns + US;
	guest = share_take(share)->owner;
	if (guest->longest_wait_ns < at_ns - guest->due_ns)
		guest->longest_wait_ns = at_ns - guest->due_ns;
	at_ns += guest->takes_ns;
	guest->due = false;
	guest->served++;
	guest->used_ns += guest->takes_ns;
	guest->next_ns = at_ns + guest->think_ns;
	/* as the loop does: who comes again at once is in the line before its turn is over */
	become_due(guest, 1, at_ns);
	share_spend(share, guest->takes_ns);
	return at_ns;
}

/* A second of that, after which all is given back. Returns how long nobody had work. */
static uint64_t a_second(struct shares *shares, struct guest *guests, unsigned n)
{
	uint64_t used_ns = 0, at_ns = 0;

	while (at_ns < 1000 * MS) {
		become_due(guests, n, at_ns);
		at_ns = work(shares, at_ns);
	}
	for (unsigned i = 0; i < n; i++) {
		used_ns += guests[i].used_ns;
		if (guests[i].due)
			share_remove(guests[i].share, &guests[i].task);
		share_put(guests[i].share);
	}
	assert_true(LIST_EMPTY(&shares->list));
	assert_null(shares_next(shares));
	return at_ns - used_ns;
}

static void one_that_is_alone_has_all_of_the_time(void **state)
{
	struct shares shares;
	struct guest guest;

	shares_init(&shares);
	guest_open(&shares, &guest, 1, 700 * US, 0);
	assert_int_equal(a_second(&shares, &guest, 1), 0);
}

static void whoever_always_has_work_gets_the_same(void **state)
{
	struct shares shares;
	struct guest guests[3];

	shares_init(&shares);
	guest_open(&shares, &guests[0], 1, 700 * US, 0);
	guest_open(&shares, &guests[1], 2, 30 * US, 0);
	guest_open(&shares, &guests[2], 3, 90 * US, 0);
	assert_int_equal(a_second(&shares, guests, 3), 0);
	for (unsigned i = 0; i < 3; i++)
		assert_in_range(guests[i].used_ns, 330 * MS, 337 * MS);
}

/* However many disks and queues it has. */
static void a_guest_has_one_share(void **state)
{
	struct shares shares;
	struct guest guests[9];

	shares_init(&shares);
	guest_open(&shares, &guests[0], 1, 40 * US, 0);
	for (unsigned i = 1; i < 9; i++)
		guest_open(&shares, &guests[i], 2, 40 * US, 0);
	assert_ptr_equal(guests[1].share, guests[8].share);
	a_second(&shares, guests, 9);
	assert_in_range(guests[0].used_ns, 495 * MS, 505 * MS);
	for (unsigned i = 2; i < 9; i++)
		assert_in_range(guests[i].served, guests[1].served - 1, guests[1].served + 1);
}

/* It waits for one turn of the other, never for more, and the other one has all that it leaves. */
static void who_needs_little_gets_it(void **state)
{
	struct shares shares;
	struct guest guests[2], *heavy = &guests[0], *light = &guests[1];

	shares_init(&shares);
	guest_open(&shares, heavy, 1, 200 * US, 0);
	guest_open(&shares, light, 2, 20 * US, 1000 * US);
	assert_int_equal(a_second(&shares, guests, 2), 0);
	assert_true(light->longest_wait_ns <= 200 * US);
	assert_true(light->served >= 1000 * 1000 / (1000 + 20 + 200));
	assert_in_range(heavy->used_ns, 970 * MS, 1001 * MS);
}

/* A turn that took long is made up for, while the others have work. */
static void a_debt_is_paid(void **state)
{
	struct shares shares;
	struct guest guests[2];

	shares_init(&shares);
	guest_open(&shares, &guests[0], 1, 5 * MS, 0);
	guest_open(&shares, &guests[1], 2, 25 * US, 0);
	a_second(&shares, guests, 2);
	assert_in_range(guests[0].used_ns, 490 * MS, 510 * MS);
	/* but not without end */
	shares_init(&shares);
	guest_open(&shares, &guests[0], 1, 0, 0);
	share_spend(guests[0].share, 60000 * MS);
	assert_int_equal(guests[0].share->left_ns, -SHARE_DEBT_NS);
	share_put(guests[0].share);
}

/* Who comes from a long sleep has no more than the others, not what it did not use. */
static void sleep_is_not_saved(void **state)
{
	struct shares shares;
	struct guest guests[2];

	shares_init(&shares);
	guest_open(&shares, &guests[0], 1, 40 * US, 0);
	guest_open(&shares, &guests[1], 2, 40 * US, 0);
	guests[1].next_ns = 900 * MS;
	a_second(&shares, guests, 2);
	assert_in_range(guests[1].used_ns, 48 * MS, 52 * MS);
}

/* Events for nothing: some at once, then one in a while, over all that come. */
static void useless_events_are_not_asked_for(void **state)
{
	struct shares shares;
	struct share *share;
	uint64_t at_ns = 5000 * MS, until_ns;
	unsigned n = 0;

	shares_init(&shares);
	share = share_get(&shares, 1);
	while (n < 2 * SHARE_EVENT_BURST && !share_event(share, false, at_ns))
		n++;
	assert_int_equal(n, SHARE_EVENT_BURST);
	for (n = 0; at_ns < 6000 * MS; n++) {
		until_ns = share_event(share, false, at_ns);
		assert_true(until_ns > at_ns);
		at_ns = until_ns;
	}
	assert_in_range(n, 990 * MS / SHARE_EVENT_NS, 1001 * MS / SHARE_EVENT_NS);
	/* From many channels at once: the wait has a bound. */
	for (n = 0; n < 10000; n++)
		until_ns = share_event(share, false, at_ns);
	assert_int_equal(until_ns, at_ns + SHARE_EVENT_MOST * SHARE_EVENT_NS);
	share_put(share);
}

/* Of those who work, every other event may be for nothing. */
static void useful_events_make_up_for_others(void **state)
{
	struct shares shares;
	struct share *share;

	shares_init(&shares);
	share = share_get(&shares, 1);
	for (uint64_t at_ns = MS; at_ns < 1000 * MS; at_ns += 20 * US) {
		assert_int_equal(share_event(share, true, at_ns), 0);
		assert_int_equal(share_event(share, false, at_ns), 0);
	}
	share_put(share);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_that_is_alone_has_all_of_the_time),
		cmocka_unit_test(whoever_always_has_work_gets_the_same),
		cmocka_unit_test(a_guest_has_one_share),
		cmocka_unit_test(who_needs_little_gets_it),
		cmocka_unit_test(a_debt_is_paid),
		cmocka_unit_test(sleep_is_not_saved),
		cmocka_unit_test(useless_events_are_not_asked_for),
		cmocka_unit_test(useful_events_make_up_for_others),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
