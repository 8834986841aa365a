/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

#include "num.h"

struct row {
	const char *text;
	uint64_t min, max;
	int ret;
	uint64_t value;
};

typedef int parser(const char *text, uint64_t min, uint64_t max, uint64_t *out);

static void check_rows(parser *parse, const struct row *rows, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		uint64_t value = 12345;
		int ret = parse(rows[i].text, rows[i].min, rows[i].max, &value);

		if (ret != rows[i].ret)
			fail_msg("'%s': returned %d instead of %d", rows[i].text, ret, rows[i].ret);
		if (value != (ret ? 12345 : rows[i].value))
			fail_msg("'%s': left %llu", rows[i].text, (unsigned long long)value);
	}
}

static void numbers(void **state)
{
	static const struct row rows[] = {
		{"0", 0, 9, 0, 0},
		{"9", 0, 9, 0, 9},
		{"10", 0, 9, -ERANGE, 0},
		{"1", 2, 9, -ERANGE, 0},
		{"18446744073709551615", 0, UINT64_MAX, 0, UINT64_MAX},
		{"18446744073709551616", 0, UINT64_MAX, -ERANGE, 0},
		{"99999999999999999999999999", 0, UINT64_MAX, -ERANGE, 0},
		{"", 0, 9, -EINVAL, 0},
		{"-1", 0, 9, -EINVAL, 0},
		{"+1", 0, 9, -EINVAL, 0},
		{" 1", 0, 9, -EINVAL, 0},
		{"1 ", 0, 9, -EINVAL, 0},
		{"1\n", 0, 9, -EINVAL, 0},
		{"0x1", 0, 9, -EINVAL, 0},
		{"1e3", 0, 9999, -EINVAL, 0},
	};

	check_rows(num_parse, rows, ARRAY_SIZE(rows));
}

static void bytes_without_nul(void **state)
{
	uint64_t value;

	assert_int_equal(num_parse_bytes("123", 2, 0, 99, &value), 0);
	assert_int_equal(value, 12);
	assert_int_equal(num_parse_bytes("1\0", 2, 0, 99, &value), -EINVAL);
	assert_int_equal(num_parse_bytes("", 0, 0, 99, &value), -EINVAL);
}

static void sizes(void **state)
{
	static const struct row rows[] = {
		{"512", 0, UINT64_MAX, 0, 512},		  {"4K", 0, UINT64_MAX, 0, 4096},
		{"4KiB", 0, UINT64_MAX, 0, 4096},	  {"2M", 0, UINT64_MAX, 0, 2 << 20},
		{"1G", 0, UINT64_MAX, 0, 1 << 30},	  {"3TiB", 0, UINT64_MAX, 0, 3ull << 40},
		{"16777216T", 0, UINT64_MAX, -ERANGE, 0}, {"1K", 2048, 4096, -ERANGE, 0},
		{"K", 0, UINT64_MAX, -EINVAL, 0},	  {"1k", 0, UINT64_MAX, -EINVAL, 0},
		{"1 K", 0, UINT64_MAX, -EINVAL, 0},	  {"1.5K", 0, UINT64_MAX, -EINVAL, 0},
		{"1KB", 0, UINT64_MAX, -EINVAL, 0},	  {"-1K", 0, UINT64_MAX, -EINVAL, 0},
	};

	check_rows(num_parse_size, rows, ARRAY_SIZE(rows));
}

static void times(void **state)
{
	static const struct row rows[] = {
		{"1", 0, UINT64_MAX, 0, 1000000000},	 {"0.5", 0, UINT64_MAX, 0, 500000000},
		{"1.25s", 0, UINT64_MAX, 0, 1250000000}, {"20ms", 0, UINT64_MAX, 0, 20000000},
		{"7us", 0, UINT64_MAX, 0, 7000},	 {"9ns", 0, UINT64_MAX, 0, 9},
		{"1.5m", 0, UINT64_MAX, 0, 90000000000}, {"2h", 0, UINT64_MAX, 0, 7200000000000},
		{"1.9ns", 0, UINT64_MAX, 0, 1},		 {"5124096h", 0, UINT64_MAX, -ERANGE, 0},
		{"0", 1, UINT64_MAX, -ERANGE, 0},	 {"1.", 0, UINT64_MAX, -EINVAL, 0},
		{".5", 0, UINT64_MAX, -EINVAL, 0},	 {"-1", 0, UINT64_MAX, -EINVAL, 0},
		{"1d", 0, UINT64_MAX, -EINVAL, 0},	 {"", 0, UINT64_MAX, -EINVAL, 0},
	};

	check_rows(num_parse_time, rows, ARRAY_SIZE(rows));
}

static void overflow(void **state)
{
	uint64_t value;

	assert_false(add_overflows(UINT64_MAX - 1, 1, &value));
	assert_true(value == UINT64_MAX);
	assert_true(add_overflows(UINT64_MAX, 1, &value));
	assert_false(mul_overflows(1ull << 32, (1ull << 32) - 1, &value));
	assert_true(mul_overflows(1ull << 32, 1ull << 32, &value));
}

static void for_people(void **state)
{
	char buf[16];

	assert_string_equal(num_format_size(0, buf), "0 B");
	assert_string_equal(num_format_size(1023, buf), "1023 B");
	assert_string_equal(num_format_size(1024, buf), "1.0 KiB");
	assert_string_equal(num_format_size((1 << 20) - 1, buf), "1.0 MiB");
	assert_string_equal(num_format_size(3ull << 29, buf), "1.5 GiB");
	assert_string_equal(num_format_size(UINT64_MAX, buf), "16.0 EiB");
	assert_string_equal(num_format_time(999, buf), "999 ns");
	assert_string_equal(num_format_time(1200, buf), "1.2 us");
	assert_string_equal(num_format_time(999999, buf), "1.0 ms");
	assert_string_equal(num_format_time(3400000000, buf), "3.4 s");
	assert_true(strlen(num_format_time(UINT64_MAX, buf)) < 16);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(numbers),  cmocka_unit_test(bytes_without_nul),
		cmocka_unit_test(sizes),    cmocka_unit_test(times),
		cmocka_unit_test(overflow), cmocka_unit_test(for_people),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
