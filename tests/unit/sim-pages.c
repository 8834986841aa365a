/* SPDX-License-Identifier: MIT */
/* The ways of reaching a guest's pages. A test runs in each, unless its name or main() says less.
 */
#include <errno.h>
#include "arena.h"
#include "guest.h"

#include "num.h"
#include "pages.h"

#define SLOTS	 16u
#define SEGMENTS REQUEST_SEGMENTS_DIRECT
#define BAD_GREF 0x7ffffff0u

/* One guest, one arena, a request and its use per slot. Request n's segment s is page n * SEGMENTS
 * + s. */
struct bench {
	struct guest guest;
	struct pages *pages;
	struct pages_counters counters;
	enum pages_mode mode;
	struct request request[SLOTS];
	struct iovec iov[SLOTS][SEGMENTS];
	struct pages_use use[SLOTS], *uses[SLOTS], *clear[SLOTS];
};

static enum pages_mode mode_of(void **state)
{
	return **(enum pages_mode **)state;
}

static void arena_begin(struct bench *b, enum pages_mode mode)
{
	b->mode = mode;
	memset(&b->counters, 0, sizeof(b->counters));
	assert_int_equal(open_pages(&b->pages, mode, SLOTS, SEGMENTS, &b->counters), 0);
}

static struct bench *begin(enum pages_mode mode)
{
	struct bench *b = calloc(1, sizeof(*b));

	assert_non_null(b);
	guest_begin(&b->guest, SLOTS * SEGMENTS);
	arena_begin(b, mode);
	return b;
}

/* Nothing is mapped but what is kept on purpose. */
static void balanced(const struct bench *b)
{
	assert_int_equal(b->counters.pages_mapped,
			 b->counters.pages_unmapped + b->counters.persistent_kept);
}

static void end(struct bench *b)
{
	assert_int_equal(pages_close(b->pages), 0);
	assert_int_equal(b->counters.persistent_kept, 0);
	balanced(b);
	guest_end(&b->guest);
	free(b);
}

/* Request @n of @segments whole pages. */
static struct request *ask(struct bench *b, unsigned n, uint8_t operation, uint8_t segments)
{
	struct request *request = &b->request[n];

	*request = (struct request){.operation = operation, .nr_segments = segments};
	for (unsigned s = 0; s < segments; s++)
		request->segment[s] =
			(struct request_segment){b->guest.gref[n * SEGMENTS + s], 0, 7};
	b->use[n] = (struct pages_use){.slot = n, .request = request, .iov = b->iov[n]};
	b->uses[n] = &b->use[n];
	return request;
}

static uint8_t *page_of(struct bench *b, unsigned n, unsigned s)
{
	return b->guest.page[n * SEGMENTS + s];
}

/* What a byte of the guest's is filled with: differs by page and by sector. */
static uint8_t pattern(unsigned n, unsigned s, unsigned offset)
{
	return (uint8_t)(n * 37 + s * 11 + offset / 512 + offset + 1);
}

static void fill_guest(struct bench *b, unsigned n)
{
	for (unsigned s = 0; s < SEGMENTS; s++) {
		for (unsigned o = 0; o < GUEST_PAGE; o++)
			page_of(b, n, s)[o] = pattern(n, s, o);
	}
}

/* Byte @at of a use's data, as its iovecs give it. */
static uint8_t *data_at(const struct pages_use *use, size_t at)
{
	for (unsigned i = 0; i < use->iovcnt; i++) {
		if (at < use->iov[i].iov_len)
			return (uint8_t *)use->iov[i].iov_base + at;
		at -= use->iov[i].iov_len;
	}
	fail_msg("the data ends early");
	return NULL;
}

static size_t data_bytes(const struct pages_use *use)
{
	size_t sum = 0;

	for (unsigned i = 0; i < use->iovcnt; i++)
		sum += use->iov[i].iov_len;
	return sum;
}

/* Segments of every shape: parts of pages, one sector, whole pages. */
static void odd_shapes(struct request *request)
{
	static const uint8_t shapes[SEGMENTS][2] = {{3, 7}, {0, 7}, {0, 2}, {5, 5}, {0, 0}, {7, 7},
						    {0, 7}, {1, 6}, {0, 7}, {0, 7}, {2, 4}};

	for (unsigned s = 0; s < request->nr_segments; s++) {
		request->segment[s].first_sect = shapes[s][0];
		request->segment[s].last_sect = shapes[s][1];
	}
}

