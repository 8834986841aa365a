/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "account.h"

static void one_for_each_domain(void **state)
{
	struct accounts accounts = {0};
	struct account *web1 = account_get(&accounts, 1), *web2 = account_get(&accounts, 2);

	assert_non_null(web1);
	assert_ptr_not_equal(web1, web2);
	assert_ptr_equal(account_get(&accounts, 1), web1);
	assert_ptr_equal(account_get(&accounts, 2), web2);
	for (int i = 0; i < 2; i++) {
		account_put(web1);
		account_put(web2);
	}
	assert_true(LIST_EMPTY(&accounts.list));
	account_put(NULL);
}

static void count_line(void *opaque, enum log_level level, const char *disk, const char *text)
{
	++*(unsigned *)opaque;
}

/* A guest that has many disks may not say more than one that has one (XSA-180). */
static void its_disks_share_the_lines(void **state)
{
	unsigned lines = 0;
	struct log log = {.line = count_line, .opaque = &lines};
	struct accounts accounts = {0};
	struct account *of_xvda = account_get(&accounts, 1), *of_xvdb = account_get(&accounts, 1);
	uint64_t began_ns = now_ns(), windows;

	for (unsigned i = 0; i < 1000; i++) {
		log_guest(&log, &of_xvda->log_limit, "web1/xvda", "again");
		log_guest(&log, &of_xvdb->log_limit, "web1/xvdb", "again");
	}
	windows = 1 + (now_ns() - began_ns) / LOG_LIMIT_WINDOW_NS;
	assert_in_range(lines, LOG_LIMIT_LINES, LOG_LIMIT_LINES * windows);
	account_put(of_xvda);
	account_put(of_xvdb);
}

#define MS 1000000ull

/* Who never stops asking is left with its part of the time. */
static void a_guest_has_a_part_of_the_time(void **state)
{
	struct account account = {0};
	uint64_t at_ns = 5000 * MS, until_ns, spent_ns = 0;

	while (at_ns < 15000 * MS) {
		until_ns = account_rests_until(&account, at_ns);
		if (until_ns) {
			assert_true(until_ns > at_ns);
			at_ns = until_ns;
		}
		account_spend(&account, at_ns, at_ns + 3 * MS);
		at_ns += 3 * MS;
		spent_ns += 3 * MS;
	}
	assert_in_range(spent_ns, 10000 * MS / ACCOUNT_PART,
			10000 * MS / ACCOUNT_PART + ACCOUNT_BURST_NS + 6 * MS);
}

static void who_asks_seldom_does_not_wait(void **state)
{
	struct account account = {0};

	assert_int_equal(account_rests_until(&account, 0), 0);
	for (uint64_t at_ns = MS; at_ns < 15000 * MS; at_ns += 30 * MS) {
		account_spend(&account, at_ns, at_ns + 7 * MS);
		assert_int_equal(account_rests_until(&account, at_ns + 7 * MS), 0);
	}
	/* and what comes all at once is not much */
	account = (struct account){0};
	account_spend(&account, 5000 * MS, 5000 * MS + ACCOUNT_BURST_NS);
	assert_int_equal(account_rests_until(&account, 5000 * MS + ACCOUNT_BURST_NS), 0);
}

static void nobody_waits_for_long(void **state)
{
	struct account account = {0};

	account_spend(&account, MS, 60000 * MS);
	assert_int_equal(account_rests_until(&account, 60000 * MS), 60000 * MS + ACCOUNT_REST_NS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_for_each_domain),
		cmocka_unit_test(its_disks_share_the_lines),
		cmocka_unit_test(a_guest_has_a_part_of_the_time),
		cmocka_unit_test(who_asks_seldom_does_not_wait),
		cmocka_unit_test(nobody_waits_for_long),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
