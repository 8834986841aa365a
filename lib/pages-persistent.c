/* SPDX-License-Identifier: MIT */
/*
 * Pages that stay mapped from one request to the next.
 *
 * Each kept page is a mapping of its own: gntdev unmaps only what was mapped, exactly (protocol.md
 * 8), so that pages mapped together could only go together, and one of them in use would hold all.
 * It costs a call a page, but once; KEEP_PER_BATCH bounds what a guest can make of it in a turn.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/queue.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "msg.h"
#include "pages-budget.h"
#include "pages-inner.h"

/* Pages taken into the keep while one batch is acquired, and let go at once when they are idle. */
#define KEEP_PER_BATCH 128u

/*
 * With the keep full, a page makes room only when it was not used during so many times the keep's
 * size of lookups. A guest that goes round more pages than fit then has some of them kept; if each
 * newcomer took the oldest one's place, it would have none, at two calls a page.
 */
#define COLD_ROUNDS 4u

struct kept {
	uint32_t gref;
	unsigned busy;	  /* segments of requests in flight */
	void *page;	  /* NULL: a free record */
	bool lost;	  /* its unmap failed: pages_close() tells of it */
	uint64_t used_at; /* in lookups */
	uint64_t used_ns;
	struct kept *chain;
	TAILQ_ENTRY(kept) entry; /* free, or idle */
};
TAILQ_HEAD(kept_list, kept);

struct pages_keep {
	unsigned max_pages;
	uint64_t idle_ns;
	struct kept *records;
	struct kept_list free;
	struct kept_list idle; /* kept and not in use, least recently used first */
	/* By the low bits of the gref. A guest that picks grefs of one bucket has only so many of
	 * them in its grant table: chains stay short without a secret. */
	struct kept **bucket;
	unsigned bucket_mask;
	uint64_t lookups;
	unsigned batch_left;	     /* of KEEP_PER_BATCH */
	struct kept **held;	     /* max_segments for each slot; NULL: in the slot's extra */
	struct pages_mapping *extra; /* a slot's pages that are mapped for it alone */
	int timer_fd;
	bool timer_set;
};

/* --- the keep --------------------------------------------------------------------------------- */

static struct kept **bucket_of(struct pages_keep *keep, uint32_t gref)
{
	return &keep->bucket[gref & keep->bucket_mask];
}

static struct kept *find(struct pages_keep *keep, uint32_t gref)
{
	struct kept *kept = *bucket_of(keep, gref);

	while (kept && kept->gref != gref)
		kept = kept->chain;
	return kept;
}

static void unlink_chain(struct pages_keep *keep, struct kept *kept)
{
	struct kept **at = bucket_of(keep, kept->gref);

	while (*at != kept)
		at = &(*at)->chain;
	*at = kept->chain;
}

/* Unmap a page that is not in use. */
static void let_go(struct pages *pages, struct kept *kept)
{
	struct pages_keep *keep = pages->keep;

	unlink_chain(keep, kept);
	TAILQ_REMOVE(&keep->idle, kept, entry);
	pages->counters->persistent_kept--;
	pages->counters->unmap_calls++;
	if (xengnttab_unmap(pages->gnttab, kept->page, 1)) {
		kept->lost = true;
		return;
	}
	pages->counters->pages_unmapped++;
	pages_budget_return();
	kept->page = NULL;
	TAILQ_INSERT_HEAD(&keep->free, kept, entry);
}

static void evict(struct pages *pages, struct kept *kept)
{
	pages->counters->persistent_evicted++;
	let_go(pages, kept);
}

/* A record to keep one more page in, or NULL. */
static struct kept *make_room(struct pages *pages)
{
	struct pages_keep *keep = pages->keep;
	struct kept *oldest = TAILQ_FIRST(&keep->idle);

	if (!keep->batch_left)
		return NULL;
	if (TAILQ_EMPTY(&keep->free) && oldest &&
	    keep->lookups - oldest->used_at > (uint64_t)COLD_ROUNDS * keep->max_pages)
		evict(pages, oldest);
	if (TAILQ_EMPTY(&keep->free) || !pages_budget_take())
		return NULL;
	keep->batch_left--;
	return TAILQ_FIRST(&keep->free);
}

static int map_into(struct pages *pages, struct kept *kept, uint32_t gref)
{
	struct pages_keep *keep = pages->keep;
	struct kept **bucket = bucket_of(keep, gref);

	pages->counters->map_calls++;
	kept->page = xengnttab_map_domain_grant_refs(pages->gnttab, 1, pages->domid, &gref,
						     PROT_READ | PROT_WRITE);
	if (!kept->page) {
		pages_budget_return();
		return -EFAULT;
	}
	pages->counters->pages_mapped++;
	pages->counters->persistent_kept++;
	TAILQ_REMOVE(&keep->free, kept, entry);
	kept->gref = gref;
	kept->chain = *bucket;
	*bucket = kept;
	return 0;
}

