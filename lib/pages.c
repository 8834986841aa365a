/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdlib.h>

#include "pages-inner.h"
#include "xenquiet.h"

int pages_open(struct pages **out, enum pages_mode mode, uint32_t domid, unsigned slots,
	       unsigned max_segments, struct pages_counters *counters)
{
	struct pages *pages;
	int ret;

	if (!slots || !max_segments)
		return -EINVAL;
	pages = calloc(1, sizeof(*pages));
	if (!pages)
		return -ENOMEM;
	*pages = (struct pages){
		.mode = mode,
		.domid = domid,
		.slots = slots,
		.max_segments = max_segments,
		.counters = counters,
	};
	pages->gnttab = xengnttab_open(xenquiet(), 0);
	if (!pages->gnttab) {
		ret = -errno;
		goto free_pages;
	}
	ret = pages_indirect_open(pages);
	if (ret)
		goto close_gnttab;
	ret = mode == PAGES_MAP ? pages_map_open(pages) : pages_copy_open(pages);
	if (ret)
		goto close_indirect;
	*out = pages;
	return 0;

close_indirect:
	pages_indirect_close(pages);
close_gnttab:
	xengnttab_close(pages->gnttab);
free_pages:
	free(pages);
	return ret;
}

unsigned pages_close(struct pages *pages)
{
	unsigned mapped = 0;

	if (!pages)
		return 0;
	if (pages->mode == PAGES_MAP)
		mapped = pages_map_close(pages);
	else
		pages_copy_close(pages);
	pages_indirect_close(pages);
	xengnttab_close(pages->gnttab);
	free(pages);
	return mapped;
}

void pages_acquire(struct pages *pages, struct pages_use **uses, unsigned n)
{
	if (pages->mode == PAGES_MAP)
		pages_map_acquire(pages, uses, n);
	else
		pages_copy_acquire(pages, uses, n);
}

unsigned pages_release(struct pages *pages, struct pages_use **uses, unsigned n,
		       struct pages_use **clear)
{
	if (pages->mode == PAGES_MAP)
		return pages_map_release(pages, uses, n, clear);
	return pages_copy_release(pages, uses, n, clear);
}
