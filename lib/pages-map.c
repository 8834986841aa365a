/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "pages-inner.h"

int pages_map_open(struct pages *pages)
{
	size_t most_pages = (size_t)pages->slots * pages->max_segments;

	/* Kernels that still have a limit per handle start with a low one; for others it is no
	 * error. */
	if (xengnttab_set_max_grants(pages->gnttab, (uint32_t)most_pages))
		return -errno;
	pages->refs = calloc(most_pages, sizeof(*pages->refs));
	pages->mappings = calloc(pages->slots, sizeof(*pages->mappings));
	if (!pages->refs || !pages->mappings) {
		free(pages->refs);
		free(pages->mappings);
		return -ENOMEM;
	}
	for (unsigned i = 0; i < pages->slots; i++) {
		pages->mappings[i].next = pages->free;
		pages->free = &pages->mappings[i];
	}
	return 0;
}

/* An unmap fails for a range that was not mapped so: our own fault, which pages_close() shows. */
static int unmap(struct pages *pages, struct pages_mapping *mapping)
{
	pages->counters->unmap_calls++;
	if (xengnttab_unmap(pages->gnttab, mapping->base, mapping->count_pages))
		return -errno;
	pages->counters->pages_unmapped += mapping->count_pages;
	mapping->count_pages = 0;
	mapping->next = pages->free;
	pages->free = mapping;
	return 0;
}

unsigned pages_map_close(struct pages *pages)
{
	unsigned mapped = 0;

	for (unsigned i = 0; i < pages->slots; i++) {
		mapped += pages->mappings[i].count_pages;
		if (pages->mappings[i].count_pages)
			unmap(pages, &pages->mappings[i]);
	}
	free(pages->refs);
	free(pages->mappings);
	return mapped;
}

/* Where the segments of @use are, its pages being mapped from @page on. */
static void point_at(struct pages_use *use, uint8_t *page)
{
	const struct request_segment *segments = request_segments(use->request);

	use->iovcnt = 0;
	for (unsigned i = 0; i < request_count(use->request); i++, page += PAGE_BYTES)
		pages_point_at(use, &segments[i], page);
}

/*
 * Map the pages of those of @uses that go in one direction, in one call. True when there was
 * nothing to do or it worked.
 */
static bool map_direction(struct pages *pages, struct pages_use **uses, unsigned n, bool fills)
{
	struct pages_mapping *mapping = pages->free;
	unsigned count_pages = 0;
	uint8_t *page;

	for (unsigned i = 0; i < n; i++) {
		const struct request *request = uses[i]->request;

		if (request_fills_guest(request) != fills)
			continue;
		for (unsigned s = 0; s < request_count(request); s++)
			pages->refs[count_pages++] = request_segments(request)[s].gref;
	}
	if (!count_pages)
		return true;
	if (!mapping) /* only when unmaps failed before: their records are not free */
		return false;
	pages->counters->map_calls++;
	page = xengnttab_map_domain_grant_refs(pages->gnttab, count_pages, pages->domid,
					       pages->refs,
					       fills ? PROT_READ | PROT_WRITE : PROT_READ);
	if (!page)
		return false;
	pages->counters->pages_mapped += count_pages;
	pages->free = mapping->next;
	*mapping = (struct pages_mapping){.base = page, .count_pages = count_pages};
	for (unsigned i = 0; i < n; i++) {
		if (request_fills_guest(uses[i]->request) != fills)
			continue;
		point_at(uses[i], page);
		page += (size_t)request_count(uses[i]->request) * PAGE_BYTES;
		uses[i]->mapping = mapping;
		uses[i]->status = 0;
		mapping->busy++;
	}
	return true;
}

void pages_map_acquire(struct pages *pages, struct pages_use **uses, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		uses[i]->status = -EFAULT;
		uses[i]->iovcnt = 0;
		uses[i]->mapping = NULL;
	}
	for (int fills = 0; fills < 2; fills++) {
		if (map_direction(pages, uses, n, fills) || n == 1)
			continue;
		/* One bad grant fails the call for all (protocol.md 8): find whose it is. */
		for (unsigned i = 0; i < n; i++)
			map_direction(pages, &uses[i], 1, fills);
	}
}

unsigned pages_map_release(struct pages *pages, struct pages_use **uses, unsigned n,
			   struct pages_use **clear)
{
	unsigned count = 0;

	for (unsigned i = 0; i < n; i++) {
		struct pages_mapping *mapping = uses[i]->mapping;

		uses[i]->next = mapping->finished;
		mapping->finished = uses[i];
		if (--mapping->busy)
			continue;
		/* Answered even if that fails: a request without an answer hangs its guest. */
		unmap(pages, mapping);
		for (struct pages_use *use = mapping->finished; use; use = use->next) {
			use->mapping = NULL;
			clear[count++] = use;
		}
	}
	return count;
}
