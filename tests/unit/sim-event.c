/* SPDX-License-Identifier: MIT */
/* Event channels in the simulator, against the contracts of xenevtchn.h and of Xen. */
#include "in-sim.h"

#include <fcntl.h>
#include <xen/xen.h>

/* A channel between dom0 and domain 1, its first event taken. */
struct channel {
	xenevtchn_handle *front, *back;
	int front_port, back_port;
};

static bool readable(xenevtchn_handle *h)
{
	struct pollfd p = {xenevtchn_fd(h), POLLIN, 0};

	return poll(&p, 1, 0) == 1;
}

static void take(xenevtchn_handle *h, int port)
{
	struct pollfd p = {xenevtchn_fd(h), POLLIN, 0};

	assert_int_equal(poll(&p, 1, 10000), 1);
	assert_int_equal(xenevtchn_pending(h), port);
}

static int make_channel(void **state)
{
	struct channel *c = calloc(1, sizeof(*c));

	c->front = evtchn_of(1);
	c->back = evtchn_of(0);
	c->front_port = xenevtchn_bind_unbound_port(c->front, 0);
	assert_true(c->front_port > 0);
	c->back_port = xenevtchn_bind_interdomain(c->back, 1, (evtchn_port_t)c->front_port);
	assert_true(c->back_port > 0);
	take(c->back, c->back_port);
	assert_int_equal(xenevtchn_unmask(c->back, (evtchn_port_t)c->back_port), 0);
	*state = c;
	return 0;
}

static int end_channel(void **state)
{
	struct channel *c = *state;

	xenevtchn_close(c->front);
	if (c->back)
		xenevtchn_close(c->back);
	free(c);
	return 0;
}

static void a_new_binding_is_pending_once(void **state)
{
	xenevtchn_handle *front = evtchn_of(1), *back = evtchn_of(0);
	int port = xenevtchn_bind_unbound_port(front, 0);
	int local = xenevtchn_bind_interdomain(back, 1, (evtchn_port_t)port);

	take(back, local);
	assert_int_equal(xenevtchn_unmask(back, (evtchn_port_t)local), 0);
	assert_false(readable(back));
	assert_false(readable(front));
	xenevtchn_close(front);
	xenevtchn_close(back);
}

static void notify_goes_both_ways(void **state)
{
	struct channel *c = *state;

	assert_false(readable(c->front));
	assert_int_equal(xenevtchn_notify(c->back, (evtchn_port_t)c->back_port), 0);
	take(c->front, c->front_port);
	assert_false(readable(c->back));
	assert_int_equal(xenevtchn_notify(c->front, (evtchn_port_t)c->front_port), 0);
	take(c->back, c->back_port);
}

static void a_port_is_masked_from_pending_to_unmask(void **state)
{
	struct channel *c = *state;

	xenevtchn_notify(c->front, (evtchn_port_t)c->front_port);
	take(c->back, c->back_port);
	assert_false(readable(c->back));
	for (int i = 0; i < 3; i++)
		xenevtchn_notify(c->front, (evtchn_port_t)c->front_port);
	assert_false(readable(c->back));
	/* not lost, and as many events are one */
	assert_int_equal(xenevtchn_unmask(c->back, (evtchn_port_t)c->back_port), 0);
	take(c->back, c->back_port);
	assert_int_equal(xenevtchn_unmask(c->back, (evtchn_port_t)c->back_port), 0);
	assert_false(readable(c->back));
}

static void ports_of_one_handle_come_one_by_one(void **state)
{
	struct channel *c = *state;
	int second = xenevtchn_bind_unbound_port(c->front, 0);
	int local = xenevtchn_bind_interdomain(c->back, 1, (evtchn_port_t)second);

	assert_int_not_equal(local, c->back_port);
	take(c->back, local);
	xenevtchn_unmask(c->back, (evtchn_port_t)local);
	xenevtchn_notify(c->front, (evtchn_port_t)c->front_port);
	xenevtchn_notify(c->front, (evtchn_port_t)second);
	take(c->back, c->back_port);
	take(c->back, local);
	assert_false(readable(c->back));
}

