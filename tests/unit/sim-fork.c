/* SPDX-License-Identifier: MIT */
/* Handles in several threads and after a fork; counting and failing in a child. */
#include "in-sim.h"

#include <pthread.h>

static void a_child_may_close_what_it_inherits(void **state)
{
	xengntshr_handle *shr = gntshr_of(1);
	xengnttab_handle *tab = gnttab_of(0);
	xenevtchn_handle *events = evtchn_of(1);
	uint32_t ref;
	char *page = xengntshr_share_pages(shr, 0, 1, &ref, 1);
	char *m = xengnttab_map_grant_ref(tab, 1, ref, PROT_READ);
	int port = xenevtchn_bind_unbound_port(events, 0), status;
	pid_t pid = fork();

	if (!pid) {
		xengntshr_close(shr);
		xengnttab_close(tab);
		xenevtchn_close(events);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status) && !WEXITSTATUS(status));
	/* all of it still is the parent's */
	page[3] = 'p';
	assert_int_equal(m[3], 'p');
	assert_int_equal(xenevtchn_notify(events, (evtchn_port_t)port), 0);
	assert_int_equal(xengnttab_unmap(tab, m, 1), 0);
	assert_int_equal(xengntshr_unshare(shr, page, 1), 0);
	xengnttab_close(tab);
	xengntshr_close(shr);
	xenevtchn_close(events);
}

struct work {
	xengnttab_handle *tab;
	uint32_t ref;
	bool ok;
};

static void *map_and_unmap(void *opaque)
{
	struct work *w = opaque;

	w->ok = true;
	for (int i = 0; i < 500 && w->ok; i++) {
		char *m = xengnttab_map_grant_ref(w->tab, 1, w->ref, PROT_READ);
		w->ok = m && *(uint32_t *)m == w->ref && !xengnttab_unmap(w->tab, m, 1);
	}
	return NULL;
}

static void threads_share_a_handle(void **state)
{
	enum { THREADS = 4 };
	xengntshr_handle *shr = gntshr_of(1);
	xengnttab_handle *tab = gnttab_of(0);
	uint32_t refs[THREADS];
	char *pages = xengntshr_share_pages(shr, 0, THREADS, refs, 1);
	struct work work[THREADS];
	pthread_t threads[THREADS];

	assert_non_null(pages);
	for (int i = 0; i < THREADS; i++) {
		*(uint32_t *)(pages + i * (int)PAGE) = refs[i];
		work[i] = (struct work){tab, refs[i], false};
		assert_int_equal(pthread_create(&threads[i], NULL, map_and_unmap, &work[i]), 0);
	}
	for (int i = 0; i < THREADS; i++) {
		pthread_join(threads[i], NULL);
		assert_true(work[i].ok);
	}
	assert_int_equal(xengntshr_unshare(shr, pages, THREADS), 0);
	xengnttab_close(tab);
	xengntshr_close(shr);
}

/* Calls of a child until the third fails; the parent has made many before. */
static void a_child_counts_from_one(void **state)
{
	int status;
	pid_t pid;

	for (int i = 0; i < 5; i++)
		xengnttab_close(gnttab_of(0));
	setenv("TAP_SIM_FAIL", "xengnttab_open:3:EMFILE", 1);
	pid = fork();
	if (!pid) {
		if (!xengnttab_open(NULL, 0) || !xengnttab_open(NULL, 0))
			_exit(1);
		errno = 0;
		if (xengnttab_open(NULL, 0) || errno != EMFILE)
			_exit(2);
		_exit(xengnttab_open(NULL, 0) ? 0 : 3);
	}
	unsetenv("TAP_SIM_FAIL");
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	/* and the parent is not touched */
	xengnttab_close(gnttab_of(0));
}

/* Each call fails the way the real one does. */
static void a_failed_call_fails_as_the_real_one(void **state)
{
	int status;
	pid_t pid;

	setenv("TAP_SIM_FAIL",
	       "xengnttab_grant_copy:1:EFAULT,xengntshr_share_pages:1,xenevtchn_notify:1:EIO,any:7:"
	       "ENOSPC",
	       1);
	pid = fork();
	if (!pid) {
		xengnttab_handle *tab = gnttab_of(0);	 /* 1 */
		xengntshr_handle *shr = gntshr_of(1);	 /* 2 */
		xenevtchn_handle *events = evtchn_of(0); /* 3 */
		xengnttab_grant_copy_segment_t segment = {.len = 1, .status = 99};
		uint32_t ref;

		if (xengnttab_grant_copy(tab, 1, &segment) != -1 || errno != EFAULT)
			_exit(1);
		if (segment.status != 99)
			_exit(2);
		if (xengntshr_share_pages(shr, 0, 1, &ref, 1) || errno != ENOMEM)
			_exit(3);
		if (xenevtchn_notify(events, 1) != -1 || errno != EIO)
			_exit(4);
		if (xenevtchn_bind_unbound_port(events, 1) != -1 || errno != ENOSPC)
			_exit(5);
		_exit(xenevtchn_bind_unbound_port(events, 1) > 0 ? 0 : 6);
	}
	unsetenv("TAP_SIM_FAIL");
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_child_may_close_what_it_inherits),
		cmocka_unit_test(threads_share_a_handle),
		cmocka_unit_test(a_child_counts_from_one),
		cmocka_unit_test(a_failed_call_fails_as_the_real_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
