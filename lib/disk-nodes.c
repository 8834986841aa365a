/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <string.h>

#include "attach.h"
#include "num.h"

bool disk_has_other_server(const struct disk *disk)
{
	static const char *const kinds[] = {"vbd", "vbd3", "qdisk"};

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		if (!strcmp(disk->kind, kinds[i]))
			return true;
	}
	return false;
}

bool frontend_is_at_rest(enum xenbus_state front)
{
	switch (front) {
	case XENBUS_GONE:
	case XENBUS_INITIALISING:
	case XENBUS_INITWAIT:
	case XENBUS_CLOSED:
		return true;
	default:
		return false;
	}
}

bool disk_is_libxls(struct store *store, xs_transaction_t tx, const struct disk *disk)
{
	char path[STORE_PATH_MAX];

	return !store_path(path, "/libxl/%u/device/vbd/%u", disk->domid, disk->vdev) &&
	       store_exists(store, tx, path);
}

static void plan_error_removal(struct store *store, xs_transaction_t tx, const char *dir,
			       struct plan *plan)
{
	char path[STORE_PATH_MAX], root[STORE_PATH_MAX];
	uint32_t domid;

	if (sscanf(dir, "/local/domain/%u/", &domid) != 1 || xenbus_error_path(dir, path) ||
	    store_path(root, "/local/domain/%u/error", domid) || !store_exists(store, tx, path))
		return;
	plan_remove(plan, path, root);
}

void disk_plan_clear_errors(struct store *store, xs_transaction_t tx, const struct disk *disk,
			    struct plan *plan)
{
	plan_error_removal(store, tx, disk->backend, plan);
	plan_error_removal(store, tx, disk->frontend, plan);
}

/* Another backend's disk may have taken the frontend's place. */
static bool frontend_is_anothers(struct store *store, xs_transaction_t tx, const struct disk *disk)
{
	char backend[STORE_VALUE_MAX];

	return store_read_in(store, tx, disk->frontend, "backend", backend) > 0 &&
	       strcmp(backend, disk->backend) && store_exists(store, tx, backend);
}

void disk_plan_removal(struct store *store, xs_transaction_t tx, const struct disk *disk,
		       struct plan *plan)
{
	char stop[STORE_PATH_MAX];

	if (store_exists(store, tx, disk->frontend) && !frontend_is_anothers(store, tx, disk)) {
		store_path(stop, "/local/domain/%u/device", disk->domid);
		plan_remove(plan, disk->frontend, stop);
	}
	if (store_exists(store, tx, disk->backend)) {
		store_path(stop, "/local/domain/%u/backend", disk->backend_domid);
		plan_remove(plan, disk->backend, stop);
	}
	disk_plan_clear_errors(store, tx, disk, plan);
}

void disk_states_text(enum xenbus_state back, enum xenbus_state front, char buf[static 96])
{
	snprintf(buf, 96, "backend %s, frontend %s", xenbus_state_text(back),
		 xenbus_state_text(front));
}
