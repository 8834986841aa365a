/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "front-inner.h"
#include "num.h"

#define WATCH_TOKEN "front"

#define IN(state) (1u << (state))
/*
 * Nothing of ours is mapped in these. A directory that is gone may read as invalid: a guest may not
 * look for it in one that is not its own.
 */
#define BACKEND_AWAY \
	(IN(XENBUS_GONE) | IN(XENBUS_INITIALISING) | IN(XENBUS_INITWAIT) | IN(XENBUS_CLOSED))

static bool in(unsigned states, enum xenbus_state state)
{
	if (state == XENBUS_INVALID)
		state = XENBUS_GONE;
	return states & IN(state);
}

/* 0, or a negative errno when XenStore did not answer: *@out is XENBUS_INVALID then. */
static int look_at_backend(struct front *front, enum xenbus_state *out)
{
	int ret = xenbus_look(front->store, XBT_NULL, front->facts.backend, out);

	/* A guest may not look into the folder that the backend's directory was in. */
	if (ret != -EACCES)
		return ret;
	*out = XENBUS_GONE;
	return 0;
}

static enum xenbus_state backend_state(struct front *front)
{
	enum xenbus_state state;

	(void)!look_at_backend(front, &state);
	return state;
}

/* Name what the domain has, for somebody who mistyped. */
static void hint_disks(struct front *front, struct err *e)
{
	char path[STORE_PATH_MAX], text[160] = "", name[ADDRESS_VDEV_MAX];
	char **vdevs = NULL;
	size_t used = 0;
	int n;

	if (store_path(path, "/local/domain/%u/device/vbd", store_domid(front->store)))
		return;
	n = store_list(front->store, XBT_NULL, path, &vdevs);
	for (int i = 0; i < n && used < sizeof(text) - sizeof(name) - 2; i++) {
		uint32_t vdev;

		if (vdev_parse(vdevs[i], &vdev))
			continue;
		used += (size_t)snprintf(text + used, sizeof(text) - used, "%s%s", used ? ", " : "",
					 vdev_name(vdev, name));
	}
	free(vdevs);
	if (used)
		err_hint(e, "this domain has %s", text);
	else
		err_hint(
			e,
			"this domain has no disk; tap-attach in the backend's domain gives it one");
}

int front_find(struct front *front, struct err *e)
{
	char value[STORE_VALUE_MAX], name[ADDRESS_VDEV_MAX];
	uint64_t domid = 0;
	int ret;

	ret = store_path(front->dir, "/local/domain/%u/device/vbd/%u", store_domid(front->store),
			 front->vdev);
	if (ret)
		return err_set(e, ret, TAP_EXIT_SYSTEM, "cannot name the disk in XenStore");
	ret = store_read_in(front->store, XBT_NULL, front->dir, "backend", value);
	if (ret == -ENOENT) {
		err_set(e, ret, TAP_EXIT_NONE, "no disk %s in domain %u",
			vdev_name(front->vdev, name), store_domid(front->store));
		hint_disks(front, e);
		return ret;
	}
	if (ret < 0 || (size_t)ret >= sizeof(front->facts.backend) || value[0] != '/')
		return err_set(e, ret < 0 ? ret : -EINVAL, err_exit_of(ret < 0 ? ret : -EINVAL),
			       "cannot read '%s/backend'", front->dir);
	memcpy(front->facts.backend, value, (size_t)ret + 1);
	ret = store_read_number(front->store, XBT_NULL, front->dir, "backend-id", 0, DOMID_MAX,
				&domid);
	if (ret)
		return err_set(e, ret, err_exit_of(ret), "cannot read '%s/backend-id': %s",
			       front->dir, strerror(-ret));
	front->facts.backend_domid = (uint32_t)domid;
	return 0;
}

static bool detaching(struct front *front)
{
	uint64_t online = 1;
	int ret = store_read_number(front->store, XBT_NULL, front->facts.backend, "online", 0, 1,
				    &online);

	return !ret && !online;
}

static int watch(struct front *front, struct err *e)
{
	char path[STORE_PATH_MAX];
	int ret = store_path(path, "%s/state", front->facts.backend);

	if (!ret)
		ret = store_watch(front->store, path, WATCH_TOKEN);
	if (!ret)
		return 0;
	return err_set(e, ret, err_exit_of(ret), "cannot watch '%s': %s", path, strerror(-ret));
}

/* Take what XenStore has to say; which path it was does not matter, only one is watched. */
static int drain_events(struct front *front)
{
	char path[STORE_PATH_MAX], token[STORE_PATH_MAX];
	int ret;

	do {
		ret = store_next_event(front->store, path, token);
	} while (ret > 0);
	return ret;
}

static int explain(struct front *front, int ret, enum xenbus_state state, struct err *e)
{
	char error[STORE_VALUE_MAX];
	enum tap_exit status = ret == -ETIMEDOUT ? TAP_EXIT_TIMEOUT
			       : ret == -EBUSY	 ? TAP_EXIT_BUSY
						 : err_exit_of(ret);
	bool said = xenbus_read_error(front->store, front->facts.backend, error) > 0;

	err_set(e, ret, status, "%s: the backend is %s, this end %s%s%s",
		ret == -EINTR	    ? "interrupted"
		: ret == -ETIMEDOUT ? "timed out"
		: ret == -EBUSY	    ? "the disk is being detached"
				    : strerror(-ret),
		xenbus_state_text(state), xenbus_state_text(xenbus_state(front->store, front->dir)),
		said ? "; it says: " : "", said ? error : "");
	if (ret == -ETIMEDOUT)
		err_hint(
			e,
			state == XENBUS_CONNECTED || state == XENBUS_INITIALISING
				? "does anybody serve it? See tap-attach -l in the backend's domain"
				: "tap-ring and tap-attach -l in the backend's domain show more");
	return ret;
}