static void only_an_unbound_port_for_me_can_be_bound(void **state)
{
	struct channel *c = *state;
	xenevtchn_handle *other = evtchn_of(2);
	int port = xenevtchn_bind_unbound_port(c->front, 0);

	assert_int_equal(xenevtchn_bind_interdomain(other, 1, (evtchn_port_t)port), -1);
	assert_errno(EINVAL);
	assert_int_equal(xenevtchn_bind_interdomain(c->back, 1, 4000), -1);
	assert_errno(EINVAL);
	assert_int_equal(xenevtchn_bind_interdomain(c->back, 1, 70000), -1);
	assert_errno(EINVAL);
	assert_int_equal(xenevtchn_bind_interdomain(c->back, 77, (evtchn_port_t)port), -1);
	assert_errno(ESRCH);
	assert_int_equal(xenevtchn_bind_interdomain(c->back, 1, (evtchn_port_t)c->front_port), -1);
	assert_errno(EINVAL);
	assert_true(xenevtchn_bind_interdomain(c->back, 1, (evtchn_port_t)port) > 0);
	xenevtchn_close(other);
}

static void a_handle_speaks_only_for_its_own_ports(void **state)
{
	struct channel *c = *state;
	xenevtchn_handle *other = evtchn_of(0);

	assert_int_equal(xenevtchn_notify(other, (evtchn_port_t)c->back_port), -1);
	assert_errno(ENOTCONN);
	assert_int_equal(xenevtchn_unbind(other, (evtchn_port_t)c->back_port), -1);
	assert_errno(ENOTCONN);
	assert_int_equal(xenevtchn_notify(c->back, 70000), -1);
	assert_errno(EINVAL);
	assert_false(readable(c->front));
	xenevtchn_close(other);
}

static void rebind(struct channel *c, unsigned domid, bool works)
{
	xenevtchn_handle *next = evtchn_of(domid);
	int port = xenevtchn_bind_interdomain(next, 1, (evtchn_port_t)c->front_port);

	if (!works) {
		assert_int_equal(port, -1);
		assert_errno(EINVAL);
		xenevtchn_close(next);
		return;
	}
	assert_true(port > 0);
	take(next, port);
	xenevtchn_unmask(next, (evtchn_port_t)port);
	xenevtchn_notify(c->front, (evtchn_port_t)c->front_port);
	take(next, port);
	xenevtchn_notify(next, (evtchn_port_t)port);
	take(c->front, c->front_port);
	xenevtchn_unmask(c->front, (evtchn_port_t)c->front_port);
	xenevtchn_close(next);
}

static void a_closed_end_leaves_the_other_bindable_by_the_same_domain(void **state)
{
	struct channel *c = *state;

	assert_int_equal(xenevtchn_unbind(c->back, (evtchn_port_t)c->back_port), 0);
	/* a notification that nobody hears is no error */
	assert_int_equal(xenevtchn_notify(c->front, (evtchn_port_t)c->front_port), 0);
	rebind(c, 2, false);
	rebind(c, 0, true);
	rebind(c, 0, true);
}

static void bind_given(void *result)
{
	xenevtchn_handle *back = evtchn_of(0);
	int port = *(int *)result;

	if (xenevtchn_bind_interdomain(back, 1, (evtchn_port_t)port) < 0)
		_exit(1);
}

static void a_killed_process_leaves_the_other_end_bindable(void **state)
{
	struct channel *c = *state;
	int port = c->front_port;
	pid_t pid;

	xenevtchn_close(c->back);
	c->back = NULL;
	pid = fork_and_wait(bind_given, &port, sizeof(port));
	rebind(c, 0, false);
	end_process(pid);
	rebind(c, 2, false);
	rebind(c, 0, true);
}

