/* SPDX-License-Identifier: MIT */
#include "attach.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "num.h"

#define XVD_DISKS_MAX 4096 /* how far the next free xvd is looked for */

struct attaching {
	const struct attach_request *request;
	const char *image; /* canonical */
	FILE *dry_run;
	struct disk *disk;
	struct plan plan;
	struct err *e;
};

/* --- is the vdev free? ---------------------------------------------------------------------- */

struct taken {
	uint32_t domid, first_vdev, last_vdev;
	bool found;
	struct disk disk;
};

static int note_taken(const struct disk *disk, void *opaque)
{
	struct taken *taken = opaque;

	if (disk->domid != taken->domid || disk->vdev < taken->first_vdev ||
	    disk->vdev > taken->last_vdev)
		return 0;
	taken->found = true;
	taken->disk = *disk;
	return 0;
}

/* A frontend may be there without a backend of ours: left behind, or another domain's disk. */
static int note_frontends(struct store *store, xs_transaction_t tx, struct taken *taken)
{
	char path[STORE_PATH_MAX], **names;
	int n, ret;

	ret = store_path(path, "/local/domain/%u/device/vbd", taken->domid);
	if (ret)
		return ret;
	n = store_list(store, tx, path, &names);
	for (int i = 0; i < n; i++) {
		uint64_t vdev;

		if (!num_parse(names[i], taken->first_vdev, taken->last_vdev, &vdev)) {
			taken->found = true;
			ret = disk_identify(store, store_domid(store), KIND_DEFAULT, taken->domid,
					    (uint32_t)vdev, &taken->disk);
		}
	}
	free(names);
	return n < 0 ? n : ret;
}

/* Is any of the numbers from first_vdev to last_vdev in use? */
static int look_for_disk(struct store *store, xs_transaction_t tx, struct taken *taken)
{
	int ret = note_frontends(store, tx, taken);

	return ret ? ret : disk_each_in(store, tx, NULL, note_taken, taken);
}

static int refuse_taken(struct store *store, xs_transaction_t tx, const struct taken *taken,
			struct err *e)
{
	const struct disk *disk = &taken->disk;
	char states[96];

	disk_states_text(xenbus_state_in(store, tx, disk->backend),
			 xenbus_state_in(store, tx, disk->frontend), states);
	err_set(e, -EEXIST, TAP_EXIT_BUSY, "there is a disk %s already (%s)", disk->name, states);
	err_hint(e, "'tap-attach -l' lists the disks, 'tap-attach --clean' removes stale ones");
	return -EEXIST;
}

static int pick_vdev(struct store *store, xs_transaction_t tx, uint32_t domid, uint32_t *vdev,
		     struct err *e)
{
	for (unsigned n = 0; n < XVD_DISKS_MAX; n++) {
		uint32_t whole = vdev_xvd(n), next = vdev_xvd(n + 1);
		/* xvda1 keeps xvda: its partitions' numbers follow the whole disk's. */
		uint32_t parts = next > whole && next - whole <= 256 ? next - whole : 16;
		struct taken taken = {
			.domid = domid, .first_vdev = whole, .last_vdev = whole + parts - 1};
		int ret = look_for_disk(store, tx, &taken);

		if (ret)
			return ret;
		if (!taken.found) {
			*vdev = whole;
			return 0;
		}
	}
	return err_set(e, -ENOSPC, TAP_EXIT_BUSY, "no xvd name is free");
}

/* --- what is written ------------------------------------------------------------------------ */

static void plan_frontend(struct plan *plan, const struct disk *disk,
			  const struct attach_request *request)
{
	const char *dir = disk->frontend;

	plan_make(plan, dir);
	plan_permit(plan, dir, disk->domid, disk->backend_domid);
	plan_write(plan, dir, "backend", "%s", disk->backend);
	plan_write(plan, dir, "backend-id", "%u", disk->backend_domid);
	plan_write(plan, dir, "state", "%d", XENBUS_INITIALISING);
	plan_write(plan, dir, "virtual-device", "%u", disk->vdev);
	plan_write(plan, dir, "device-type", "%s", request->device_type);
}

static void plan_cap(struct plan *plan, const char *dir, const char *key, uint32_t cap)
{
	if (cap != GRANTS_NO_CAP)
		plan_write(plan, dir, key, "%u", cap);
}

/* Where tap-serve is to do otherwise than it would. */
static void plan_wishes(struct plan *plan, const char *dir, const struct attach_request *request)
{
	const struct image_options *options = &request->options;

	if (options->direct_io_safe)
		plan_write(plan, dir, "direct-io-safe", "1");
	if (options->shared)
		plan_write(plan, dir, NODE_SHARED, "1");
	if (options->sector_bytes)
		plan_write(plan, dir, NODE_SECTOR_SIZE, "%u", options->sector_bytes);
	plan_cap(plan, dir, NODE_MAX_QUEUES, request->caps.max_queues);
	plan_cap(plan, dir, NODE_MAX_RING_ORDER, request->caps.max_ring_order);
	plan_cap(plan, dir, NODE_MAX_SEGMENTS, request->caps.max_segments);
}