/* Wait until the backend is in one of @states. With @open_too, a disk that is being detached ends
 * the wait with -EBUSY, since nobody will answer any more. */
static int wait_backend(struct front *front, unsigned states, bool open_too, uint64_t deadline_ns,
			struct err *e)
{
	enum xenbus_state state;
	int ret = 0;

	for (;;) {
		state = backend_state(front);
		if (in(states, state))
			return 0;
		if (open_too && in(IN(XENBUS_GONE), state))
			ret = -ECONNRESET;
		else if (open_too && in(IN(XENBUS_CLOSING) | IN(XENBUS_CLOSED), state) &&
			 detaching(front))
			ret = -EBUSY;
		else
			ret = front_wait(front, deadline_ns);
		if (ret)
			return explain(front, ret, state, e);
	}
}

static int switch_to(struct front *front, enum xenbus_state state, struct err *e)
{
	int ret = xenbus_switch(front->store, front->dir, state);

	if (!ret)
		return 0;
	return err_set(e, ret, err_exit_of(ret), "cannot write '%s/state' = %s: %s", front->dir,
		       xenbus_state_text(state), strerror(-ret));
}

int front_disconnect(struct front *front, struct err *e)
{
	enum xenbus_state own = xenbus_state(front->store, front->dir);
	uint64_t deadline_ns = front_deadline(front);
	int ret;

	front->connected = false;
	if (own == XENBUS_GONE || own == XENBUS_INITIALISING)
		return 0;
	if (own != XENBUS_CLOSED) {
		ret = switch_to(front, XENBUS_CLOSING, e);
		if (!ret)
			ret = wait_backend(front, BACKEND_AWAY | IN(XENBUS_CLOSING), false,
					   deadline_ns, e);
		if (ret)
			return ret;
	}
	/* Before Closed: once both ends say so the toolstack may remove the directory. */
	front_nodes_remove(front);
	ret = switch_to(front, XENBUS_CLOSED, e);
	if (ret)
		return ret;
	return wait_backend(front, BACKEND_AWAY, false, deadline_ns, e);
}

void front_rewind(struct front *front)
{
	if (xenbus_state(front->store, front->dir) == XENBUS_CLOSED && !front->closing &&
	    !detaching(front) && backend_state(front) != XENBUS_GONE)
		xenbus_switch(front->store, front->dir, XENBUS_INITIALISING);
}

int front_invite(struct front *front, struct err *e)
{
	int ret = watch(front, e);

	if (ret)
		return ret;
	if (detaching(front))
		return explain(front, -EBUSY, backend_state(front), e);
	/* A predecessor that was killed left its state: close in its name. */
	ret = front_disconnect(front, e);
	if (ret)
		return ret;
	front_rewind(front);
	if (front->options.manner == FRONT_UEFI)
		return 0;
	return wait_backend(front, IN(XENBUS_INITWAIT), true, front_deadline(front), e);
}

int front_connect(struct front *front, struct err *e)
{
	enum front_manner manner = front->options.manner;
	int ret = front_nodes_write(front);

	if (ret)
		return err_set(e, ret, err_exit_of(ret), "cannot write below '%s': %s", front->dir,
			       strerror(-ret));
	ret = switch_to(front, manner == FRONT_UEFI ? XENBUS_CONNECTED : XENBUS_INITIALISED, e);
	if (!ret)
		ret = wait_backend(front, IN(XENBUS_CONNECTED), true, front_deadline(front), e);
	if (!ret)
		ret = front_facts_read(front, e);
	if (!ret && manner == FRONT_LINUX)
		ret = switch_to(front, XENBUS_CONNECTED, e);
	front->connected = !ret;
	return ret;
}

/* The backend rewrites state = Connected to say that `sectors` changed (protocol.md 14). */
static int look_for_resize(struct front *front)
{
	uint64_t sectors;

	if (store_read_number(front->store, XBT_NULL, front->facts.backend, "sectors", 0,
			      UINT64_MAX / SECTOR_BYTES, &sectors) ||
	    sectors == front->facts.sectors)
		return 0;
	front->facts.sectors = sectors;
	front->resized = front->changed = true;
	return 0;
}

/* The ring does not need XenStore: a connected front goes on without, as it would without news. */
static int lose_store(struct front *front, int why)
{
	if (!front->connected)
		return front_break(front, why, "XenStore: %s", strerror(-why));
	epoll_ctl(front->poll_fd, EPOLL_CTL_DEL, store_fd(front->store), NULL);
	front->store_lost = true;
	return 0;
}

int front_look(struct front *front)
{
	enum xenbus_state state;
	int ret = drain_events(front);

	if (ret < 0)
		return lose_store(front, ret);
	if (!front->connected)
		return 0;
	ret = look_at_backend(front, &state);
	if (ret < 0)
		return lose_store(front, ret);
	switch (state) {
	case XENBUS_CONNECTED:
	case XENBUS_RECONFIGURING:
	case XENBUS_RECONFIGURED:
		return look_for_resize(front);
	case XENBUS_CLOSING:
		front->changed = front->changed || !front->closing;
		front->closing = true;
		return 0;
	default:
		return front_break(front, -ECONNRESET, "the backend went away: it is %s",
				   xenbus_state_text(state));
	}
}
