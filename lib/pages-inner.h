/* SPDX-License-Identifier: MIT */
/*
 * pages-inner - what the ways of reaching a guest's pages share. For pages*.c alone.
 */
#ifndef TAP_PAGES_INNER_H
#define TAP_PAGES_INNER_H

#include <stddef.h>
#include <xengnttab.h>

#include "num.h"
#include "pages.h"

#define PAGE_BYTES 4096u /* a grant's, whatever this machine's pages are */

/** One call's worth of mapped pages. In use while count_pages is not 0. */
struct pages_mapping {
	void *base;
	unsigned count_pages;
	unsigned busy;		    /* uses that are not finished */
	struct pages_use *finished; /* uses that are, waiting for the others */
	struct pages_mapping *next; /* free list */
};

struct pages {
	enum pages_mode mode;
	uint32_t domid;
	unsigned slots, max_segments;
	struct pages_counters *counters;
	xengnttab_handle *gnttab;

	/* PAGES_MAP: a record per slot is enough, since each mapping holds one slot or more. */
	struct pages_mapping *mappings, *free;
	uint32_t *refs; /* PAGES_PERSISTENT too, for one request */

	/* PAGES_PERSISTENT */
	struct pages_keep *keep;

	/* PAGES_COPY */
	uint8_t *arena;
	size_t arena_bytes;
	xengnttab_grant_copy_segment_t *copies;

	/* Copies of indirect pages, for a batch of slots. */
	xengnttab_grant_copy_segment_t *indirect_copies;
};

static inline size_t segment_bytes(const struct request_segment *segment)
{
	return (segment->last_sect - segment->first_sect + 1u) * SECTOR_BYTES;
}

/* One more segment of @use, in @page: an iovec of its own, or more of the last one. */
void pages_point_at(struct pages_use *use, const struct request_segment *segment, uint8_t *page);

/* Each group returns as pages_open(), pages_close(), pages_acquire(), pages_release() do. */

int pages_indirect_open(struct pages *pages);
void pages_indirect_close(struct pages *pages);

int pages_map_open(struct pages *pages);
unsigned pages_map_close(struct pages *pages);
void pages_map_acquire(struct pages *pages, struct pages_use **uses, unsigned n);
unsigned pages_map_release(struct pages *pages, struct pages_use **uses, unsigned n,
			   struct pages_use **clear);

int pages_copy_open(struct pages *pages);
void pages_copy_close(struct pages *pages);
void pages_copy_acquire(struct pages *pages, struct pages_use **uses, unsigned n);
unsigned pages_copy_release(struct pages *pages, struct pages_use **uses, unsigned n,
			    struct pages_use **clear);

int pages_persistent_open(struct pages *pages, const struct pages_setup *setup);
unsigned pages_persistent_close(struct pages *pages);
void pages_persistent_acquire(struct pages *pages, struct pages_use **uses, unsigned n);
unsigned pages_persistent_release(struct pages *pages, struct pages_use **uses, unsigned n,
				  struct pages_use **clear);

#endif