static void writes_show_the_guests_data(void **state)
{
	struct bench *b = begin(mode_of(state));
	size_t at = 0;

	odd_shapes(ask(b, 0, REQUEST_WRITE, SEGMENTS));
	fill_guest(b, 0);
	pages_acquire(b->pages, b->uses, 1);
	assert_int_equal(b->use[0].status, 0);
	for (unsigned s = 0; s < SEGMENTS; s++) {
		const struct request_segment *segment = &b->request[0].segment[s];

		for (unsigned o = segment->first_sect * 512u; o < (segment->last_sect + 1u) * 512;
		     o++)
			assert_int_equal(*data_at(&b->use[0], at++), pattern(0, s, o));
	}
	assert_int_equal(data_bytes(&b->use[0]), at);
	assert_int_equal(pages_release(b->pages, b->uses, 1, b->clear), 1);
	assert_int_equal(b->use[0].status, 0);
	assert_ptr_equal(b->clear[0], &b->use[0]);
	end(b);
}

static void reads_fill_the_segments_and_no_more(void **state)
{
	struct bench *b = begin(mode_of(state));
	size_t length;

	odd_shapes(ask(b, 0, REQUEST_READ, SEGMENTS));
	fill_guest(b, 0);
	pages_acquire(b->pages, b->uses, 1);
	assert_int_equal(b->use[0].status, 0);
	length = data_bytes(&b->use[0]);
	for (size_t at = 0; at < length; at++)
		*data_at(&b->use[0], at) = (uint8_t)(at * 7 + at / 512);
	assert_int_equal(pages_release(b->pages, b->uses, 1, b->clear), 1);
	assert_int_equal(b->use[0].status, 0);
	for (size_t s = 0, at = 0; s < SEGMENTS; s++) {
		const struct request_segment *segment = &b->request[0].segment[s];

		for (unsigned o = 0; o < GUEST_PAGE; o++) {
			uint8_t want = pattern(0, (unsigned)s, o);

			if (o / 512 >= segment->first_sect && o / 512 <= segment->last_sect) {
				want = (uint8_t)(at * 7 + at / 512);
				at++;
			}
			assert_int_equal(page_of(b, 0, (unsigned)s)[o], want);
		}
	}
	end(b);
}

static void one_call_per_batch(void **state)
{
	struct bench *b = begin(mode_of(state));
	const struct pages_counters *c = &b->counters;

	for (unsigned n = 0; n < SLOTS; n++)
		ask(b, n, REQUEST_READ, SEGMENTS);
	pages_acquire(b->pages, b->uses, SLOTS);
	assert_int_equal(c->map_calls, b->mode == PAGES_MAP);
	assert_int_equal(c->copy_calls, 0);
	assert_int_equal(pages_release(b->pages, b->uses, SLOTS, b->clear), SLOTS);
	assert_int_equal(c->unmap_calls, b->mode == PAGES_MAP);
	assert_int_equal(c->copy_calls, b->mode == PAGES_COPY);

	for (unsigned n = 0; n < SLOTS; n += 2)
		ask(b, n, REQUEST_WRITE, SEGMENTS);
	pages_acquire(b->pages, b->uses, SLOTS);
	assert_int_equal(c->map_calls, b->mode == PAGES_MAP ? 3 : 0);
	assert_int_equal(c->copy_calls, b->mode == PAGES_COPY ? 2 : 0);
	assert_int_equal(pages_release(b->pages, b->uses, SLOTS, b->clear), SLOTS);
	assert_int_equal(c->unmap_calls, b->mode == PAGES_MAP ? 3 : 0);
	assert_int_equal(c->copy_calls, b->mode == PAGES_COPY ? 3 : 0);
	assert_int_equal(b->mode == PAGES_MAP ? c->pages_mapped : c->pages_copied,
			 2 * SLOTS * SEGMENTS);
	pages_acquire(b->pages, b->uses, 0);
	assert_int_equal(pages_release(b->pages, b->uses, 0, b->clear), 0);
	assert_int_equal(c->map_calls + c->copy_calls, 3);
	end(b);
}

