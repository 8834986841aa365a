/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "attach.h"
#include "rundir.h"
#include "stats.h"

enum ready { READY_TO_REMOVE = 1, ALREADY_GONE };

struct detaching {
	const struct disk *disk;
	const struct detach_options *options;
	enum xenbus_state back, front;
	bool ring_gone; /* the guest's end died: waiting for it makes no sense */
	struct plan plan;
	struct err *e;
};

static void tell(const struct detaching *d, const char *text)
{
	if (d->options->step)
		d->options->step(d->options->opaque, text);
}

static bool is_unserved(const struct disk *disk)
{
	return !disk_has_other_server(disk) && !rundir_server(disk);
}

static void look_at_states(struct store *store, xs_transaction_t tx, struct detaching *d)
{
	enum xenbus_state back = xenbus_state_in(store, tx, d->disk->backend);
	enum xenbus_state front = xenbus_state_in(store, tx, d->disk->frontend);
	char text[96];

	if (back == d->back && front == d->front)
		return;
	d->back = back;
	d->front = front;
	disk_states_text(back, front, text);
	tell(d, text);
}

/* Both ends have let go: the backend says so, or there is none alive to hold anything. */
static int is_ready(struct store *store, xs_transaction_t tx, struct detaching *d)
{
	look_at_states(store, tx, d);
	if (d->back == XENBUS_GONE)
		return ALREADY_GONE;
	if (d->options->force || d->ring_gone)
		return READY_TO_REMOVE;
	if (frontend_is_at_rest(d->front) && (d->back == XENBUS_CLOSED || is_unserved(d->disk)))
		return READY_TO_REMOVE;
	return 0;
}

static int look(struct store *store, void *opaque)
{
	return is_ready(store, XBT_NULL, opaque);
}

/* --- what must be known before anything is written ------------------------------------------- */

static int refuse_unserved(const struct detaching *d, struct err *e)
{
	char states[96];

	disk_states_text(d->back, d->front, states);
	err_set(e, -EUCLEAN, TAP_EXIT_REFUSED,
		"nobody serves it and the guest's end is up (%s): what is in flight would be lost",
		states);
	err_hint(e, "run 'tap-serve %s' and detach again, or give it up: tap-attach -d --force %s",
		 d->disk->name, d->disk->name);
	return -EUCLEAN;
}

static int check(struct store *store, struct detaching *d)
{
	look_at_states(store, XBT_NULL, d);
	if (d->back == XENBUS_GONE)
		return err_set(d->e, -ENOENT, TAP_EXIT_NONE, "no such disk");
	if (disk_is_libxls(store, XBT_NULL, d->disk)) {
		err_set(d->e, -EPERM, TAP_EXIT_REFUSED, "the disk is libxl's, not tap-attach's");
		err_hint(d->e, "xl block-detach %u %u", d->disk->domid, d->disk->vdev);
		return -EPERM;
	}
	if (d->options->force || frontend_is_at_rest(d->front))
		return 0;
	d->ring_gone = stale_ring_is_gone(store, XBT_NULL, d->disk);
	if (d->ring_gone) {
		tell(d, "the guest's end is gone: its ring is no longer granted");
		return 0;
	}
	/* A frontend at Initialised whose backend never got further has nothing in flight. */
	if (is_unserved(d->disk) && (d->front == XENBUS_CONNECTED || d->back == XENBUS_CONNECTED))
		return refuse_unserved(d, d->e);
	return 0;
}

/* --- the request ------------------------------------------------------------------------------ */

static int request_in(struct store *store, xs_transaction_t tx, void *opaque)
{
	struct detaching *d = opaque;
	enum xenbus_state back = xenbus_state_in(store, tx, d->disk->backend);

	d->plan = (struct plan){0};
	if (back == XENBUS_GONE)
		return -ENOENT;
	plan_write(&d->plan, d->disk->backend, "online", "0");
	if (back != XENBUS_CLOSED)
		plan_write(&d->plan, d->disk->backend, "state", "%d", XENBUS_CLOSING);
	return d->options->dry_run ? plan_print(&d->plan, d->options->dry_run)
				   : plan_apply(&d->plan, store, tx);
}

static int watch_ends(struct store *store, const struct disk *disk)
{
	int ret = store_watch(store, disk->backend, "backend");

	return ret ? ret : store_watch(store, disk->frontend, "frontend");
}

static void unwatch_ends(struct store *store, const struct disk *disk)
{
	store_unwatch(store, disk->backend, "backend");
	store_unwatch(store, disk->frontend, "frontend");
}

/* --- the removal ------------------------------------------------------------------------------ */

static int remove_in(struct store *store, xs_transaction_t tx, void *opaque)
{
	struct detaching *d = opaque;

	/* A frontend that came back between the last look and here is waited for again. */
	if (!d->options->dry_run && !is_ready(store, tx, d))
		return -EBUSY;
	d->plan = (struct plan){0};
	disk_plan_removal(store, tx, d->disk, &d->plan);
	return d->options->dry_run ? plan_print(&d->plan, d->options->dry_run)
				   : plan_apply(&d->plan, store, tx);
}

