/* SPDX-License-Identifier: MIT */
/* The pages that hold the segments of indirect requests: copied, never mapped. */
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>

#include "pages-inner.h"

#define SEGMENTS_PER_PAGE (PAGE_BYTES / sizeof(struct request_segment))

int pages_indirect_open(struct pages *pages)
{
	pages->indirect_copies = calloc((size_t)pages->slots * REQUEST_INDIRECT_PAGES,
					sizeof(*pages->indirect_copies));
	return pages->indirect_copies ? 0 : -ENOMEM;
}

void pages_indirect_close(struct pages *pages)
{
	free(pages->indirect_copies);
}

static unsigned describe(const struct pages *pages, const struct pages_indirect *fetch,
			 xengnttab_grant_copy_segment_t *copies)
{
	unsigned left = fetch->request->indirect_segments;
	unsigned n = request_indirect_pages(fetch->request);
	struct request_segment *into = fetch->into;

	for (unsigned i = 0; i < n; i++) {
		unsigned here = left < SEGMENTS_PER_PAGE ? left : SEGMENTS_PER_PAGE;

		copies[i] = (xengnttab_grant_copy_segment_t){
			.source.foreign = {.ref = fetch->request->indirect_gref[i],
					   .domid = (uint16_t)pages->domid},
			.dest.virt = into,
			.len = (uint16_t)(here * sizeof(*into)),
			.flags = GNTCOPY_source_gref,
			.status = GNTST_general_error,
		};
		into += here;
		left -= here;
	}
	return n;
}

/* In one call; false when it failed as a whole. */
static bool fetch_all(struct pages *pages, struct pages_indirect *fetches, unsigned n)
{
	xengnttab_grant_copy_segment_t *copy = pages->indirect_copies;
	unsigned count = 0;

	for (unsigned i = 0; i < n; i++)
		count += describe(pages, &fetches[i], copy + count);
	pages->counters->copy_calls++;
	if (xengnttab_grant_copy(pages->gnttab, count, copy))
		return false;
	for (unsigned i = 0; i < n; i++) {
		fetches[i].status = 0;
		for (unsigned p = request_indirect_pages(fetches[i].request); p; p--, copy++) {
			if (copy->status != GNTST_okay)
				fetches[i].status = -EFAULT;
		}
	}
	return true;
}

void pages_fetch_indirect(struct pages *pages, struct pages_indirect *fetches, unsigned n)
{
	if (!n || fetch_all(pages, fetches, n))
		return;
	for (unsigned i = 0; i < n; i++) {
		if (n == 1 || !fetch_all(pages, &fetches[i], 1))
			fetches[i].status = -EFAULT;
	}
}