/* Acquire and release @n requests; of them only @bad is refused, and the others have their data. */
static void only_one_fails(struct bench *b, unsigned n, unsigned bad)
{
	unsigned left = 0;

	pages_acquire(b->pages, b->uses, n);
	for (unsigned i = 0; i < n; i++) {
		const struct pages_use *use = &b->use[i];

		if (i == bad && b->mode == PAGES_COPY && request_fills_guest(use->request)) {
			assert_int_equal(use->status, 0); /* comes out at the copy back */
		} else if (i == bad) {
			assert_int_equal(use->status, -EFAULT);
			continue;
		}
		assert_int_equal(use->status, 0);
		assert_int_equal(data_bytes(use), use->request->nr_segments * GUEST_PAGE);
		if (request_fills_guest(use->request))
			*data_at(use, 0) = 0xee;
		else
			assert_int_equal(*data_at(use, 0), pattern(i, 0, 0));
		b->uses[left++] = &b->use[i];
	}
	assert_int_equal(pages_release(b->pages, b->uses, left, b->clear), left);
	for (unsigned i = 0; i < n; i++) {
		assert_int_equal(b->use[i].status, i == bad ? -EFAULT : 0);
		if (i != bad && request_fills_guest(b->use[i].request))
			assert_int_equal(page_of(b, i, 0)[0], 0xee);
	}
	balanced(b);
}

#define BATCH 5u

static void a_batch(struct bench *b, unsigned round)
{
	for (unsigned n = 0; n < BATCH; n++) {
		fill_guest(b, n);
		ask(b, n, (round + n) % 2 ? REQUEST_WRITE : REQUEST_READ, 3);
	}
}

static void a_bad_grant_at_each_position(void **state)
{
	struct bench *b = begin(mode_of(state));

	for (unsigned round = 0; round < 2 * 3 * BATCH; round++) {
		unsigned bad = round / 2 % BATCH;

		a_batch(b, round);
		b->request[bad].segment[round % 3].gref = BAD_GREF;
		only_one_fails(b, BATCH, bad);
	}
	end(b);
}

static void a_bad_grant_alone(void **state)
{
	struct bench *b = begin(mode_of(state));

	fill_guest(b, 0);
	for (unsigned operation = REQUEST_READ; operation <= REQUEST_WRITE; operation++) {
		ask(b, 0, (uint8_t)operation, 1)->segment[0].gref = BAD_GREF;
		only_one_fails(b, 1, 0);
	}
	assert_int_equal(b->counters.map_calls + b->counters.copy_calls, 2); /* not tried twice */
	end(b);
}

static void grants_of_others(void **state)
{
	struct bench *b = begin(mode_of(state));
	unsigned foreign = guest_grant(&b->guest, 2, true);

	for (unsigned round = 0; round < 2; round++) {
		a_batch(b, round);
		b->request[2].segment[1].gref = b->guest.gref[foreign];
		only_one_fails(b, BATCH, 2);
	}
	end(b);
}

static void read_only_grants(void **state)
{
	struct bench *b = begin(mode_of(state));
	unsigned page = guest_grant(&b->guest, 0, false);

	a_batch(b, 0); /* 2 is a read: it would write to the page */
	b->request[2].segment[1].gref = b->guest.gref[page];
	only_one_fails(b, BATCH, 2);
	a_batch(b, 1); /* 2 is a write */
	b->request[2].segment[1].gref = b->guest.gref[page];
	only_one_fails(b, BATCH, BATCH);
	end(b);
}

static void revoked_grants(void **state)
{
	struct bench *b = begin(mode_of(state));

	for (unsigned round = 0; round < 2; round++) {
		unsigned page = guest_grant(&b->guest, 0, true);

		a_batch(b, round);
		b->request[2].segment[1].gref = b->guest.gref[page];
		assert_int_equal(guest_revoke(&b->guest, page), 0);
		only_one_fails(b, BATCH, 2);
	}
	end(b);
}

