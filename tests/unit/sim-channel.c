/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <poll.h>
#include "guest.h"

#include "channel.h"

struct ends {
	struct channel *front, *back;
};

/* The backend's end in domain 0, the frontend's in domain 1; no event waits. */
static struct ends connect_ends(void)
{
	struct ends ends;

	enter_domain("1");
	assert_int_equal(channel_offer(&ends.front, 0), 0);
	enter_domain("0");
	assert_int_equal(channel_bind(&ends.back, 1, channel_port(ends.front)), 0);
	/* A bind may leave an event at either end. */
	if (channel_take(ends.back))
		assert_int_equal(channel_rearm(ends.back), 0);
	if (channel_take(ends.front))
		assert_int_equal(channel_rearm(ends.front), 0);
	return ends;
}

static void close_ends(struct ends ends)
{
	channel_close(ends.back);
	channel_close(ends.front);
}

/* Is the descriptor readable, or does it become so? */
static bool readable(const struct channel *channel, int timeout_ms)
{
	struct pollfd event = {.fd = channel_fd(channel), .events = POLLIN};

	return poll(&event, 1, timeout_ms) == 1;
}

#define SOON_MS 10000 /* a bound for an event that comes */

static void events_both_ways(void **state)
{
	struct ends ends = connect_ends();

	assert_int_equal(channel_take(ends.back), 0);
	assert_int_equal(channel_take(ends.front), 0);
	assert_int_equal(channel_notify(ends.front), 0);
	assert_true(readable(ends.back, SOON_MS));
	assert_int_equal(channel_take(ends.back), 1);
	assert_int_equal(channel_take(ends.back), 0);
	assert_int_equal(channel_notify(ends.back), 0);
	assert_true(readable(ends.front, SOON_MS));
	assert_int_equal(channel_take(ends.front), 1);
	assert_int_equal(channel_rearm(ends.back), 0);
	assert_int_equal(channel_rearm(ends.front), 0);
	assert_int_equal(channel_take(ends.back), 0);
	close_ends(ends);
}

/* From take to rearm no event is delivered, and none that came meanwhile is lost. */
static void masked_until_rearmed(void **state)
{
	struct ends ends = connect_ends();

	assert_int_equal(channel_notify(ends.front), 0);
	assert_true(readable(ends.back, SOON_MS));
	assert_int_equal(channel_take(ends.back), 1);
	assert_int_equal(channel_notify(ends.front), 0);
	assert_int_equal(channel_notify(ends.front), 0);
	assert_false(readable(ends.back, 0));
	assert_int_equal(channel_take(ends.back), 0);
	assert_int_equal(channel_rearm(ends.back), 0);
	assert_true(readable(ends.back, SOON_MS));
	assert_int_equal(channel_take(ends.back), 1);
	assert_int_equal(channel_rearm(ends.back), 0);
	assert_false(readable(ends.back, 0)); /* the two were one event */
	close_ends(ends);
}

/* protocol.md 21: a server that ends leaves the guest's port to the next one. */
static void bound_again(void **state)
{
	struct ends ends = connect_ends();

	for (unsigned n = 0; n < 3; n++) {
		channel_close(ends.back);
		assert_int_equal(channel_bind(&ends.back, 1, channel_port(ends.front)), 0);
		if (channel_take(ends.back))
			assert_int_equal(channel_rearm(ends.back), 0);
		assert_int_equal(channel_notify(ends.front), 0);
		assert_true(readable(ends.back, SOON_MS));
		assert_int_equal(channel_take(ends.back), 1);
	}
	close_ends(ends);
}

static void bad_ports(void **state)
{
	struct ends ends = connect_ends();
	struct channel *other = NULL;

	assert_true(channel_bind(&other, 1, channel_port(ends.front)) < 0); /* taken */
	assert_true(channel_bind(&other, 1, 0) < 0);
	assert_true(channel_bind(&other, 1, 100000) < 0);
	assert_true(channel_bind(&other, 77, 1) < 0); /* no such domain */
	enter_domain("2");
	assert_true(channel_bind(&other, 1, channel_port(ends.front)) < 0); /* not for it */
	enter_domain("0");
	assert_null(other);
	channel_close(NULL);
	close_ends(ends);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(events_both_ways),
		cmocka_unit_test(masked_until_rearmed),
		cmocka_unit_test(bound_again),
		cmocka_unit_test(bad_ports),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
