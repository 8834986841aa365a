/* SPDX-License-Identifier: MIT */
/* Sharing and mapping pages in the simulator, against the contracts of xengnttab.h. */
#include "in-sim.h"

/* Domain 1 shares four pages with dom0, which maps them. */
struct shared {
	xengntshr_handle *shr;
	xengnttab_handle *tab;
	uint32_t refs[4];
	char *pages;
};

static int share_four(void **state)
{
	struct shared *s = calloc(1, sizeof(*s));

	s->shr = gntshr_of(1);
	s->tab = gnttab_of(0);
	s->pages = xengntshr_share_pages(s->shr, 0, 4, s->refs, 1);
	assert_non_null(s->pages);
	*state = s;
	return 0;
}

static int end_four(void **state)
{
	struct shared *s = *state;

	xengnttab_close(s->tab);
	if (s->shr)
		xengntshr_close(s->shr);
	free(s);
	return 0;
}

static void mapped_page_is_the_shared_one(void **state)
{
	struct shared *s = *state;
	char *m = xengnttab_map_grant_ref(s->tab, 1, s->refs[2], PROT_READ | PROT_WRITE);

	assert_non_null(m);
	strcpy(s->pages + 2 * PAGE, "from the guest");
	assert_string_equal(m, "from the guest");
	strcpy(m, "from dom0");
	assert_string_equal(s->pages + 2 * PAGE, "from dom0");
	assert_int_equal(xengnttab_unmap(s->tab, m, 1), 0);
}

static void pages_are_mapped_in_the_order_of_their_refs(void **state)
{
	struct shared *s = *state;
	uint32_t refs[] = {s->refs[3], s->refs[0], s->refs[2], s->refs[1]};
	uint32_t domids[] = {1, 1, 1, 1};
	char *m, *n;

	for (unsigned i = 0; i < 4; i++)
		s->pages[i * PAGE] = (char)('a' + i);
	m = xengnttab_map_domain_grant_refs(s->tab, 4, 1, refs, PROT_READ);
	n = xengnttab_map_grant_refs(s->tab, 4, domids, refs, PROT_READ);
	assert_non_null(m);
	assert_non_null(n);
	for (unsigned i = 0; i < 4; i++) {
		assert_int_equal(m[i * PAGE], "dacb"[i]);
		assert_int_equal(n[i * PAGE], "dacb"[i]);
	}
	assert_int_equal(xengnttab_unmap(s->tab, m, 4), 0);
	assert_int_equal(xengnttab_unmap(s->tab, n, 4), 0);
}

static void new_pages_are_zero(void **state)
{
	struct shared *s = *state;
	uint32_t ref;
	char *page;

	memset(s->pages, 0x5a, 4 * PAGE);
	assert_int_equal(xengntshr_unshare(s->shr, s->pages, 4), 0);
	page = xengntshr_share_pages(s->shr, 0, 1, &ref, 1);
	assert_non_null(page);
	for (unsigned i = 0; i < PAGE; i++)
		assert_int_equal(page[i], 0);
}

static void one_bad_ref_fails_the_whole_call(void **state)
{
	struct shared *s = *state;
	uint32_t refs[] = {s->refs[0], s->refs[1], 31000, s->refs[3]};

	errno = 0;
	assert_null(xengnttab_map_domain_grant_refs(s->tab, 4, 1, refs, PROT_READ));
	assert_errno(EINVAL);
	/* and leaves nothing mapped */
	assert_int_equal(xengntshr_unshare(s->shr, s->pages, 4), 0);
}

static void no_pages_or_no_domain_is_refused(void **state)
{
	struct shared *s = *state;

	assert_null(xengnttab_map_domain_grant_refs(s->tab, 0, 1, s->refs, PROT_READ));
	assert_errno(EINVAL);
	assert_null(xengnttab_map_grant_ref(s->tab, 77, s->refs[0], PROT_READ));
	assert_errno(EINVAL);
}

static void only_the_domain_it_is_granted_to_maps_a_page(void **state)
{
	struct shared *s = *state;
	xengnttab_handle *other = gnttab_of(2);

	assert_null(xengnttab_map_grant_ref(other, 1, s->refs[0], PROT_READ));
	assert_errno(EINVAL);
	xengnttab_close(other);
	other = gnttab_of(1);
	assert_null(xengnttab_map_grant_ref(other, 1, s->refs[0], PROT_READ));
	assert_errno(EINVAL);
	xengnttab_close(other);
}