/* Two segments of one page, two requests of one page: each works. */
static void the_same_page_twice(void **state)
{
	struct bench *b = begin(mode_of(state));

	a_batch(b, 0);
	b->request[1].segment[2].gref = b->request[1].segment[0].gref;
	b->request[3].segment[0] = b->request[1].segment[0];
	fill_guest(b, 1);
	pages_acquire(b->pages, b->uses, BATCH);
	for (unsigned n = 0; n < BATCH; n++)
		assert_int_equal(b->use[n].status, 0);
	assert_int_equal(*data_at(&b->use[1], 2 * GUEST_PAGE), pattern(1, 0, 0));
	assert_int_equal(*data_at(&b->use[3], 0), pattern(1, 0, 0));
	assert_int_equal(pages_release(b->pages, b->uses, BATCH, b->clear), BATCH);
	end(b);
}

static void failed_io_keeps_its_status(void **state)
{
	struct bench *b = begin(mode_of(state));

	for (unsigned n = 0; n < 2; n++) {
		fill_guest(b, n);
		ask(b, n, REQUEST_READ, 1);
	}
	pages_acquire(b->pages, b->uses, 2);
	b->use[0].status = -EIO;
	if (b->mode == PAGES_COPY)
		memset(b->iov[0][0].iov_base, 0xee, GUEST_PAGE);
	memset(b->iov[1][0].iov_base, 0xdd, GUEST_PAGE);
	assert_int_equal(pages_release(b->pages, b->uses, 2, b->clear), 2);
	assert_int_equal(b->use[0].status, -EIO);
	assert_int_equal(b->use[1].status, 0);
	assert_int_equal(page_of(b, 0, 0)[0], pattern(0, 0, 0));
	assert_int_equal(page_of(b, 1, 0)[0], 0xdd);
	end(b);
}

/* Random batches, random faults, released in random order: what is clear is not mapped. */
static void any_order(void **state)
{
	struct bench *b = begin(mode_of(state));
	unsigned answered = 0, asked = 0;
	bool busy[SLOTS] = {0};

	srand(1);
	for (unsigned round = 0; round < 200; round++) {
		struct pages_use *batch[SLOTS];
		unsigned n = 0, clear;

		for (unsigned i = 0; i < SLOTS; i++) {
			struct request *request;

			if (busy[i] || rand() % 2)
				continue;
			request = ask(b, i, (uint8_t)(rand() % 2), (uint8_t)(1 + rand() % 11));
			if (rand() % 8 == 0)
				request->segment[rand() % request->nr_segments].gref = BAD_GREF;
			batch[n++] = &b->use[i];
		}
		asked += n;
		pages_acquire(b->pages, batch, n);
		for (unsigned i = 0; i < n; i++) {
			if (batch[i]->status)
				answered++;
			else
				busy[batch[i]->slot] = true;
		}
		n = 0;
		for (unsigned i = 0; i < SLOTS; i++) {
			/* In the last round, all. next is private: mark with iovcnt. */
			if (busy[i] && b->use[i].iovcnt && (rand() % 3 == 0 || round == 199)) {
				b->use[i].iovcnt = 0;
				batch[n++] = &b->use[i];
			}
		}
		clear = pages_release(b->pages, batch, n, b->clear);
		for (unsigned i = 0; i < clear; i++) {
			assert_true(busy[b->clear[i]->slot]);
			assert_int_equal(b->clear[i]->iovcnt, 0);
			busy[b->clear[i]->slot] = false;
			answered++;
		}
	}
	assert_int_equal(answered, asked);
	assert_true(asked > 500);
	end(b);
}

static void map_holds_a_batch_until_its_last(void **state)
{
	struct bench *b = begin(PAGES_MAP);

	for (unsigned n = 0; n < 3; n++)
		ask(b, n, REQUEST_READ, 1);
	pages_acquire(b->pages, b->uses, 3);
	assert_int_equal(guest_revoke(&b->guest, 0), -1); /* it is mapped */
	assert_int_equal(pages_release(b->pages, &b->uses[1], 1, b->clear), 0);
	assert_int_equal(pages_release(b->pages, &b->uses[0], 1, b->clear), 0);
	assert_int_equal(guest_revoke(&b->guest, 0), -1);
	assert_int_equal(pages_release(b->pages, &b->uses[2], 1, b->clear), 3);
	assert_int_equal(guest_revoke(&b->guest, 0), 0);
	assert_true(b->clear[0] != b->clear[1] && b->clear[1] != b->clear[2] &&
		    b->clear[0] != b->clear[2]);
	end(b);
}