static void plan_backend(struct plan *plan, const struct disk *disk,
			 const struct attach_request *request, const char *image)
{
	const char *dir = disk->backend;
	bool read_only = request->options.read_only;
	char name[ADDRESS_VDEV_MAX];

	plan_make(plan, dir);
	plan_permit(plan, dir, disk->backend_domid, disk->domid);
	plan_write(plan, dir, "frontend", "%s", disk->frontend);
	plan_write(plan, dir, "frontend-id", "%u", disk->domid);
	plan_write(plan, dir, "online", "1");
	plan_write(plan, dir, "removable", "%d",
		   request->removable || !strcmp(request->device_type, "cdrom"));
	plan_write(plan, dir, "bootable", "1");
	plan_write(plan, dir, "state", "%d", XENBUS_INITIALISING);
	plan_write(plan, dir, "dev", "%s", vdev_name(disk->vdev, name));
	plan_write(plan, dir, "mode", "%s", read_only ? "r" : "w");
	plan_write(plan, dir, "device-type", "%s", request->device_type);
	plan_write(plan, dir, "discard-enable", "%d", !read_only && !request->no_discard);
	plan_write(plan, dir, NODE_IMAGE, "%s", image);
	plan_wishes(plan, dir, request);
}

static int plan_waiter(struct plan *plan, const struct disk *disk)
{
	char name[48];
	int ret = waiter_name(name);

	if (!ret)
		plan_write(plan, disk->backend, NODE_ATTACHING, "%s", name);
	return ret;
}

/* --- the transaction ------------------------------------------------------------------------ */

#define DRY_RUN_DONE 1 /* ends the transaction without a change */

static int choose_vdev(struct store *store, xs_transaction_t tx, const struct attaching *a,
		       uint32_t *vdev)
{
	const struct attach_request *request = a->request;
	struct taken taken = {
		.domid = request->domid, .first_vdev = request->vdev, .last_vdev = request->vdev};
	int ret;

	*vdev = request->vdev;
	if (request->pick_vdev)
		return pick_vdev(store, tx, request->domid, vdev, a->e);
	ret = look_for_disk(store, tx, &taken);
	if (!ret && taken.found)
		ret = refuse_taken(store, tx, &taken, a->e);
	return ret;
}

/* The checks that others' changes could overturn are made inside the transaction. */
static int attach_in(struct store *store, xs_transaction_t tx, void *opaque)
{
	struct attaching *a = opaque;
	const struct attach_request *request = a->request;
	uint32_t vdev;
	int ret;

	a->plan = (struct plan){0};
	ret = choose_vdev(store, tx, a, &vdev);
	if (!ret)
		ret = rival_find(store, tx, a->image, &request->options, a->e);
	if (!ret)
		ret = disk_identify(store, store_domid(store), request->kind, request->domid, vdev,
				    a->disk);
	if (ret)
		return ret;
	/* Error nodes of an earlier disk here would be taken for this one's. */
	disk_plan_clear_errors(store, tx, a->disk, &a->plan);
	plan_frontend(&a->plan, a->disk, request);
	plan_backend(&a->plan, a->disk, request, a->image);
	if (request->attaching)
		ret = plan_waiter(&a->plan, a->disk);
	if (ret)
		return ret;
	if (!a->dry_run)
		return plan_apply(&a->plan, store, tx);
	ret = plan_print(&a->plan, a->dry_run);
	return ret ? ret : DRY_RUN_DONE;
}

/* Can it be served? A claim is made and given back at once: others than disks may hold the image.
 */
static int check_claim(const char *spec, const struct image_options *options, struct err *e)
{
	struct image *image;
	int ret = image_open(&image, spec, options, e);

	if (!ret)
		image_close(image);
	return ret;
}

int attach_disk(struct store *store, const struct attach_request *request, FILE *dry_run,
		struct disk *out, struct err *e)
{
	char image[IMAGE_SPEC_MAX];
	struct attaching *a;
	uint32_t vdev;
	int ret;

	if (e)
		*e = (struct err){0};
	if (!domain_exists(store, request->domid))
		return err_set(e, -ENOENT, TAP_EXIT_NONE, "no domain %u here", request->domid);
	ret = image_canonical(request->image, image, e);
	if (!ret && strlen(image) >= STORE_VALUE_MAX)
		ret = err_set(e, -ENAMETOOLONG, TAP_EXIT_USAGE,
			      "the image's path is too long for XenStore (%d bytes at most)",
			      STORE_VALUE_MAX - 1);
	if (ret)
		return ret;
	a = calloc(1, sizeof(*a));
	if (!a)
		return err_set(e, -ENOMEM, TAP_EXIT_SYSTEM, "out of memory");
	*a = (struct attaching){
		.request = request, .image = image, .dry_run = dry_run, .disk = out, .e = e};
	/* XenStore knows more of an attached disk than its lock does, so it is asked first. */
	ret = choose_vdev(store, XBT_NULL, a, &vdev);
	if (!ret)
		ret = rival_find(store, XBT_NULL, image, &request->options, e);
	if (!ret)
		ret = check_claim(image, &request->options, e);
	if (ret)
		goto out;
	ret = store_transaction(store, attach_in, a);
	if (ret < 0 && e && !e->what[0])
		err_set(e, ret, err_exit_of(ret), "cannot write the disk to XenStore: %s",
			strerror(-ret));
out:
	free(a);
	return ret < 0 ? ret : 0;
}
