/* SPDX-License-Identifier: MIT */
/*
 * XenStore as the library sees it: what is too long, transactions that come to nothing, waiting.
 */
#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <unistd.h>
#include <cmocka.h>

#include "num.h"
#include "store.h"

#define DIR	  "/local/domain/0/test"
#define A_LOT	  600 /* events, more than are taken at a time */
#define MINUTE_NS 60000000000ull

static struct store *store, *other;

static int begin(void **state)
{
	return store_open(&store, NULL) || store_open(&other, NULL) ||
	       store_write(store, XBT_NULL, DIR, "x", "0");
}

static int end(void **state)
{
	int ret = store_remove(store, XBT_NULL, DIR);

	store_close(store);
	store_close(other);
	return ret;
}

static void what_is_too_long(void **state)
{
	char text[STORE_VALUE_MAX + 1] = "", back[STORE_VALUE_MAX];

	memset(text, 'x', sizeof(text) - 1);
	assert_int_equal(store_write(store, XBT_NULL, DIR, text, "1"), -ENAMETOOLONG);
	assert_int_equal(store_write(store, XBT_NULL, DIR, "long", "%s", text), -EMSGSIZE);
	assert_int_equal(store_read_in(store, XBT_NULL, DIR, "long", back), -ENOENT);
	text[STORE_VALUE_MAX - 1] = '\0';
	assert_int_equal(store_write(store, XBT_NULL, DIR, "long", "%s", text), 0);
	assert_int_equal(store_read_in(store, XBT_NULL, DIR, "long", back), STORE_VALUE_MAX - 1);
	assert_string_equal(back, text);
}

/* --- transactions ----------------------------------------------------------------------------- */

struct attempt {
	int upset; /* so many times it cannot reach its end; -1: always */
	int conflicts;
	int result;
	unsigned calls;
};

static int attempt(struct store *mine, xs_transaction_t tx, void *opaque)
{
	struct attempt *a = opaque;
	char value[STORE_VALUE_MAX];

	a->calls++;
	assert_true(store_read_in(mine, tx, DIR, "x", value) > 0);
	assert_int_equal(store_write(mine, tx, DIR, "x", "%u", a->calls), 0);
	if (a->conflicts && a->conflicts--)
		assert_int_equal(store_write(other, XBT_NULL, DIR, "x", "other"), 0);
	if (a->upset && a->upset--)
		return -EAGAIN;
	return a->result;
}

static void check_x(const char *want)
{
	char value[STORE_VALUE_MAX];

	assert_true(store_read_in(store, XBT_NULL, DIR, "x", value) > 0);
	assert_string_equal(value, want);
}

static void a_transaction_is_tried_again(void **state)
{
	struct attempt conflicts = {.conflicts = 2}, upset = {.upset = 2};

	assert_int_equal(store_transaction(store, attempt, &conflicts), 0);
	assert_int_equal(conflicts.calls, 3);
	check_x("3");
	assert_int_equal(store_transaction(store, attempt, &upset), 0);
	assert_int_equal(upset.calls, 3);
}

static void a_transaction_that_fails_changes_nothing(void **state)
{
	struct attempt refused = {.result = -EBUSY}, upset = {.upset = -1};

	assert_int_equal(store_transaction(store, attempt, &refused), -EBUSY);
	assert_int_equal(refused.calls, 1);
	assert_int_equal(store_transaction(store, attempt, &upset), -EAGAIN);
	assert_in_range(upset.calls, 2, 1000);
	check_x("0");
}

static int end_it(struct store *mine, xs_transaction_t tx, void *opaque)
{
	return !xs_transaction_end(store_handle(mine), tx, true);
}

static void a_transaction_that_cannot_be_ended(void **state)
{
	assert_int_equal(store_transaction(store, end_it, NULL), -ENOENT);
}

/* --- waiting ---------------------------------------------------------------------------------- */

static unsigned looks;

static int count_looks(struct store *mine, void *opaque)
{
	struct pollfd fd = {.fd = store_fd(mine), .events = POLLIN};

	/* Once nothing more is there, and not before. */
	looks++;
	return poll(&fd, 1, 0) ? 0 : 1;
}

/* The nodes are looked at in between, and not once for each event. */
static void many_events(void **state)
{
	char path[STORE_PATH_MAX], token[STORE_PATH_MAX];

	looks = 0;
	assert_int_equal(store_watch(store, DIR, "token"), 0);
	for (unsigned i = 0; i < A_LOT; i++)
		assert_int_equal(store_write(other, XBT_NULL, DIR, "x", "%u", i), 0);
	check_x("599"); /* an answer comes after the events before it: all of them are here */
	assert_int_equal(store_wait(store, now_ns() + MINUTE_NS, count_looks, NULL), 1);
	assert_in_range(looks, 3, A_LOT / 4);
	assert_int_equal(store_next_event(store, path, token), 0);
	assert_int_equal(store_unwatch(store, DIR, "token"), 0);
}

static volatile sig_atomic_t rang;

static void ring_bell(int signal)
{
	rang = 1;
}

static int has_rung(struct store *mine, void *opaque)
{
	return rang;
}

/* A signal without a word on the interrupt's descriptor is no end. */
static void a_signal_does_not_end_a_wait(void **state)
{
	const struct sigaction act = {.sa_handler = ring_bell};
	/* Again and again: the first may come before the wait begins. */
	const struct itimerval often = {{0, 10000}, {0, 10000}}, never = {{0, 0}, {0, 0}};
	struct sigaction before;
	int ret;

	rang = 0;
	assert_int_equal(sigaction(SIGALRM, &act, &before), 0);
	assert_int_equal(setitimer(ITIMER_REAL, &often, NULL), 0);
	ret = store_wait(store, now_ns() + MINUTE_NS, has_rung, NULL);
	setitimer(ITIMER_REAL, &never, NULL);
	sigaction(SIGALRM, &before, NULL);
	assert_int_equal(ret, 1);
}

/* --- the lifeline ----------------------------------------------------------------------------- */

static void a_lifeline_is_quiet(void **state)
{
	struct pollfd fd = {.fd = store_lifeline(), .events = POLLIN | POLLRDHUP};

	assert_true(fd.fd >= 0);
	assert_int_equal(poll(&fd, 1, 0), 0);
	close(fd.fd);
}

static void without_a_lifeline(void **state)
{
	char *path = strdup(getenv("XENSTORED_PATH")), longest[200];
	struct rlimit files, none;
	int ret;

	setenv("XENSTORED_PATH", "/nonexistent/socket", 1);
	assert_int_equal(store_lifeline(), -ENOENT);
	memset(longest, 'x', sizeof(longest));
	longest[sizeof(longest) - 1] = '\0';
	setenv("XENSTORED_PATH", longest, 1);
	assert_int_equal(store_lifeline(), -ENAMETOOLONG);
	setenv("XENSTORED_PATH", path, 1);
	free(path);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &files), 0);
	none = (struct rlimit){0, files.rlim_max};
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	ret = store_lifeline();
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &files), 0);
	assert_int_equal(ret, -EMFILE);
}

#define in_store(test) cmocka_unit_test_setup_teardown(test, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		in_store(what_is_too_long),
		in_store(a_transaction_is_tried_again),
		in_store(a_transaction_that_fails_changes_nothing),
		in_store(a_transaction_that_cannot_be_ended),
		in_store(many_events),
		in_store(a_signal_does_not_end_a_wait),
		in_store(a_lifeline_is_quiet),
		in_store(without_a_lifeline),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