static void map_merges_neighbours(void **state)
{
	struct bench *b = begin(PAGES_MAP);
	static const uint8_t shapes[4][2] = {{2, 7}, {0, 7}, {0, 3}, {0, 7}};

	ask(b, 0, REQUEST_READ, SEGMENTS);
	ask(b, 1, REQUEST_READ, 4);
	for (unsigned s = 0; s < 4; s++) {
		b->request[1].segment[s].first_sect = shapes[s][0];
		b->request[1].segment[s].last_sect = shapes[s][1];
	}
	pages_acquire(b->pages, b->uses, 2);
	assert_int_equal(b->use[0].iovcnt, 1);
	assert_int_equal(b->iov[0][0].iov_len, SEGMENTS * GUEST_PAGE);
	assert_int_equal(b->use[1].iovcnt, 2);
	assert_int_equal(b->iov[1][0].iov_len, (6 + 8 + 4) * 512);
	assert_int_equal(b->iov[1][1].iov_len, GUEST_PAGE);
	assert_int_equal(pages_release(b->pages, b->uses, 2, b->clear), 2);
	end(b);
}

static void map_counts_what_is_left(void **state)
{
	struct bench *b = begin(PAGES_MAP);

	ask(b, 0, REQUEST_READ, 3);
	ask(b, 1, REQUEST_WRITE, 2);
	pages_acquire(b->pages, b->uses, 2);
	assert_int_equal(pages_close(b->pages), 5);
	balanced(b);
	arena_begin(b, PAGES_MAP); /* end() finds nothing mapped */
	end(b);
}

/* A place is page-aligned, so that O_DIRECT takes it, and no two places overlap. */
static void copy_has_a_place_per_slot(void **state)
{
	struct bench *b = begin(PAGES_COPY);

	for (unsigned n = 0; n < SLOTS; n++)
		ask(b, n, REQUEST_READ, SEGMENTS);
	pages_acquire(b->pages, b->uses, SLOTS);
	for (unsigned n = 0; n < SLOTS; n++) {
		assert_int_equal(b->use[n].iovcnt, 1);
		assert_int_equal((uintptr_t)b->iov[n][0].iov_base % GUEST_PAGE, 0);
		memset(b->iov[n][0].iov_base, (int)n + 1, b->iov[n][0].iov_len);
	}
	assert_int_equal(pages_release(b->pages, b->uses, SLOTS, b->clear), SLOTS);
	for (unsigned n = 0; n < SLOTS; n++) {
		for (unsigned s = 0; s < SEGMENTS; s++) {
			assert_int_equal(page_of(b, n, s)[0], n + 1);
			assert_int_equal(page_of(b, n, s)[GUEST_PAGE - 1], n + 1);
		}
	}
	end(b);
}

static void impossible_arenas(void **state)
{
	struct pages_counters counters;
	struct pages *pages;

	assert_int_equal(open_pages(&pages, PAGES_MAP, 0, SEGMENTS, &counters), -EINVAL);
	assert_int_equal(open_pages(&pages, PAGES_COPY, SLOTS, 0, &counters), -EINVAL);
	assert_int_equal(pages_close(NULL), 0);
}

static enum pages_mode map = PAGES_MAP, copy = PAGES_COPY, persistent = PAGES_PERSISTENT;

#define IN(m, f)   ((struct CMUnitTest){#f " (" #m ")", f, NULL, NULL, &m})
#define IN_BOTH(f) IN(map, f), IN(copy, f)
#define IN_EACH(f) IN_BOTH(f), IN(persistent, f)

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_EACH(writes_show_the_guests_data),
		IN_EACH(reads_fill_the_segments_and_no_more),
		IN_BOTH(one_call_per_batch),
		IN_EACH(a_bad_grant_at_each_position),
		IN_EACH(a_bad_grant_alone),
		IN_EACH(grants_of_others),
		IN_BOTH(read_only_grants),
		IN_EACH(revoked_grants),
		IN_EACH(the_same_page_twice),
		IN_EACH(failed_io_keeps_its_status),
		IN_EACH(any_order),
		cmocka_unit_test(map_holds_a_batch_until_its_last),
		cmocka_unit_test(map_merges_neighbours),
		cmocka_unit_test(map_counts_what_is_left),
		cmocka_unit_test(copy_has_a_place_per_slot),
		cmocka_unit_test(impossible_arenas),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