/* The server gives the image back after it said Closed; the next attach may want it at once. */
static int await_server(const struct store *store, const struct detaching *d)
{
	pid_t server = rundir_server(d->disk);
	int ret = rundir_await_release(d->disk, d->options->deadline_ns, store_interrupt(store));

	if (ret == -EINTR)
		return err_set(d->e, ret, TAP_EXIT_SYSTEM,
			       "removed; interrupted before its server (pid %d) let go of it",
			       (int)server);
	if (ret)
		return err_set(d->e, ret, ret == -ETIMEDOUT ? TAP_EXIT_TIMEOUT : TAP_EXIT_SYSTEM,
			       "removed, but its server (pid %d) has not let go of it: %s",
			       (int)server, strerror(-ret));
	rundir_remove(d->disk);
	return 0;
}

/* --- the deadline ----------------------------------------------------------------------------- */

static int explain_timeout(struct store *store, const struct detaching *d)
{
	pid_t server = rundir_server(d->disk);
	char error[STORE_VALUE_MAX], states[96];
	bool refused = xenbus_read_error(store, d->disk->frontend, error) > 0;

	disk_states_text(d->back, d->front, states);
	if (is_unserved(d->disk))
		return refuse_unserved(d, d->e);
	if (refused || d->front == XENBUS_CONNECTED) {
		err_set(d->e, -EBUSY, TAP_EXIT_BUSY,
			"the guest holds it (%s)%s%.120s; the request stays in place", states,
			refused ? ": " : "", refused ? error : "");
		err_hint(d->e,
			 "once the guest lets go, 'tap-attach -d %s' completes it; --force removes "
			 "it under the guest",
			 d->disk->name);
		return -EBUSY;
	}
	err_set(d->e, -ETIMEDOUT, TAP_EXIT_TIMEOUT,
		"not closed in time (%s, server pid %d); the request stays in place", states,
		(int)server);
	err_hint(d->e, "'tap-attach -d %s' goes on waiting, --force does not", d->disk->name);
	return -ETIMEDOUT;
}

static int explain(struct store *store, const struct detaching *d, int ret)
{
	switch (ret) {
	case -ETIMEDOUT:
		return explain_timeout(store, d);
	case -EINTR:
		return err_set(d->e, ret, TAP_EXIT_SYSTEM,
			       "interrupted; the request to detach stays in place");
	default:
		return err_set(d->e, ret, err_exit_of(ret), "cannot detach in XenStore: %s",
			       strerror(-ret));
	}
}

static int wait_and_remove(struct store *store, struct detaching *d)
{
	int ret;

	do {
		ret = store_wait(store, d->options->deadline_ns, look, d);
		if (ret == ALREADY_GONE)
			ret = 0; /* another tap-attach was faster */
		else if (ret == READY_TO_REMOVE)
			ret = store_transaction(store, remove_in, d);
	} while (ret == -EBUSY);
	return ret;
}

static int detach(struct store *store, struct detaching *d)
{
	int ret = check(store, d);

	if (ret)
		return ret;
	if (d->options->dry_run) {
		if (!d->options->force)
			ret = store_transaction(store, request_in, d);
		if (!d->options->force && !d->ring_gone)
			fprintf(d->options->dry_run, "wait until both ends are %s\n",
				xenbus_state_text(XENBUS_CLOSED));
		if (!ret)
			ret = store_transaction(store, remove_in, d);
		return ret ? explain(store, d, ret) : 0;
	}
	ret = watch_ends(store, d->disk);
	if (!ret && !d->options->force)
		ret = store_transaction(store, request_in, d);
	if (!ret)
		ret = wait_and_remove(store, d);
	unwatch_ends(store, d->disk);
	return ret ? explain(store, d, ret) : await_server(store, d);
}

int detach_disk(struct store *store, const struct disk *disk, const struct detach_options *options,
		struct err *e)
{
	struct detaching *d = calloc(1, sizeof(*d));
	int ret;

	if (!d)
		return err_set(e, -ENOMEM, TAP_EXIT_SYSTEM, "out of memory");
	d->disk = disk;
	d->options = options;
	d->back = d->front = XENBUS_INVALID;
	d->e = e;
	ret = detach(store, d);
	free(d);
	return ret;
}

void detach_loss(struct store *store, const struct disk *disk, char *buf, size_t buf_bytes)
{
	struct stats_file *stats = calloc(1, sizeof(*stats));
	struct stats_queue sum = {0};
	char states[96];

	disk_states_text(xenbus_state(store, disk->backend), xenbus_state(store, disk->frontend),
			 states);
	if (stats && !stats_read(disk, stats)) {
		stats_sum(stats, &sum);
		snprintf(buf, buf_bytes,
			 "%s; lost: %" PRIu64 " requests in flight, and what the guest still has "
			 "to write",
			 states, sum.in_flight);
	} else {
		snprintf(buf, buf_bytes, "%s; lost: what is in flight, if anything is", states);
	}
	free(stats);
}
