/* SPDX-License-Identifier: MIT */
/*
 * Estimates of grants, and the guest's limit as Xen tells it: the hypercalls end at the stand-ins
 * here.
 */
#define __XEN_TOOLS__
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <xen/xen.h>
#include <xen/grant_table.h>
#include <xencall.h>
#include <cmocka.h>

#include "grants.h"
#include "num.h"

static struct {
	bool absent;	/* no Xen here */
	int refuse;	/* an errno for the hypercall */
	int16_t status; /* GNTST_* */
	uint32_t frames, version;
	int open, buffers; /* not yet given back */
} xen;

xencall_handle *xencall_open(struct xentoollog_logger *logger, unsigned flags)
{
	if (xen.absent) {
		errno = ENOENT;
		return NULL;
	}
	xen.open++;
	return (xencall_handle *)&xen;
}

int xencall_close(xencall_handle *handle)
{
	xen.open--;
	return 0;
}

void *xencall_alloc_buffer(xencall_handle *handle, size_t size)
{
	xen.buffers++;
	return malloc(size);
}

void xencall_free_buffer(xencall_handle *handle, void *p)
{
	xen.buffers--;
	free(p);
}

int xencall3(xencall_handle *handle, unsigned op, uint64_t arg1, uint64_t arg2, uint64_t arg3)
{
	struct gnttab_query_size *size = (void *)(uintptr_t)arg2;
	struct gnttab_get_version *version = (void *)(uintptr_t)arg2;

	assert_int_equal(op, __HYPERVISOR_grant_table_op);
	assert_int_equal(arg3, 1);
	if (xen.refuse) {
		errno = xen.refuse;
		return -1;
	}
	if (arg1 == GNTTABOP_get_version) {
		assert_int_equal(version->dom, 7);
		version->version = xen.version;
		return 0;
	}
	assert_int_equal(arg1, GNTTABOP_query_size);
	assert_int_equal(size->dom, 7);
	size->max_nr_frames = xen.frames;
	size->nr_frames = 1;
	size->status = xen.status;
	return 0;
}

static int reset(void **state)
{
	memset(&xen, 0, sizeof(xen));
	xen.frames = 64;
	xen.version = 1;
	return 0;
}

static int check_given_back(void **state)
{
	return xen.open || xen.buffers;
}

static void what_a_disk_may_need(void **state)
{
	static const struct {
		struct grants_caps caps;
		uint64_t usual, most;
	} cases[] = {
		/* 4 queues of a page, 32 slots of 32 segments and a page that lists them */
		{{GRANTS_NO_CAP, GRANTS_NO_CAP, GRANTS_NO_CAP},
		 4 * (1 + 32 * 33),
		 16 * (16 + 512 * 257)},
		{{1, 0, 11}, 1 + 32 * 11, 1 + 32 * 11},
		{{1, 0, 12}, 1 + 32 * 13, 1 + 32 * 13},
		{{1, 0, 1}, 1 + 32 * 11, 1 + 32 * 11},
		{{2, 1, 256}, 2 * (2 + 64 * 257), 2 * (2 + 64 * 257)},
		/* a cap that is given is taken to be used, the others as usual */
		{{16, GRANTS_NO_CAP, GRANTS_NO_CAP}, 16 * (1 + 32 * 33), 16 * (16 + 512 * 257)},
		{{GRANTS_NO_CAP, 4, GRANTS_NO_CAP}, 4 * (16 + 512 * 33), 16 * (16 + 512 * 257)},
		{{GRANTS_NO_CAP, GRANTS_NO_CAP, 256}, 4 * (1 + 32 * 257), 16 * (16 + 512 * 257)},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		if (grants_of(&cases[i].caps, false) != cases[i].usual ||
		    grants_of(&cases[i].caps, true) != cases[i].most)
			fail_msg("case %zu: %llu, at most %llu", i,
				 (unsigned long long)grants_of(&cases[i].caps, false),
				 (unsigned long long)grants_of(&cases[i].caps, true));
	}
}

static void the_limit_is_as_the_guests_table_is(void **state)
{
	assert_int_equal(grants_limit(7), 64 * 512 - 8);
	xen.frames = 256;
	assert_int_equal(grants_limit(7), 256 * 512 - 8);
	xen.version = 2;
	assert_int_equal(grants_limit(7), 256 * 256 - 8);
}

static void a_limit_that_is_not_told(void **state)
{
	xen.absent = true;
	assert_true(grants_limit(7) < 0);
	xen.absent = false;
	xen.refuse = EPERM;
	assert_int_equal(grants_limit(7), -EPERM);
	xen.refuse = 0;
	xen.status = GNTST_bad_domain;
	assert_true(grants_limit(7) < 0);
}

static void scarce_from_three_quarters_on(void **state)
{
	assert_false(grants_are_scarce(&(struct grants_estimate){.total = 300, .limit = 400}));
	assert_true(grants_are_scarce(&(struct grants_estimate){.total = 301, .limit = 400}));
}

#define on_xen(test) cmocka_unit_test_setup_teardown(test, reset, check_given_back)

int main(void)
{
	const struct CMUnitTest tests[] = {
		on_xen(what_a_disk_may_need),
		on_xen(the_limit_is_as_the_guests_table_is),
		on_xen(a_limit_that_is_not_told),
		on_xen(scarce_from_three_quarters_on),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