static void a_port_of_a_killed_frontend_is_gone(void **state)
{
	struct channel *c = *state;
	int port = xenevtchn_bind_unbound_port(c->front, 0);

	xenevtchn_close(c->front);
	assert_int_equal(xenevtchn_bind_interdomain(c->back, 1, (evtchn_port_t)port), -1);
	assert_errno(EINVAL);
	/* this end lives on, unbound */
	assert_int_equal(xenevtchn_notify(c->back, (evtchn_port_t)c->back_port), 0);
	c->front = evtchn_of(1);
	port = xenevtchn_bind_interdomain(c->front, 0, (evtchn_port_t)c->back_port);
	assert_true(port > 0);
	take(c->front, port);
}

static void a_virq_is_bound_once_and_by_dom0_only(void **state)
{
	struct channel *c = *state;
	int port = xenevtchn_bind_virq(c->back, VIRQ_DEBUGGER);

	assert_true(port > 0);
	assert_int_equal(xenevtchn_bind_virq(c->back, VIRQ_DEBUGGER), -1);
	assert_errno(EEXIST);
	assert_int_equal(xenevtchn_bind_virq(c->back, 1000), -1);
	assert_errno(EINVAL);
	assert_int_equal(xenevtchn_bind_virq(c->front, VIRQ_DOM_EXC), -1);
	assert_errno(EPERM);
	/* xenstored has it */
	assert_int_equal(xenevtchn_bind_virq(c->back, VIRQ_DOM_EXC), -1);
	assert_errno(EEXIST);
}

static void a_restricted_handle_speaks_to_one_domain(void **state)
{
	struct channel *c = *state;
	xenevtchn_handle *other = evtchn_of(2);
	int of_two = xenevtchn_bind_unbound_port(other, 0);
	int of_one = xenevtchn_bind_unbound_port(c->front, 0);

	assert_int_equal(xenevtchn_restrict(c->back, 0), -1);
	assert_errno(EINVAL);
	assert_int_equal(xenevtchn_restrict(c->back, 1), 0);
	assert_int_equal(xenevtchn_bind_interdomain(c->back, 2, (evtchn_port_t)of_two), -1);
	assert_errno(EACCES);
	assert_true(xenevtchn_bind_interdomain(c->back, 1, (evtchn_port_t)of_one) > 0);
	assert_int_equal(xenevtchn_bind_unbound_port(c->back, 1), -1);
	assert_errno(EACCES);
	assert_int_equal(xenevtchn_restrict(c->back, 2), -1);
	assert_errno(EACCES);
	xenevtchn_close(other);
}

static void a_handle_is_closed_on_exec_unless_asked(void **state)
{
	struct channel *c = *state;
	xenevtchn_handle *kept;

	assert_int_equal(fcntl(xenevtchn_fd(c->back), F_GETFD), FD_CLOEXEC);
	enter_domain(0);
	kept = xenevtchn_open(NULL, XENEVTCHN_NO_CLOEXEC);
	assert_non_null(kept);
	assert_int_equal(fcntl(xenevtchn_fd(kept), F_GETFD), 0);
	xenevtchn_close(kept);
}

#define IN_CHANNEL(test) cmocka_unit_test_setup_teardown(test, make_channel, end_channel)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_new_binding_is_pending_once),
		IN_CHANNEL(notify_goes_both_ways),
		IN_CHANNEL(a_port_is_masked_from_pending_to_unmask),
		IN_CHANNEL(ports_of_one_handle_come_one_by_one),
		IN_CHANNEL(only_an_unbound_port_for_me_can_be_bound),
		IN_CHANNEL(a_handle_speaks_only_for_its_own_ports),
		IN_CHANNEL(a_closed_end_leaves_the_other_bindable_by_the_same_domain),
		IN_CHANNEL(a_killed_process_leaves_the_other_end_bindable),
		IN_CHANNEL(a_port_of_a_killed_frontend_is_gone),
		IN_CHANNEL(a_virq_is_bound_once_and_by_dom0_only),
		IN_CHANNEL(a_restricted_handle_speaks_to_one_domain),
		IN_CHANNEL(a_handle_is_closed_on_exec_unless_asked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