static void read_only_grant_maps_read_only(void **state)
{
	struct shared *s = *state;
	uint32_t ref;
	char *page = xengntshr_share_pages(s->shr, 0, 1, &ref, 0), *m;
	int status;
	pid_t pid;

	assert_non_null(page);
	assert_null(xengnttab_map_grant_ref(s->tab, 1, ref, PROT_READ | PROT_WRITE));
	assert_errno(EINVAL);
	m = xengnttab_map_grant_ref(s->tab, 1, ref, PROT_READ);
	assert_non_null(m);
	page[7] = 'x';
	assert_int_equal(m[7], 'x');
	pid = fork();
	if (!pid) {
		signal(SIGSEGV, SIG_DFL);
		m[7] = 'y';
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
	assert_int_equal(xengnttab_unmap(s->tab, m, 1), 0);
}

static void unmap_names_exactly_what_was_mapped(void **state)
{
	struct shared *s = *state;
	char *m = xengnttab_map_domain_grant_refs(s->tab, 4, 1, s->refs, PROT_READ);

	assert_non_null(m);
	assert_int_equal(xengnttab_unmap(s->tab, m, 3), -1);
	assert_errno(EINVAL);
	assert_int_equal(xengnttab_unmap(s->tab, m + PAGE, 3), -1);
	assert_errno(EINVAL);
	assert_int_equal(xengnttab_unmap(s->tab, NULL, 4), -1);
	assert_errno(EINVAL);
	assert_int_equal(xengnttab_unmap(s->tab, m, 4), 0);
	assert_int_equal(xengnttab_unmap(s->tab, m, 4), -1);
	assert_errno(EINVAL);
}

static void two_may_map_the_same_page(void **state)
{
	struct shared *s = *state;
	xengnttab_handle *second = gnttab_of(0);
	char *m = xengnttab_map_grant_ref(s->tab, 1, s->refs[0], PROT_READ | PROT_WRITE);
	char *n = xengnttab_map_grant_ref(second, 1, s->refs[0], PROT_READ);

	assert_non_null(m);
	assert_non_null(n);
	m[9] = 'z';
	assert_int_equal(n[9], 'z');
	assert_int_equal(xengnttab_unmap(s->tab, m, 1), 0);
	assert_int_equal(xengntshr_unshare(s->shr, s->pages, 4), -1);
	assert_errno(EBUSY);
	assert_int_equal(n[9], 'z');
	xengnttab_close(second);
	assert_int_equal(xengntshr_unshare(s->shr, s->pages, 4), 0);
}

static void a_mapped_page_stays_granted(void **state)
{
	struct shared *s = *state;
	char *m = xengnttab_map_grant_ref(s->tab, 1, s->refs[1], PROT_READ | PROT_WRITE);

	assert_int_equal(xengntshr_unshare(s->shr, s->pages, 4), -1);
	assert_errno(EBUSY);
	s->pages[PAGE] = 'k'; /* still the guest's, too */
	assert_int_equal(m[0], 'k');
	assert_int_equal(xengnttab_unmap(s->tab, m, 1), 0);
	m = xengnttab_map_grant_ref(s->tab, 1, s->refs[1], PROT_READ);
	assert_non_null(m);
	assert_int_equal(xengnttab_unmap(s->tab, m, 1), 0);
	assert_int_equal(xengntshr_unshare(s->shr, s->pages, 4), 0);
	assert_null(xengnttab_map_grant_ref(s->tab, 1, s->refs[1], PROT_READ));
	assert_errno(EINVAL);
}

static void unshare_names_exactly_what_was_shared(void **state)
{
	struct shared *s = *state;

	assert_int_equal(xengntshr_unshare(s->shr, s->pages, 2), -1);
	assert_errno(EINVAL);
	assert_int_equal(xengntshr_unshare(s->shr, s->pages + PAGE, 3), -1);
	assert_errno(EINVAL);
	assert_int_equal(xengntshr_unshare(s->shr, s->pages, 4), 0);
	assert_int_equal(xengntshr_unshare(s->shr, s->pages, 4), -1);
	assert_errno(EINVAL);
}

static void close_gives_up_what_is_mapped(void **state)
{
	struct shared *s = *state;
	xengnttab_handle *other = gnttab_of(0);

	assert_non_null(xengnttab_map_domain_grant_refs(other, 4, 1, s->refs, PROT_READ));
	xengnttab_close(other);
	/* at once: the close has waited */
	assert_int_equal(xengntshr_unshare(s->shr, s->pages, 4), 0);
}

static void refs_start_behind_the_reserved_ones(void **state)
{
	struct shared *s = *state;

	for (unsigned i = 0; i < 4; i++)
		assert_in_range(s->refs[i], 8, 32767);
}

static void max_grants_is_a_limit(void **state)
{
	struct shared *s = *state;
	char *m;

	assert_int_equal(xengnttab_set_max_grants(s->tab, 3), 0);
	assert_null(xengnttab_map_domain_grant_refs(s->tab, 4, 1, s->refs, PROT_READ));
	assert_errno(ENOMEM);
	m = xengnttab_map_domain_grant_refs(s->tab, 3, 1, s->refs, PROT_READ);
	assert_non_null(m);
	assert_null(xengnttab_map_grant_ref(s->tab, 1, s->refs[3], PROT_READ));
	assert_errno(ENOMEM);
	assert_int_equal(xengnttab_unmap(s->tab, m, 3), 0);
}

static void thousands_of_pages_in_one_call(void **state)
{
	enum { MANY = 20000 };
	struct shared *s = *state;
	uint32_t *refs = calloc(MANY, sizeof(*refs));
	char *pages = xengntshr_share_pages(s->shr, 0, MANY, refs, 1), *m;

	assert_non_null(pages);
	m = xengnttab_map_domain_grant_refs(s->tab, MANY, 1, refs, PROT_READ);
	assert_non_null(m);
	for (unsigned i = 0; i < MANY; i += 7)
		pages[(size_t)i * PAGE] = (char)i;
	for (unsigned i = 0; i < MANY; i += 7)
		assert_int_equal(m[(size_t)i * PAGE], (char)i);
	assert_int_equal(xengnttab_unmap(s->tab, m, MANY), 0);
	assert_int_equal(xengntshr_unshare(s->shr, pages, MANY), 0);
	free(refs);
}

static void a_full_table_is_said(void **state)
{
	struct shared *s = *state;
	uint32_t *refs = calloc(40000, sizeof(*refs));
	uint32_t ref;
	char *page;

	assert_null(xengntshr_share_pages(s->shr, 0, 32767, refs, 1));
	assert_errno(ENOSPC);
	assert_null(xengntshr_share_pages(s->shr, 0, 40000, refs, 1));
	assert_errno(ENOSPC);
	assert_null(xengntshr_share_pages(s->shr, 0, 0, refs, 1));
	assert_errno(EINVAL);
	page = xengntshr_share_pages(s->shr, 0, 1, &ref, 1);
	assert_non_null(page);
	free(refs);
}

static void share_one(void *result)
{
	xengntshr_handle *shr = gntshr_of(1);
	char *page = xengntshr_share_pages(shr, 0, 1, result, 1);

	page[0] = 'q';
}

static void refs_of_a_killed_process_are_free_after_the_last_unmap(void **state)
{
	struct shared *s = *state;
	uint32_t ref, next;
	pid_t pid = fork_and_wait(share_one, &ref, sizeof(ref));
	char *m = xengnttab_map_grant_ref(s->tab, 1, ref, PROT_READ), *page;

	assert_non_null(m);
	end_process(pid);
	assert_int_equal(m[0], 'q');
	page = xengntshr_share_pages(s->shr, 0, 1, &next, 1);
	assert_non_null(page);
	assert_int_not_equal(next, ref);
	assert_int_equal(xengntshr_unshare(s->shr, page, 1), 0);
	assert_int_equal(xengnttab_unmap(s->tab, m, 1), 0);
	assert_null(xengnttab_map_grant_ref(s->tab, 1, ref, PROT_READ));
	assert_errno(EINVAL);
}

static void map_given(void *result)
{
	xengnttab_handle *tab = gnttab_of(0);
	uint32_t ref = *(uint32_t *)result;

	if (!xengnttab_map_grant_ref(tab, 1, ref, PROT_READ | PROT_WRITE))
		_exit(1);
}

static void a_killed_process_maps_no_more(void **state)
{
	struct shared *s = *state;
	uint32_t ref = s->refs[3];
	pid_t pid = fork_and_wait(map_given, &ref, sizeof(ref));

	assert_int_equal(xengntshr_unshare(s->shr, s->pages, 4), -1);
	assert_errno(EBUSY);
	end_process(pid);
	assert_int_equal(xengntshr_unshare(s->shr, s->pages, 4), 0);
}

static void map_for_ever(xengnttab_handle *tab, uint32_t ref, int told)
{
	for (unsigned i = 0;; i++) {
		char *m = xengnttab_map_grant_ref(tab, 1, ref, PROT_READ);

		if (!m || xengnttab_unmap(tab, m, 1))
			_exit(1);
		if (i == 3 && write(told, "", 1) != 1)
			_exit(1);
	}
}

/* Its last request may still be on its way when it dies, and must not be served after its end. */
static void a_process_killed_amid_a_call_maps_no_more(void **state)
{
	struct shared *s = *state;

	for (unsigned round = 0; round < 200; round++) {
		int pipes[2];
		uint32_t ref;
		char *page = xengntshr_share_pages(s->shr, 0, 1, &ref, 1), byte;
		pid_t pid;

		assert_non_null(page);
		assert_int_equal(pipe(pipes), 0);
		pid = fork();
		if (!pid)
			map_for_ever(gnttab_of(0), ref, pipes[1]);
		assert_int_equal(read(pipes[0], &byte, 1), 1);
		end_process(pid);
		assert_int_equal(xengntshr_unshare(s->shr, page, 1), 0);
		close(pipes[0]);
		close(pipes[1]);
	}
}

static void map_with_notify(void *result)
{
	xengnttab_handle *tab = gnttab_of(0);
	xenevtchn_handle *events = evtchn_of(0);
	uint32_t *ref_and_port = result;
	int port = xenevtchn_bind_interdomain(events, 1, ref_and_port[1]);

	if (port < 0 ||
	    !xengnttab_map_grant_ref_notify(tab, 1, ref_and_port[0], PROT_READ | PROT_WRITE, 5,
					    (evtchn_port_t)port))
		_exit(1);
}

static void a_peer_hears_of_the_unmap_of_a_killed_process(void **state)
{
	struct shared *s = *state;
	xenevtchn_handle *events = evtchn_of(1);
	int port = xenevtchn_bind_unbound_port(events, 0);
	uint32_t ref_and_port[] = {s->refs[0], (uint32_t)port};
	struct pollfd ready = {xenevtchn_fd(events), POLLIN, 0};
	pid_t pid;

	s->pages[4] = s->pages[5] = 1;
	pid = fork_and_wait(map_with_notify, ref_and_port, sizeof(ref_and_port));
	assert_int_equal(s->pages[5], 1);
	assert_int_equal(poll(&ready, 1, 0), 0);
	end_process(pid);
	assert_int_equal(poll(&ready, 1, 10000), 1);
	assert_int_equal(xenevtchn_pending(events), port);
	assert_int_equal(s->pages[4], 1);
	assert_int_equal(s->pages[5], 0);
	xenevtchn_close(events);
}

static void notify_that_cannot_be_is_refused(void **state)
{
	struct shared *s = *state;

	assert_null(xengnttab_map_grant_ref_notify(s->tab, 1, s->refs[0], PROT_READ, 5, -1));
	assert_errno(EINVAL);
	assert_null(xengnttab_map_grant_ref_notify(s->tab, 1, s->refs[0], PROT_READ | PROT_WRITE,
						   PAGE, -1));
	assert_errno(EINVAL);
	assert_null(xengnttab_map_grant_ref_notify(s->tab, 1, s->refs[0], PROT_READ | PROT_WRITE,
						   -1, 4000));
	assert_errno(EINVAL);
	assert_int_equal(xengntshr_unshare(s->shr, s->pages, 4), 0);
}

static void the_mapper_sees_the_end_of_a_page_shared_with_notify(void **state)
{
	struct shared *s = *state;
	uint32_t ref;
	char *page = xengntshr_share_page_notify(s->shr, 0, &ref, 1, 12, -1), *m;

	assert_non_null(page);
	m = xengnttab_map_grant_ref(s->tab, 1, ref, PROT_READ);
	assert_non_null(m);
	page[12] = 3;
	assert_int_equal(m[12], 3);
	xengntshr_close(s->shr);
	s->shr = NULL;
	assert_int_equal(m[12], 0);
	assert_int_equal(xengnttab_unmap(s->tab, m, 1), 0);
}

#define IN_FOUR(test) cmocka_unit_test_setup_teardown(test, share_four, end_four)

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_FOUR(mapped_page_is_the_shared_one),
		IN_FOUR(pages_are_mapped_in_the_order_of_their_refs),
		IN_FOUR(new_pages_are_zero),
		IN_FOUR(one_bad_ref_fails_the_whole_call),
		IN_FOUR(no_pages_or_no_domain_is_refused),
		IN_FOUR(only_the_domain_it_is_granted_to_maps_a_page),
		IN_FOUR(read_only_grant_maps_read_only),
		IN_FOUR(unmap_names_exactly_what_was_mapped),
		IN_FOUR(two_may_map_the_same_page),
		IN_FOUR(a_mapped_page_stays_granted),
		IN_FOUR(unshare_names_exactly_what_was_shared),
		IN_FOUR(close_gives_up_what_is_mapped),
		IN_FOUR(refs_start_behind_the_reserved_ones),
		IN_FOUR(max_grants_is_a_limit),
		IN_FOUR(thousands_of_pages_in_one_call),
		IN_FOUR(a_full_table_is_said),
		IN_FOUR(refs_of_a_killed_process_are_free_after_the_last_unmap),
		IN_FOUR(a_killed_process_maps_no_more),
		IN_FOUR(a_process_killed_amid_a_call_maps_no_more),
		IN_FOUR(a_peer_hears_of_the_unmap_of_a_killed_process),
		IN_FOUR(notify_that_cannot_be_is_refused),
		IN_FOUR(the_mapper_sees_the_end_of_a_page_shared_with_notify),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
