/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>

#include "xenbus.h"

static void states_have_names_and_numbers(void **state)
{
	assert_string_equal(xenbus_state_text(XENBUS_INITWAIT), "InitWait(2)");
	assert_string_equal(xenbus_state_text(XENBUS_RECONFIGURED), "Reconfigured(8)");
	assert_string_equal(xenbus_state_text(XENBUS_GONE), "none");
	assert_string_equal(xenbus_state_text(XENBUS_INVALID), "invalid");
	assert_string_equal(xenbus_state_text((enum xenbus_state)9), "invalid");
}

static void error_nodes_are_beside_the_ends(void **state)
{
	char path[STORE_PATH_MAX];

	assert_int_equal(xenbus_error_path("/local/domain/0/backend/tap/1/51712", path), 0);
	assert_string_equal(path, "/local/domain/0/error/backend/tap/1/51712");
	assert_int_equal(xenbus_error_path("/local/domain/1/device/vbd/51712", path), 0);
	assert_string_equal(path, "/local/domain/1/error/device/vbd/51712");
	assert_int_equal(xenbus_error_path("/local/domain", path), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(states_have_names_and_numbers),
		cmocka_unit_test(error_nodes_are_beside_the_ends),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
