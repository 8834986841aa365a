/* SPDX-License-Identifier: MIT */
/* Grant copies in the simulator. */
#include "in-sim.h"

struct shared {
	xengntshr_handle *shr;
	xengnttab_handle *tab;
	uint32_t refs[2];
	uint32_t read_only;
	char *pages;
	char *read_only_page;
};

static int share_three(void **state)
{
	struct shared *s = calloc(1, sizeof(*s));

	s->shr = gntshr_of(1);
	s->tab = gnttab_of(0);
	s->pages = xengntshr_share_pages(s->shr, 0, 2, s->refs, 1);
	s->read_only_page = xengntshr_share_pages(s->shr, 0, 1, &s->read_only, 0);
	assert_non_null(s->pages);
	assert_non_null(s->read_only_page);
	*state = s;
	return 0;
}

static int end_three(void **state)
{
	struct shared *s = *state;

	xengnttab_close(s->tab);
	xengntshr_close(s->shr);
	free(s);
	return 0;
}

static xengnttab_grant_copy_segment_t read_from(uint32_t ref, uint16_t offset, void *to,
						uint16_t length)
{
	xengnttab_grant_copy_segment_t segment = {
		.len = length, .flags = GNTCOPY_source_gref, .status = 99};

	segment.source.foreign.domid = 1;
	segment.source.foreign.ref = ref;
	segment.source.foreign.offset = offset;
	segment.dest.virt = to;
	return segment;
}

static xengnttab_grant_copy_segment_t write_to(uint32_t ref, uint16_t offset, void *from,
					       uint16_t length)
{
	xengnttab_grant_copy_segment_t segment = {
		.len = length, .flags = GNTCOPY_dest_gref, .status = 99};

	segment.dest.foreign.domid = 1;
	segment.dest.foreign.ref = ref;
	segment.dest.foreign.offset = offset;
	segment.source.virt = from;
	return segment;
}

static void copies_both_ways(void **state)
{
	struct shared *s = *state;
	char local[64] = "to the guest", back[64] = "";
	xengnttab_grant_copy_segment_t segments[] = {
		write_to(s->refs[1], 4000, local, 13),
		read_from(s->refs[0], 8, back, 15),
	};

	strcpy(s->pages + 8, "from the guest");
	assert_int_equal(xengnttab_grant_copy(s->tab, 2, segments), 0);
	assert_int_equal(segments[0].status, GNTST_okay);
	assert_int_equal(segments[1].status, GNTST_okay);
	assert_string_equal(s->pages + PAGE + 4000, "to the guest");
	assert_string_equal(back, "from the guest");
}

static void copies_from_grant_to_grant_and_from_local_to_local(void **state)
{
	struct shared *s = *state;
	char from[8] = "local", to[8] = "";
	xengnttab_grant_copy_segment_t segments[2] = {
		write_to(s->refs[1], 0, NULL, 6),
		{.source.virt = from, .dest.virt = to, .len = 6, .status = 99},
	};

	segments[0].flags |= GNTCOPY_source_gref;
	segments[0].source.foreign.domid = 1;
	segments[0].source.foreign.ref = s->read_only;
	segments[0].source.foreign.offset = 10;
	strcpy(s->read_only_page + 10, "grant");
	assert_int_equal(xengnttab_grant_copy(s->tab, 2, segments), 0);
	assert_int_equal(segments[0].status, GNTST_okay);
	assert_string_equal(s->pages + PAGE, "grant");
	assert_int_equal(segments[1].status, GNTST_okay);
	assert_string_equal(to, "local");
}

static void each_segment_has_its_own_status(void **state)
{
	struct shared *s = *state;
	char local[PAGE] = "x";
	xengnttab_grant_copy_segment_t segments[] = {
		read_from(s->refs[0], 0, local, PAGE),	  read_from(31000, 0, local, 1),
		read_from(s->refs[0], 1, local, PAGE),	  write_to(s->read_only, 0, local, 1),
		write_to(s->refs[0], 4095, local, 2),	  read_from(s->refs[0], 0, local, 1),
		read_from(s->refs[1] + 100, 0, local, 1), write_to(s->refs[0], 4095, local, 1),
	};

	segments[5].source.foreign.domid = 77;
	assert_int_equal(xengnttab_grant_copy(s->tab, 8, segments), 0);
	assert_int_equal(segments[0].status, GNTST_okay);
	assert_int_equal(segments[1].status, GNTST_bad_gntref);
	assert_int_equal(segments[2].status, GNTST_bad_copy_arg);
	assert_int_equal(segments[3].status, GNTST_general_error);
	assert_int_equal(segments[4].status, GNTST_bad_copy_arg);
	assert_int_equal(segments[5].status, GNTST_bad_domain);
	assert_int_equal(segments[6].status, GNTST_general_error);
	assert_int_equal(segments[7].status, GNTST_okay);
	assert_int_equal(s->read_only_page[0], 0);
}

static void only_the_domain_it_is_granted_to_copies(void **state)
{
	struct shared *s = *state;
	xengnttab_handle *other = gnttab_of(2);
	char local = 0;
	xengnttab_grant_copy_segment_t segment = read_from(s->refs[0], 0, &local, 1);

	s->pages[0] = 'p';
	assert_int_equal(xengnttab_grant_copy(other, 1, &segment), 0);
	assert_int_equal(segment.status, GNTST_general_error);
	assert_int_equal(local, 0);
	xengnttab_close(other);
}

static void thousands_of_segments_in_one_call(void **state)
{
	enum { MANY = 6000 };
	struct shared *s = *state;
	xengnttab_grant_copy_segment_t *segments = calloc(MANY, sizeof(*segments));
	char *local = calloc(1, MANY);

	for (unsigned i = 0; i < PAGE; i++)
		s->pages[i] = (char)(i * 7);
	for (unsigned i = 0; i < MANY; i++)
		segments[i] = read_from(s->refs[0], (uint16_t)(i % PAGE), local + i, 1);
	assert_int_equal(xengnttab_grant_copy(s->tab, MANY, segments), 0);
	for (unsigned i = 0; i < MANY; i++) {
		assert_int_equal(segments[i].status, GNTST_okay);
		assert_int_equal(local[i], (char)(i % PAGE * 7));
	}
	free(segments);
	free(local);
}

/* The end of a copy is told without an answer: it must come before whatever the guest does next. */
static void nothing_stays_in_use_after_a_copy(void **state)
{
	struct shared *s = *state;
	char local[16];

	for (unsigned i = 0; i < 1000; i++) {
		uint32_t ref;
		char *page = xengntshr_share_pages(s->shr, 0, 1, &ref, 1);
		xengnttab_grant_copy_segment_t segment = read_from(ref, 0, local, 16);

		assert_non_null(page);
		assert_int_equal(xengnttab_grant_copy(s->tab, 1, &segment), 0);
		assert_int_equal(segment.status, GNTST_okay);
		assert_int_equal(xengntshr_unshare(s->shr, page, 1), 0);
	}
}

#define IN_THREE(test) cmocka_unit_test_setup_teardown(test, share_three, end_three)

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_THREE(copies_both_ways),
		IN_THREE(copies_from_grant_to_grant_and_from_local_to_local),
		IN_THREE(each_segment_has_its_own_status),
		IN_THREE(only_the_domain_it_is_granted_to_copies),
		IN_THREE(thousands_of_segments_in_one_call),
		IN_THREE(nothing_stays_in_use_after_a_copy),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
