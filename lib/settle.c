/* SPDX-License-Identifier: MIT */
/* The end of an attach that waits: both ends Connected, or all of it undone. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "attach.h"
#include "rundir.h"

#define UNDO_NS 5000000000ull /* what the undo may take */

enum outcome { SETTLE_CONNECTED = 1, SETTLE_FAILED, SETTLE_NOT_OURS };

struct settling {
	const struct disk *disk;
	enum xenbus_state back, front;
	char back_error[STORE_VALUE_MAX], front_error[STORE_VALUE_MAX];
	attach_step_fn *step;
	void *opaque;
};

static void tell_states(struct settling *s, enum xenbus_state back, enum xenbus_state front)
{
	char text[96];

	if (back == s->back && front == s->front)
		return;
	s->back = back;
	s->front = front;
	disk_states_text(back, front, text);
	if (s->step)
		s->step(s->opaque, text);
}

/* Another tap-attach may have detached the disk meanwhile, and attached another in its place. */
static bool is_anothers(struct store *store, const struct settling *s)
{
	char waiter[STORE_VALUE_MAX], name[48];
	int ret;

	if (xenbus_state(store, s->disk->backend) == XENBUS_GONE)
		return false;
	ret = store_read_in(store, XBT_NULL, s->disk->backend, NODE_ATTACHING, waiter);
	return ret == -ENOENT || (ret > 0 && !waiter_name(name) && strcmp(waiter, name));
}

static int look(struct store *store, void *opaque)
{
	struct settling *s = opaque;

	if (is_anothers(store, s))
		return SETTLE_NOT_OURS;
	tell_states(s, xenbus_state(store, s->disk->backend),
		    xenbus_state(store, s->disk->frontend));
	if (s->back == XENBUS_CONNECTED && s->front == XENBUS_CONNECTED)
		return SETTLE_CONNECTED;
	if (xenbus_read_error(store, s->disk->backend, s->back_error) > 0 ||
	    xenbus_read_error(store, s->disk->frontend, s->front_error) > 0)
		return SETTLE_FAILED;
	if (s->back == XENBUS_GONE || s->front == XENBUS_GONE || s->back == XENBUS_CLOSED)
		return SETTLE_FAILED;
	return 0;
}

static int watch_ends(struct store *store, const struct disk *disk)
{
	char error[STORE_PATH_MAX];
	int ret = store_watch(store, disk->backend, "backend");

	if (!ret)
		ret = store_watch(store, disk->frontend, "frontend");
	if (!ret && !xenbus_error_path(disk->backend, error))
		ret = store_watch(store, error, "backend-error");
	if (!ret && !xenbus_error_path(disk->frontend, error))
		ret = store_watch(store, error, "frontend-error");
	return ret;
}

static void unwatch_ends(struct store *store, const struct disk *disk)
{
	char error[STORE_PATH_MAX];

	store_unwatch(store, disk->backend, "backend");
	store_unwatch(store, disk->frontend, "frontend");
	if (!xenbus_error_path(disk->backend, error))
		store_unwatch(store, error, "backend-error");
	if (!xenbus_error_path(disk->frontend, error))
		store_unwatch(store, error, "frontend-error");
}

/* What became of the wait, in words; @ret is store_wait()'s. */
static int explain(const struct settling *s, int ret, struct err *e)
{
	pid_t server = rundir_server(s->disk);
	char states[96];

	disk_states_text(s->back, s->front, states);
	if (s->back_error[0])
		return err_set(e, -EIO, TAP_EXIT_IMAGE, "the backend failed: %s (%s)",
			       s->back_error, states);
	if (s->front_error[0])
		return err_set(e, -EIO, TAP_EXIT_SYSTEM, "the guest's end failed: %s (%s)",
			       s->front_error, states);
	if (ret == SETTLE_NOT_OURS)
		return err_set(e, -ESTALE, TAP_EXIT_SYSTEM,
			       "detached meanwhile, and another disk is in its place");
	if (ret == SETTLE_FAILED)
		return err_set(e, -EIO, TAP_EXIT_SYSTEM, "an end went away: %s", states);
	if (ret == -EINTR)
		return err_set(e, ret, TAP_EXIT_SYSTEM, "interrupted: %s", states);
	if (ret != -ETIMEDOUT)
		return err_set(e, ret, TAP_EXIT_SYSTEM, "cannot wait for XenStore: %s",
			       strerror(-ret));
	err_set(e, ret, TAP_EXIT_TIMEOUT, "not connected in time: %s", states);
	if (!server && !disk_has_other_server(s->disk))
		err_hint(e, "nobody serves it: run 'tap-serve %s', or 'tap-serve --all'",
			 s->disk->name);
	else if (s->front == XENBUS_INITIALISING)
		err_hint(e, "the guest does not answer: is its block frontend (xen-blkfront) "
			    "loaded?");
	return ret;
}

static void undo(struct store *store, const struct settling *s, struct err *e)
{
	const struct detach_options options = {
		.deadline_ns = now_ns() + UNDO_NS, .step = s->step, .opaque = s->opaque};
	struct err undone = {0};
	size_t used;
	int ret;

	store_set_interrupt(store, -1);
	ret = detach_disk(store, s->disk, &options, &undone);
	if (!e)
		return;
	used = strlen(e->what);
	if (!ret || ret == -ENOENT)
		snprintf(e->what + used, sizeof(e->what) - used, "; the attach is undone");
	else
		snprintf(e->what + used, sizeof(e->what) - used, "; the undo did not finish: %s",
			 undone.what);
}

static int remove_waiter(struct store *store, xs_transaction_t tx, void *opaque)
{
	const struct disk *disk = ((const struct settling *)opaque)->disk;
	char path[STORE_PATH_MAX];
	int ret = store_path(path, "%s/%s", disk->backend, NODE_ATTACHING);

	return ret ? ret : store_remove(store, tx, path);
}

int attach_settle(struct store *store, const struct disk *disk, uint64_t deadline_ns,
		  attach_step_fn *step, void *opaque, struct err *e)
{
	struct settling s = {.disk = disk,
			     .back = XENBUS_INVALID,
			     .front = XENBUS_INVALID,
			     .step = step,
			     .opaque = opaque};
	int ret = watch_ends(store, disk);
	bool ours;

	if (!ret)
		ret = store_wait(store, deadline_ns, look, &s);
	unwatch_ends(store, disk);
	if (ret == SETTLE_CONNECTED)
		ret = store_transaction(store, remove_waiter, &s);
	if (!ret)
		return 0;
	ours = ret != SETTLE_NOT_OURS && !is_anothers(store, &s);
	ret = explain(&s, ret, e);
	if (ours)
		undo(store, &s, e);
	return ret;
}
