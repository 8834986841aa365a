/* SPDX-License-Identifier: MIT */
/* Kept pages and calls that fail for no fault of a guest's. The order of the tests matters: calls
 * are counted. */
#include <errno.h>
#include "guest.h"

#include "pages.h"

static struct pages_counters counters;
static struct guest guest;
static struct request request;
static struct iovec iov[2];
static struct pages_use use, *uses[] = {&use}, *clear[1];

static int open_keep(struct pages **out, unsigned keep_pages, uint64_t idle_ns)
{
	memset(&counters, 0, sizeof(counters));
	return pages_open(out, &(struct pages_setup){.mode = PAGES_PERSISTENT,
						     .domid = 1,
						     .slots = 1,
						     .max_segments = 2,
						     .keep_pages = keep_pages,
						     .keep_idle_ns = idle_ns,
						     .counters = &counters});
}

static struct pages *keep_of(unsigned keep_pages)
{
	struct pages *pages = NULL;

	assert_int_equal(open_keep(&pages, keep_pages, 3600000000000ull), 0);
	return pages;
}

static int acquire(struct pages *pages, unsigned first, uint8_t n)
{
	request = (struct request){.operation = REQUEST_READ, .nr_segments = n};
	for (unsigned s = 0; s < n; s++)
		request.segment[s] = (struct request_segment){guest.gref[first + s], 0, 7};
	use = (struct pages_use){.request = &request, .iov = iov};
	pages_acquire(pages, uses, 1);
	return use.status;
}

static void use_page(struct pages *pages, unsigned page)
{
	assert_int_equal(acquire(pages, page, 1), 0);
	assert_int_equal(pages_release(pages, uses, 1, clear), 1);
}

static void opening_fails(void **state)
{
	struct pages *pages;

	assert_int_equal(open_keep(&pages, 1, 1), -EPERM);
}

/* The first page is mapped, the second is not: nothing of the request is held. */
static void a_map_call_fails(void **state)
{
	struct pages *pages = keep_of(2);

	assert_int_equal(acquire(pages, 0, 2), -EFAULT);
	assert_int_equal(counters.persistent_kept, 1);
	assert_int_equal(acquire(pages, 0, 2), 0);
	assert_int_equal(pages_release(pages, uses, 1, clear), 1);
	assert_int_equal(counters.persistent_kept, 2);
	assert_int_equal(pages_close(pages), 0);
	assert_int_equal(counters.pages_mapped, counters.pages_unmapped);
}

/* A page that cannot be let go is used no more, told of at the close, and unmapped then. */
static void an_unmap_of_an_old_page_fails(void **state)
{
	struct pages *pages = keep_of(1);

	use_page(pages, 0);
	for (unsigned i = 0; i < 4; i++)
		use_page(pages, 1);
	use_page(pages, 2); /* 0 is to make room */
	assert_int_equal(counters.persistent_kept, 0);
	use_page(pages, 0); /* mapped a second time, for the request alone */
	assert_int_equal(counters.persistent_kept, 0);
	assert_int_equal(guest_revoke(&guest, 0), -1);
	assert_int_equal(pages_close(pages), 1);
	assert_int_equal(counters.pages_mapped, counters.pages_unmapped);
	assert_int_equal(guest_revoke(&guest, 0), 0);
	guest.gref[0] = guest.gref[guest_grant(&guest, 0, true)];
}

/* Answered all the same; what the slot still has mapped is told at the close. */
static void an_unmap_of_a_page_without_room_fails(void **state)
{
	struct pages *pages = keep_of(1);

	use_page(pages, 0);
	use_page(pages, 1);
	assert_int_equal(acquire(pages, 1, 1), -EFAULT); /* the slot's place is taken */
	use_page(pages, 0);
	assert_int_equal(pages_close(pages), 1);
	assert_int_equal(counters.pages_mapped, counters.pages_unmapped);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(opening_fails),
	cmocka_unit_test(a_map_call_fails),
	cmocka_unit_test(an_unmap_of_an_old_page_fails),
	cmocka_unit_test(an_unmap_of_a_page_without_room_fails),
};

int main(void)
{
	int failed;

	setenv("TAP_SIM_FAIL",
	       "xengnttab_set_max_grants:1:EPERM,xengnttab_map_domain_grant_refs:2,"
	       "xengnttab_unmap:7,xengnttab_unmap:11",
	       1);
	guest_begin(&guest, 3);
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	guest_end(&guest);
	return failed;
}
