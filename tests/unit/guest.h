/* SPDX-License-Identifier: MIT */
/*
 * guest - the guest's end of grants, for tests that play both ends in one simulated machine: a
 * handle belongs to the domain that TAP_SIM_DOMID named when it was opened.
 */
#ifndef TAP_TEST_GUEST_H
#define TAP_TEST_GUEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <xengnttab.h>

#include "xenquiet.h"

#define GUEST_PAGES_MAX 512
#define GUEST_PAGE	4096

struct guest {
	xengntshr_handle *gntshr;
	unsigned count;
	uint8_t *page[GUEST_PAGES_MAX]; /* NULL: no longer granted */
	uint32_t gref[GUEST_PAGES_MAX];
};

static inline void enter_domain(const char *domid)
{
	assert_int_equal(setenv("TAP_SIM_DOMID", domid, 1), 0);
}

/* Grant one more page to domain @to. Returns its number. */
static inline unsigned guest_grant(struct guest *guest, uint32_t to, bool writable)
{
	unsigned n = guest->count++;

	assert_true(n < GUEST_PAGES_MAX);
	guest->page[n] = xengntshr_share_pages(guest->gntshr, to, 1, &guest->gref[n], writable);
	assert_non_null(guest->page[n]);
	return n;
}

/* Domain 1 with @count pages granted to domain 0, writable. */
static inline void guest_begin(struct guest *guest, unsigned count)
{
	*guest = (struct guest){0};
	enter_domain("1");
	guest->gntshr = xengntshr_open(xenquiet(), 0);
	enter_domain("0");
	assert_non_null(guest->gntshr);
	while (guest->count < count)
		guest_grant(guest, 0, true);
}

/* End one grant. Fails while somebody has the page mapped. */
static inline int guest_revoke(struct guest *guest, unsigned n)
{
	if (xengntshr_unshare(guest->gntshr, guest->page[n], 1))
		return -1;
	guest->page[n] = NULL;
	return 0;
}

/* End all grants: each must be free of mappings. */
static inline void guest_end(struct guest *guest)
{
	for (unsigned n = 0; n < guest->count; n++) {
		if (guest->page[n])
			assert_int_equal(guest_revoke(guest, n), 0);
	}
	assert_int_equal(xengntshr_close(guest->gntshr), 0);
}

#endif
