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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_for_each_domain),
		cmocka_unit_test(its_disks_share_the_lines),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
