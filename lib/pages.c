/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdlib.h>

#include "pages-inner.h"
#include "xenquiet.h"

const char *pages_mode_name(enum pages_mode mode)
{
	static const char *const names[] = {
		[PAGES_MAP] = "map",
		[PAGES_COPY] = "copy",
		[PAGES_PERSISTENT] = "persistent",
	};

	return names[mode];
}

static int open_mode(struct pages *pages, const struct pages_setup *setup)
{
	switch (setup->mode) {
	case PAGES_MAP:
		return pages_map_open(pages);
	case PAGES_COPY:
		return pages_copy_open(pages);
	case PAGES_PERSISTENT:
		return pages_persistent_open(pages, setup);
	}
	return -EINVAL;
}

int pages_open(struct pages **out, const struct pages_setup *setup)
{
	struct pages *pages;
	int ret;

	if (!setup->slots || !setup->max_segments)
		return -EINVAL;
	pages = calloc(1, sizeof(*pages));
	if (!pages)
		return -ENOMEM;
	*pages = (struct pages){
		.mode = setup->mode,
		.domid = setup->domid,
		.slots = setup->slots,
		.max_segments = setup->max_segments,
		.counters = setup->counters,
	};
	pages->gnttab = xengnttab_open(xenquiet(), 0);
	if (!pages->gnttab) {
		ret = -errno;
		goto free_pages;
	}
	ret = pages_indirect_open(pages);
	if (ret)
		goto close_gnttab;
	ret = open_mode(pages, setup);
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
	switch (pages->mode) {
	case PAGES_MAP:
		mapped = pages_map_close(pages);
		break;
	case PAGES_COPY:
		pages_copy_close(pages);
		break;
	case PAGES_PERSISTENT:
		mapped = pages_persistent_close(pages);
		break;
	}
	pages_indirect_close(pages);
	xengnttab_close(pages->gnttab);
	free(pages);
	return mapped;
}

void pages_acquire(struct pages *pages, struct pages_use **uses, unsigned n)
{
	switch (pages->mode) {
	case PAGES_MAP:
		pages_map_acquire(pages, uses, n);
		break;
	case PAGES_COPY:
		pages_copy_acquire(pages, uses, n);
		break;
	case PAGES_PERSISTENT:
		pages_persistent_acquire(pages, uses, n);
		break;
	}
}

unsigned pages_release(struct pages *pages, struct pages_use **uses, unsigned n,
		       struct pages_use **clear)
{
	switch (pages->mode) {
	case PAGES_MAP:
		return pages_map_release(pages, uses, n, clear);
	case PAGES_COPY:
		return pages_copy_release(pages, uses, n, clear);
	case PAGES_PERSISTENT:
		return pages_persistent_release(pages, uses, n, clear);
	}
	return 0;
}

void pages_point_at(struct pages_use *use, const struct request_segment *segment, uint8_t *page)
{
	uint8_t *at = page + segment->first_sect * SECTOR_BYTES;
	struct iovec *last = use->iovcnt ? &use->iov[use->iovcnt - 1] : NULL;

	if (last && (uint8_t *)last->iov_base + last->iov_len == at)
		last->iov_len += segment_bytes(segment);
	else
		use->iov[use->iovcnt++] = (struct iovec){at, segment_bytes(segment)};
}