static void hold(struct pages_keep *keep, struct kept *kept)
{
	if (!kept->busy++)
		TAILQ_REMOVE(&keep->idle, kept, entry);
}

static void unhold(struct pages_keep *keep, struct kept *kept, uint64_t at_ns)
{
	if (--kept->busy)
		return;
	kept->used_at = keep->lookups;
	kept->used_ns = at_ns;
	TAILQ_INSERT_TAIL(&keep->idle, kept, entry);
}

/* The timer is set once and then left, until it finds what has been used meanwhile. */
static void set_timer(struct pages_keep *keep)
{
	const struct kept *oldest = TAILQ_FIRST(&keep->idle);
	struct itimerspec at = {0};
	uint64_t due_ns;

	if (keep->timer_set || !oldest)
		return;
	if (add_overflows(oldest->used_ns, keep->idle_ns, &due_ns))
		return;
	at.it_value.tv_sec = (time_t)(due_ns / 1000000000u);
	at.it_value.tv_nsec = (long)(due_ns % 1000000000u);
	keep->timer_set = !timerfd_settime(keep->timer_fd, TFD_TIMER_ABSTIME, &at, NULL);
}

/* --- a request's pages ------------------------------------------------------------------------ */

static struct kept **held_by(const struct pages *pages, const struct pages_use *use)
{
	return pages->keep->held + (size_t)use->slot * pages->max_segments;
}

/* *@out is a page that is kept, now if not before, or NULL when there is no room. */
static int hold_page(struct pages *pages, uint32_t gref, struct kept **out)
{
	struct pages_keep *keep = pages->keep;
	struct kept *kept = find(keep, gref);

	*out = NULL;
	keep->lookups++;
	if (kept) {
		pages->counters->persistent_hits++;
		hold(keep, kept);
		*out = kept;
		return 0;
	}
	pages->counters->persistent_misses++;
	kept = make_room(pages);
	if (!kept)
		return 0;
	if (map_into(pages, kept, gref))
		return -EFAULT;
	kept->busy = 1;
	*out = kept;
	return 0;
}

/* What found no room, in one mapping that ends with the request. */
static int map_extra(struct pages *pages, struct pages_use *use)
{
	struct pages_mapping *extra = &pages->keep->extra[use->slot];
	const struct request_segment *segments = request_segments(use->request);
	struct kept **held = held_by(pages, use);
	unsigned count = 0;

	for (unsigned i = 0; i < request_count(use->request); i++) {
		if (!held[i])
			pages->refs[count++] = segments[i].gref;
	}
	if (!count)
		return 0;
	if (extra->count_pages) /* an unmap failed before */
		return -EFAULT;
	pages->counters->map_calls++;
	extra->base = xengnttab_map_domain_grant_refs(pages->gnttab, count, pages->domid,
						      pages->refs, PROT_READ | PROT_WRITE);
	if (!extra->base)
		return -EFAULT;
	pages->counters->pages_mapped += count;
	extra->count_pages = count;
	use->mapping = extra;
	return 0;
}

static int unmap_extra(struct pages *pages, struct pages_mapping *extra)
{
	pages->counters->unmap_calls++;
	if (xengnttab_unmap(pages->gnttab, extra->base, extra->count_pages))
		return -errno;
	pages->counters->pages_unmapped += extra->count_pages;
	extra->count_pages = 0;
	return 0;
}

/* Answered even if an unmap fails: a request without an answer hangs its guest. */
static void give_back(struct pages *pages, struct pages_use *use, uint64_t at_ns)
{
	struct kept **held = held_by(pages, use);

	for (unsigned i = 0; i < request_count(use->request); i++) {
		if (held[i])
			unhold(pages->keep, held[i], at_ns);
		held[i] = NULL;
	}
	if (use->mapping)
		unmap_extra(pages, use->mapping);
	use->mapping = NULL;
}

static int take(struct pages *pages, struct pages_use *use)
{
	const struct request_segment *segments = request_segments(use->request);
	struct kept **held = held_by(pages, use);
	int ret = 0;

	for (unsigned i = 0; !ret && i < request_count(use->request); i++)
		ret = hold_page(pages, segments[i].gref, &held[i]);
	return ret ? ret : map_extra(pages, use);
}

static void point_at(struct pages *pages, struct pages_use *use)
{
	const struct request_segment *segments = request_segments(use->request);
	struct kept **held = held_by(pages, use);
	uint8_t *extra = use->mapping ? use->mapping->base : NULL;

	for (unsigned i = 0; i < request_count(use->request); i++) {
		if (held[i]) {
			pages_point_at(use, &segments[i], held[i]->page);
			continue;
		}
		pages_point_at(use, &segments[i], extra);
		extra += PAGE_BYTES;
	}
}

void pages_persistent_acquire(struct pages *pages, struct pages_use **uses, unsigned n)
{
	pages->keep->batch_left = KEEP_PER_BATCH;
	for (unsigned i = 0; i < n; i++) {
		uses[i]->iovcnt = 0;
		uses[i]->mapping = NULL;
		uses[i]->status = take(pages, uses[i]);
		if (uses[i]->status)
			give_back(pages, uses[i], now_ns());
		else
			point_at(pages, uses[i]);
	}
	set_timer(pages->keep); /* for what was mapped for requests that failed */
}

