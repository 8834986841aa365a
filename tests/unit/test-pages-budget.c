/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "pages-budget.h"

static unsigned take_all(void)
{
	unsigned n = 0;

	while (pages_budget_take())
		n++;
	return n;
}

/* What is refused costs nothing, what is returned can be taken again. */
static void half_of_what_the_kernel_allows(void **state)
{
	FILE *file = fopen("/proc/sys/vm/max_map_count", "re");
	unsigned allowed, n = take_all();

	assert_non_null(file);
	assert_int_equal(fscanf(file, "%9u", &allowed), 1);
	fclose(file);
	assert_int_equal(n, allowed / 2);
	assert_int_equal(take_all(), 0);
	pages_budget_return();
	pages_budget_return();
	assert_int_equal(take_all(), 2);
	while (n--)
		pages_budget_return();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(half_of_what_the_kernel_allows),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
