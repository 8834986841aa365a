/* SPDX-License-Identifier: MIT */
/* Calls that fail for no fault of a guest's. The order of the tests matters: calls are counted. */
#include <errno.h>
#include "arena.h"
#include "guest.h"

#include "num.h"
#include "pages.h"

#define SLOTS 3u

static struct pages_counters counters;
static struct guest guest;
static struct request request[SLOTS];
static struct iovec iov[SLOTS];
static struct pages_use use[SLOTS], *uses[SLOTS], *clear[SLOTS];

static void ask(uint8_t operation)
{
	for (unsigned n = 0; n < SLOTS; n++) {
		request[n] = (struct request){.operation = operation, .nr_segments = 1};
		request[n].segment[0] = (struct request_segment){guest.gref[n], 0, 7};
		use[n] = (struct pages_use){.slot = n, .request = &request[n], .iov = &iov[n]};
		uses[n] = &use[n];
	}
}

static struct pages *arena(enum pages_mode mode)
{
	struct pages *pages;

	memset(&counters, 0, sizeof(counters));
	assert_int_equal(open_pages(&pages, mode, SLOTS, 1, &counters), 0);
	return pages;
}

static void opening_fails(void **state)
{
	struct pages *pages;

	assert_int_equal(open_pages(&pages, PAGES_MAP, SLOTS, 1, &counters), -EACCES);
	assert_int_equal(open_pages(&pages, PAGES_MAP, SLOTS, 1, &counters), -EPERM);
}

/* The call for all fails, then the one for the second request. */
static void a_map_call_fails(void **state)
{
	struct pages *pages = arena(PAGES_MAP);

	ask(REQUEST_READ);
	pages_acquire(pages, uses, SLOTS);
	assert_int_equal(counters.map_calls, 4);
	assert_int_equal(use[0].status, 0);
	assert_int_equal(use[1].status, -EFAULT);
	assert_int_equal(use[2].status, 0);
	uses[1] = &use[2];
	assert_int_equal(pages_release(pages, uses, 2, clear), 2);
	assert_int_equal(pages_close(pages), 0);
	assert_int_equal(counters.pages_mapped, counters.pages_unmapped);
}

/* Answered all the same; what is still mapped is told at the close, and unmapped. */
static void an_unmap_fails(void **state)
{
	struct pages *pages = arena(PAGES_MAP);

	ask(REQUEST_READ);
	pages_acquire(pages, uses, SLOTS);
	assert_int_equal(pages_release(pages, uses, SLOTS, clear), SLOTS);
	assert_int_equal(guest_revoke(&guest, 0), -1);
	assert_int_equal(pages_close(pages), SLOTS);
	assert_int_equal(guest_revoke(&guest, 0), 0);
	guest.gref[0] = guest.gref[guest_grant(&guest, 0, true)];
}

static void a_copy_in_fails(void **state)
{
	struct pages *pages = arena(PAGES_COPY);

	ask(REQUEST_WRITE);
	pages_acquire(pages, uses, SLOTS);
	assert_int_equal(counters.copy_calls, 4);
	assert_int_equal(counters.pages_copied, 2);
	assert_int_equal(use[0].status, 0);
	assert_int_equal(use[1].status, -EFAULT);
	assert_int_equal(use[2].status, 0);
	uses[1] = &use[2];
	assert_int_equal(pages_release(pages, uses, 2, clear), 2);
	assert_int_equal(pages_close(pages), 0);
}

static void a_copy_out_fails(void **state)
{
	struct pages *pages = arena(PAGES_COPY);

	ask(REQUEST_READ);
	pages_acquire(pages, uses, SLOTS);
	use[0].status = -EIO;
	memset(guest.page[2], 0, GUEST_PAGE);
	memset(iov[2].iov_base, 0xee, GUEST_PAGE);
	assert_int_equal(pages_release(pages, uses, SLOTS, clear), SLOTS);
	assert_int_equal(counters.copy_calls, 3); /* the one that failed anyway is not tried */
	assert_int_equal(use[0].status, -EIO);
	assert_int_equal(use[1].status, -EFAULT);
	assert_int_equal(use[2].status, 0);
	assert_int_equal(guest.page[2][0], 0xee);
	assert_int_equal(pages_close(pages), 0);
}

/* Where there is one request, the call for all was the call for it. */
static void one_is_tried_once(void **state)
{
	struct pages *pages = arena(PAGES_COPY);

	ask(REQUEST_WRITE);
	pages_acquire(pages, uses, 1);
	assert_int_equal(counters.copy_calls, 1);
	assert_int_equal(use[0].status, -EFAULT);
	assert_int_equal(pages_close(pages), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(opening_fails),    cmocka_unit_test(a_map_call_fails),
		cmocka_unit_test(an_unmap_fails),   cmocka_unit_test(a_copy_in_fails),
		cmocka_unit_test(a_copy_out_fails), cmocka_unit_test(one_is_tried_once),
	};
	int failed;

	setenv("TAP_SIM_FAIL",
	       "xengnttab_open:1:EACCES,xengnttab_set_max_grants:1:EPERM,"
	       "xengnttab_map_domain_grant_refs:1,xengnttab_map_domain_grant_refs:3,"
	       "xengnttab_unmap:3,xengnttab_grant_copy:1,xengnttab_grant_copy:3,"
	       "xengnttab_grant_copy:5,xengnttab_grant_copy:6,xengnttab_grant_copy:8",
	       1);
	guest_begin(&guest, SLOTS);
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	guest_end(&guest);
	return failed;
}