/* --- no use for long -------------------------------------------------------------------------- */

unsigned pages_persistent_release(struct pages *pages, struct pages_use **uses, unsigned n,
				  struct pages_use **clear)
{
	uint64_t at_ns = n ? now_ns() : 0;

	for (unsigned i = 0; i < n; i++) {
		give_back(pages, uses[i], at_ns);
		clear[i] = uses[i];
	}
	set_timer(pages->keep);
	return n;
}

int pages_idle_fd(const struct pages *pages)
{
	return pages->mode == PAGES_PERSISTENT ? pages->keep->timer_fd : -1;
}

void pages_idle(struct pages *pages)
{
	struct pages_keep *keep = pages->keep;
	uint64_t expirations, at_ns;
	struct kept *oldest;

	if (read(keep->timer_fd, &expirations, sizeof(expirations)) != sizeof(expirations))
		return;
	keep->timer_set = false;
	at_ns = now_ns();
	/* Not all of many at once: each is a call, and the timer fires again for the others. */
	for (unsigned n = 0; n < KEEP_PER_BATCH; n++) {
		oldest = TAILQ_FIRST(&keep->idle);
		if (!oldest || at_ns - oldest->used_ns < keep->idle_ns)
			break;
		evict(pages, oldest);
	}
	set_timer(keep);
}

/* --- open and close --------------------------------------------------------------------------- */

static void free_keep(struct pages *pages)
{
	struct pages_keep *keep = pages->keep;

	if (keep->timer_fd >= 0)
		close(keep->timer_fd);
	free(keep->extra);
	free(keep->held);
	free(keep->bucket);
	free(keep->records);
	free(keep);
	free(pages->refs);
}

static int make_keep(struct pages *pages, const struct pages_setup *setup)
{
	size_t most_pages = (size_t)pages->slots * pages->max_segments;
	struct pages_keep *keep = pages->keep;
	unsigned buckets = 1;

	keep->max_pages = setup->keep_pages < most_pages ? setup->keep_pages : (unsigned)most_pages;
	keep->idle_ns = setup->keep_idle_ns;
	while (buckets < keep->max_pages)
		buckets *= 2;
	keep->bucket_mask = buckets - 1;
	keep->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (keep->timer_fd < 0)
		return -errno;
	keep->records = calloc(keep->max_pages, sizeof(*keep->records));
	keep->bucket = calloc(buckets, sizeof(struct kept *));
	keep->held = calloc(most_pages, sizeof(struct kept *));
	keep->extra = calloc(pages->slots, sizeof(*keep->extra));
	pages->refs = calloc(pages->max_segments, sizeof(*pages->refs));
	if (!keep->records || !keep->bucket || !keep->held || !keep->extra || !pages->refs)
		return -ENOMEM;
	for (unsigned i = 0; i < keep->max_pages; i++)
		TAILQ_INSERT_TAIL(&keep->free, &keep->records[i], entry);
	return 0;
}

int pages_persistent_open(struct pages *pages, const struct pages_setup *setup)
{
	size_t most_pages = (size_t)pages->slots * pages->max_segments;
	int ret;

	if (!setup->keep_pages || setup->keep_pages > PAGES_KEEP_MAX || !setup->keep_idle_ns)
		return -EINVAL;
	if (xengnttab_set_max_grants(pages->gnttab, (uint32_t)most_pages + setup->keep_pages))
		return -errno;
	pages->keep = calloc(1, sizeof(*pages->keep));
	if (!pages->keep)
		return -ENOMEM;
	TAILQ_INIT(&pages->keep->free);
	TAILQ_INIT(&pages->keep->idle);
	pages->keep->timer_fd = -1;
	ret = make_keep(pages, setup);
	if (ret)
		free_keep(pages);
	return ret;
}

/* A page in use, or one whose unmap failed, is told of; the others are let go as a matter of
 * course. */
unsigned pages_persistent_close(struct pages *pages)
{
	struct pages_keep *keep = pages->keep;
	unsigned mapped = 0;

	for (unsigned i = 0; i < keep->max_pages; i++) {
		struct kept *kept = &keep->records[i];

		if (!kept->page)
			continue;
		if (kept->lost || kept->busy)
			mapped++;
		if (!kept->lost)
			pages->counters->persistent_kept--;
		pages->counters->unmap_calls++;
		if (!xengnttab_unmap(pages->gnttab, kept->page, 1))
			pages->counters->pages_unmapped++;
		pages_budget_return(); /* the handle is closed next, and all of its mappings with it
					*/
	}
	for (unsigned i = 0; i < pages->slots; i++) {
		mapped += keep->extra[i].count_pages;
		if (keep->extra[i].count_pages)
			unmap_extra(pages, &keep->extra[i]);
	}
	free_keep(pages);
	return mapped;
}
