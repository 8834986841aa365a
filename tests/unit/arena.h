/* SPDX-License-Identifier: MIT */
/* arena - pages_open() for domain 1's grants, in few words. */
#ifndef TAP_TEST_ARENA_H
#define TAP_TEST_ARENA_H

#include "pages.h"

static inline int open_pages(struct pages **out, enum pages_mode mode, unsigned slots,
			     unsigned max_segments, struct pages_counters *counters)
{
	return pages_open(out, &(struct pages_setup){.mode = mode,
						     .domid = 1,
						     .slots = slots,
						     .max_segments = max_segments,
						     .keep_pages = PAGES_KEEP_DEFAULT,
						     .keep_idle_ns = PAGES_KEEP_IDLE_DEFAULT,
						     .counters = counters});
}

#endif
