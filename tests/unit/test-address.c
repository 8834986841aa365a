/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "address.h"
#include "num.h"

/* The examples of xen-vbd-interface(7) are among these. */
static void names_and_numbers(void **state)
{
	static const struct {
		const char *name;
		uint32_t vdev;
	} rows[] = {
		{"xvda", 51712},
		{"xvda1", 51713},
		{"xvdb", 51728},
		{"xvdp15", 51967},
		{"xvdq", 1u << 28 | 16 << 8},
		{"xvda16", 1u << 28 | 16},
		{"xvdaa", 1u << 28 | 26 << 8},
		{"xvdtq37", 1u << 28 | 536 << 8 | 37},
		{"hda", 768},
		{"hda1", 769},
		{"hdb63", 895},
		{"hdc", 5632},
		{"hdd", 5696},
		{"sda", 2048},
		{"sdb1", 2065},
		{"sdp15", 2303},
		{"xvdbgqcv255", 0x1fffffff},
	};
	char name[ADDRESS_VDEV_MAX];

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		uint32_t vdev = 0;

		if (vdev_parse(rows[i].name, &vdev))
			fail_msg("'%s' is refused", rows[i].name);
		if (vdev != rows[i].vdev)
			fail_msg("'%s' is %u instead of %u", rows[i].name, vdev, rows[i].vdev);
		assert_string_equal(vdev_name(vdev, name), rows[i].name);
	}
}

static void bad_vdevs(void **state)
{
	static const char *const rows[] = {
		"",	      "xvd",	"xvdA",	  "xvda0",    "xvda01",	   "xvda256",
		"xvda-1",     "xvda ",	"xvda1x", "hde",      "hda64",	   "sdq",
		"sda16",      "sd1",	"vda",	  "-1",	      "0x100",	   "536870912",
		"51712x",     "xvd1",	" 51712", "xvdbgqcw", "xvdzzzzzz", "xvdzzzzzzzzzzzzzzzzzz",
		"4294967296", "xvda/1",
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		uint32_t vdev = 77;

		if (vdev_parse(rows[i], &vdev) != -EINVAL || vdev != 77)
			fail_msg("'%s' is taken as %u", rows[i], vdev);
	}
}

/* Whatever vdev_name() says means the same disk when it is typed. */
static void every_name_returns(void **state)
{
	for (uint64_t n = 0; n < 1u << 29; n = n < 1 << 17 ? n + 1 : n + 4093) {
		char name[ADDRESS_VDEV_MAX];
		uint32_t again;

		if (vdev_parse(vdev_name((uint32_t)n, name), &again) || again != n)
			fail_msg("%u has the name %s", (uint32_t)n, name);
	}
}

static void whole_disks(void **state)
{
	char name[ADDRESS_VDEV_MAX];

	assert_string_equal(vdev_name(vdev_xvd(0), name), "xvda");
	assert_string_equal(vdev_name(vdev_xvd(15), name), "xvdp");
	assert_string_equal(vdev_name(vdev_xvd(16), name), "xvdq");
	assert_string_equal(vdev_name(vdev_xvd(26), name), "xvdaa");
	/* The same disk in the extended form is another number. */
	assert_string_equal(vdev_name(1u << 28, name), "268435456");
	assert_string_equal(vdev_name(UINT32_MAX, name), "4294967295");
}

#define NAME_63 "a23456789b123456789c123456789d123456789e123456789f123456789g123"

static void addresses(void **state)
{
	static const struct {
		const char *text, *dom;
		uint32_t vdev;
	} rows[] = {
		{"web1/xvda", "web1", 51712},	   {"7/51728", "7", 51728},
		{"32751/0", "32751", 0},	   {"a.b-c_d:e/hda", "a.b-c_d:e", 768},
		{NAME_63 "/xvda", NAME_63, 51712},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct address address = {0};
		struct err e = {0};

		if (address_parse(rows[i].text, &address, &e))
			fail_msg("'%s': %s", rows[i].text, e.what);
		assert_string_equal(address.dom, rows[i].dom);
		assert_int_equal(address.vdev, rows[i].vdev);
	}
}

static void bad_addresses(void **state)
{
	static const char *const rows[] = {
		"",
		"web1",
		"/xvda",
		"web1/",
		"web1/nope",
		"web1/xvda/x",
		"we b/xvda",
		"w\n/xvda",
		"32752/xvda",
		"99999999999999999999/xvda",
		NAME_63 "4/xvda",
		"\x7f/xvda",
		"/",
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct address address = {.vdev = 77};
		struct err e = {0};

		if (address_parse(rows[i], &address, &e) != -EINVAL)
			fail_msg("'%s' is taken as %s/%u", rows[i], address.dom, address.vdev);
		assert_int_equal(address.vdev, 77);
		assert_int_equal(e.exit, TAP_EXIT_USAGE);
		assert_null(strchr(e.what, '\n'));
		assert_true(e.what[0]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_and_numbers),  cmocka_unit_test(bad_vdevs),
		cmocka_unit_test(every_name_returns), cmocka_unit_test(whole_disks),
		cmocka_unit_test(addresses),	      cmocka_unit_test(bad_addresses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
