/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "attach.h"

static void this_process_is_alive(void **state)
{
	char name[48];

	assert_int_equal(waiter_name(name), 0);
	assert_true(waiter_is_alive(name));
}

/* The name of a process is in its stat line, and it may look like the line's end. */
static void a_process_with_an_odd_name_is_alive(void **state)
{
	char name[48];

	assert_int_equal(prctl(PR_SET_NAME, ") 1 2 (x"), 0);
	assert_int_equal(waiter_name(name), 0);
	assert_true(waiter_is_alive(name));
}

static void another_start_time_is_another_process(void **state)
{
	char name[48], other[64];

	assert_int_equal(waiter_name(name), 0);
	snprintf(other, sizeof(other), "%s0", name);
	assert_false(waiter_is_alive(other));
}

static void a_process_that_ended_is_not_alive(void **state)
{
	char name[48] = "";
	int ends[2];
	pid_t child;

	assert_int_equal(pipe(ends), 0);
	child = fork();
	if (!child) {
		if (waiter_name(name) || write(ends[1], name, sizeof(name)) < 0)
			_exit(1);
		_exit(0);
	}
	assert_int_equal(read(ends[0], name, sizeof(name)), sizeof(name));
	assert_int_equal(waitpid(child, NULL, 0), child);
	assert_false(waiter_is_alive(name));
}

static void garbage_is_not_alive(void **state)
{
	static const char *const texts[] = {"",	    ":",   "1",	    "1:",  ":1",
					    "-1:1", "1:x", "1:1 2", "0:0", "99999999999:1"};

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		assert_false(waiter_is_alive(texts[i]));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(this_process_is_alive),
		cmocka_unit_test(a_process_with_an_odd_name_is_alive),
		cmocka_unit_test(another_start_time_is_another_process),
		cmocka_unit_test(a_process_that_ended_is_not_alive),
		cmocka_unit_test(garbage_is_not_alive),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
