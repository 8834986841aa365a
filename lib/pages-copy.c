/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "pages-inner.h"

int pages_copy_open(struct pages *pages)
{
	size_t most_pages = (size_t)pages->slots * pages->max_segments;

	pages->copies = calloc(most_pages, sizeof(*pages->copies));
	if (!pages->copies)
		return -ENOMEM;
	pages->arena_bytes = most_pages * PAGE_BYTES;
	pages->arena = mmap(NULL, pages->arena_bytes, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (pages->arena == MAP_FAILED) {
		free(pages->copies);
		return -ENOMEM;
	}
	return 0;
}

void pages_copy_close(struct pages *pages)
{
	munmap(pages->arena, pages->arena_bytes);
	free(pages->copies);
}

static uint8_t *place_of(const struct pages *pages, const struct pages_use *use)
{
	return pages->arena + (size_t)use->slot * pages->max_segments * PAGE_BYTES;
}

/* Does the guest's data of @use have to be moved when @fills is the direction? */
static bool takes_part(const struct pages_use *use, bool fills)
{
	return !use->status && request_fills_guest(use->request) == fills;
}

/* The segments of @use as copies between the guest and its place, where they lie without gaps. */
static unsigned describe(const struct pages *pages, const struct pages_use *use,
			 xengnttab_grant_copy_segment_t *copies)
{
	const struct request_segment *segments = request_segments(use->request);
	bool fills = request_fills_guest(use->request);
	uint8_t *at = place_of(pages, use);

	for (unsigned i = 0; i < request_count(use->request); i++) {
		const struct request_segment *segment = &segments[i];
		xengnttab_grant_copy_segment_t *copy = &copies[i];
		union xengnttab_copy_ptr ours = {.virt = at};
		union xengnttab_copy_ptr theirs = {
			.foreign = {.ref = segment->gref,
				    .offset = (uint16_t)(segment->first_sect * SECTOR_BYTES),
				    .domid = (uint16_t)pages->domid}};

		*copy = (xengnttab_grant_copy_segment_t){
			.source = fills ? ours : theirs,
			.dest = fills ? theirs : ours,
			.len = (uint16_t)segment_bytes(segment),
			.flags = fills ? GNTCOPY_dest_gref : GNTCOPY_source_gref,
			.status = GNTST_general_error,
		};
		at += segment_bytes(segment);
	}
	return request_count(use->request);
}

/* After a call that worked, each segment tells of itself. */
static void judge(struct pages *pages, struct pages_use *use,
		  const xengnttab_grant_copy_segment_t *copies)
{
	for (unsigned i = 0; i < request_count(use->request); i++) {
		if (copies[i].status == GNTST_okay)
			pages->counters->pages_copied++;
		else
			use->status = -EFAULT;
	}
}

/* Copy for those of @uses that take part, in one call. False when the call failed as a whole. */
static bool copy_direction(struct pages *pages, struct pages_use **uses, unsigned n, bool fills)
{
	xengnttab_grant_copy_segment_t *copy = pages->copies;
	unsigned count = 0;

	for (unsigned i = 0; i < n; i++) {
		if (takes_part(uses[i], fills))
			count += describe(pages, uses[i], pages->copies + count);
	}
	if (!count)
		return true;
	pages->counters->copy_calls++;
	if (xengnttab_grant_copy(pages->gnttab, count, pages->copies))
		return false;
	for (unsigned i = 0; i < n; i++) {
		if (!takes_part(uses[i], fills))
			continue;
		judge(pages, uses[i], copy);
		copy += request_count(uses[i]->request);
	}
	return true;
}

/* The same; when the call fails as a whole, each request is tried alone to find whose fault it is.
 */
static void copy_all(struct pages *pages, struct pages_use **uses, unsigned n, bool fills)
{
	if (copy_direction(pages, uses, n, fills))
		return;
	for (unsigned i = 0; i < n; i++) {
		if (n == 1 || !copy_direction(pages, &uses[i], 1, fills))
			uses[i]->status = -EFAULT;
	}
}

void pages_copy_acquire(struct pages *pages, struct pages_use **uses, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		const struct request *request = uses[i]->request;

		uses[i]->status = 0;
		uses[i]->iovcnt = 1;
		uses[i]->iov[0] = (struct iovec){.iov_base = place_of(pages, uses[i])};
		for (unsigned s = 0; s < request_count(request); s++)
			uses[i]->iov[0].iov_len += segment_bytes(&request_segments(request)[s]);
	}
	copy_all(pages, uses, n, false);
}

unsigned pages_copy_release(struct pages *pages, struct pages_use **uses, unsigned n,
			    struct pages_use **clear)
{
	copy_all(pages, uses, n, true);
	for (unsigned i = 0; i < n; i++)
		clear[i] = uses[i];
	return n;
}
