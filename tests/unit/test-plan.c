/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "plan.h"

static char *printed(const struct plan *plan, int *ret)
{
	char *text = NULL;
	size_t bytes;
	FILE *to = open_memstream(&text, &bytes);

	assert_non_null(to);
	*ret = plan_print(plan, to);
	fclose(to);
	return text;
}

static void steps_are_printed_in_order(void **state)
{
	struct plan *plan = calloc(1, sizeof(*plan));
	char *text;
	int ret;

	assert_non_null(plan);
	plan_make(plan, "/a/b");
	plan_permit(plan, "/a/b", 1, 0);
	plan_write(plan, "/a/b", "c", "%d%%", 5);
	plan_remove(plan, "/x/y/z", "/x");
	text = printed(plan, &ret);
	assert_int_equal(ret, 0);
	assert_string_equal(text, "make /a/b\n"
				  "permit /a/b owner 1, reader 0\n"
				  "write /a/b/c = 5%\n"
				  "remove /x/y/z\n");
	free(text);
	free(plan);
}

/* A plan that is not whole does nothing and prints nothing. */
static void assert_fails(const struct plan *plan, int expected)
{
	char *text;
	int ret;

	text = printed(plan, &ret);
	assert_int_equal(ret, expected);
	assert_string_equal(text, "");
	assert_int_equal(plan_apply(plan, NULL, XBT_NULL), expected);
	free(text);
}

static void what_does_not_fit_is_kept_as_a_failure(void **state)
{
	struct plan *plan = calloc(1, sizeof(*plan));
	char text[STORE_VALUE_MAX + 1];

	assert_non_null(plan);
	memset(text, 'v', STORE_VALUE_MAX);
	text[STORE_VALUE_MAX] = '\0';
	plan_write(plan, "/a", "b", "%s", text);
	plan_write(plan, "/a", "c", "fits");
	assert_fails(plan, -EMSGSIZE);
	*plan = (struct plan){0};
	plan_make(plan, text);
	assert_fails(plan, -ENAMETOOLONG);
	*plan = (struct plan){0};
	for (unsigned i = 0; i <= PLAN_STEPS_MAX; i++)
		plan_make(plan, "/a");
	assert_fails(plan, -ENOSPC);
	free(plan);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(steps_are_printed_in_order),
		cmocka_unit_test(what_does_not_fit_is_kept_as_a_failure),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
