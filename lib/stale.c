/* SPDX-License-Identifier: MIT */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <xengnttab.h>

#include "attach.h"
#include "num.h"
#include "offer.h"
#include "rundir.h"
#include "xenquiet.h"

#define LET_GO_NS 5000000000ull /* what a live server may take to let go of a removed disk */

const char *stale_reason_text(enum stale_reason reason)
{
	static const char *const texts[] = {
		[STALE_NOT] = "not stale",
		[STALE_DOMAIN_GONE] = "its domain is gone",
		[STALE_NO_FRONTEND] = "its frontend is missing",
		[STALE_NO_BACKEND] = "its backend is missing",
		[STALE_HALF_ATTACHED] = "its attach was killed before it connected",
		[STALE_CLOSED] = "closed, but never removed",
		[STALE_RING_GONE] = "the guest's end died: its ring is no longer granted",
		[STALE_RUNDIR] = "run-time folder of a disk that is no more",
	};

	return (size_t)reason < ARRAY_SIZE(texts) ? texts[reason] : "unknown";
}

/* --- is the ring still granted? --------------------------------------------------------------- */

/* Of those that stand there the one that a server would map: earlier connections leave theirs. */
static bool read_ring_ref(struct store *store, xs_transaction_t tx, const struct disk *disk,
			  uint32_t *ref)
{
	struct front_offer offer;

	if (offer_read(store, tx, disk, &offer, NULL) || !offer.queues)
		return false;
	*ref = offer.queue[0].ring_refs[0];
	return true;
}

/* 1: it maps; 0: there is no such grant; negative: it cannot be told. */
static int probe_grant(uint32_t domid, uint32_t ref)
{
	xengnttab_handle *grants = xengnttab_open(xenquiet(), 0);
	void *page;
	int ret = 1;

	if (!grants)
		return -EACCES;
	page = xengnttab_map_grant_ref(grants, domid, ref, PROT_READ);
	if (page)
		xengnttab_unmap(grants, page, 1);
	else
		ret = errno == EINVAL ? 0 : -EIO; /* gntdev's answer to a bad reference */
	xengnttab_close(grants);
	return ret;
}

bool stale_ring_is_gone(struct store *store, xs_transaction_t tx, const struct disk *disk)
{
	enum xenbus_state front = xenbus_state_in(store, tx, disk->frontend);
	uint32_t ref, again;

	/* What is served is mapped, whatever its grant is like. */
	if (frontend_is_at_rest(front) || rundir_server(disk) ||
	    !read_ring_ref(store, tx, disk, &ref) || probe_grant(disk->domid, ref))
		return false;
	/* A frontend that closed or made a new ring meanwhile is alive. */
	return xenbus_state_in(store, tx, disk->frontend) == front &&
	       read_ring_ref(store, tx, disk, &again) && again == ref;
}

/* --- disks ------------------------------------------------------------------------------------ */

static bool waiter_died(struct store *store, xs_transaction_t tx, const struct disk *disk)
{
	char waiter[STORE_VALUE_MAX];

	return store_read_in(store, tx, disk->backend, NODE_ATTACHING, waiter) > 0 &&
	       !waiter_is_alive(waiter);
}

enum stale_reason stale_reason_of(struct store *store, xs_transaction_t tx, const struct disk *disk)
{
	enum xenbus_state back = xenbus_state_in(store, tx, disk->backend);
	enum xenbus_state front = xenbus_state_in(store, tx, disk->frontend);
	bool served = disk_has_other_server(disk) || rundir_server(disk);
	bool rest = frontend_is_at_rest(front);
	uint64_t online = 1;

	if (disk_is_libxls(store, tx, disk))
		return STALE_NOT;
	if (!domain_exists(store, disk->domid))
		return STALE_DOMAIN_GONE;
	if (!store_exists(store, tx, disk->frontend))
		return STALE_NO_FRONTEND;
	/* Connected is what its attach waited for, whether it lived to see it or not. */
	if (waiter_died(store, tx, disk) && (back != XENBUS_CONNECTED || rest))
		return STALE_HALF_ATTACHED;
	if (!rest)
		return stale_ring_is_gone(store, tx, disk) ? STALE_RING_GONE : STALE_NOT;
	store_read_number(store, tx, disk->backend, "online", 0, 1, &online);
	if (!online && (back == XENBUS_CLOSED || !served))
		return STALE_CLOSED;
	if (back == XENBUS_CLOSED && front == XENBUS_CLOSED && !served)
		return STALE_CLOSED;
	return STALE_NOT;
}

struct walk {
	struct store *store;
	const char *kind;
	int (*each)(const struct stale *stale, void *opaque);
	void *opaque;
};

static int report(const struct walk *walk, enum stale_reason reason, const struct disk *disk,
		  const char *path)
{
	struct stale stale = {.reason = reason, .disk = *disk};
	int ret = store_path(stale.path, "%s", path);

	return ret ? ret : walk->each(&stale, walk->opaque);
}

static int look_at_disk(const struct disk *disk, void *opaque)
{
	const struct walk *walk = opaque;
	enum stale_reason reason = stale_reason_of(walk->store, XBT_NULL, disk);

	return reason ? report(walk, reason, disk, disk->backend) : 0;
}

/* --- frontends without a backend ---------------------------------------------------------------
 */

/* The frontend's word on its backend is the guest's: it must be exactly what we would write. */
static bool lacks_backend(struct store *store, xs_transaction_t tx, const struct disk *disk)
{
	char backend[STORE_VALUE_MAX];

	return store_read_in(store, tx, disk->frontend, "backend", backend) > 0 &&
	       !strcmp(backend, disk->backend) && !store_exists(store, tx, disk->backend);
}

static int look_at_frontends(const struct walk *walk, uint32_t domid)
{
	char path[STORE_PATH_MAX];
	uint32_t *vdevs = NULL;
	int n, ret = store_path(path, "/local/domain/%u/device/vbd", domid);

	if (ret)
		return ret;
	n = store_list_numbers(walk->store, XBT_NULL, path, UINT32_MAX, &vdevs);
	ret = n < 0 ? n : 0;
	for (int i = 0; i < n && !ret; i++) {
		struct disk disk;

		ret = disk_identify(walk->store, store_domid(walk->store), walk->kind, domid,
				    vdevs[i], &disk);
		if (!ret && lacks_backend(walk->store, XBT_NULL, &disk))
			ret = report(walk, STALE_NO_BACKEND, &disk, disk.frontend);
	}
	free(vdevs);
	return ret;
}

static int look_at_domains(const struct walk *walk)
{
	uint32_t *domids = NULL;
	int n = store_list_numbers(walk->store, XBT_NULL, "/local/domain", DOMID_MAX, &domids);
	int ret = n < 0 ? n : 0;

	for (int i = 0; i < n && !ret; i++)
		ret = look_at_frontends(walk, domids[i]);
	free(domids);
	return ret;
}

/* --- run-time folders --------------------------------------------------------------------------
 */

static int is_disk(const struct disk *disk, void *opaque)
{
	const struct disk *wanted = opaque;

	return disk->domid == wanted->domid && disk->vdev == wanted->vdev;
}

/* DOMID-VDEV; anything else in there is not ours. */
static bool parse_folder(const char *name, uint64_t *domid, uint64_t *vdev)
{
	size_t length = strcspn(name, "-");

	return name[length] == '-' && !num_parse_bytes(name, length, 0, DOMID_MAX, domid) &&
	       !num_parse(name + length + 1, 0, UINT32_MAX, vdev);
}

/* 1 when the folder @name is stale, with @disk and @path filled. */
static int folder_is_stale(const struct walk *walk, const char *name, struct disk *disk,
			   char path[static PATH_MAX])
{
	uint64_t domid, vdev;
	int ret;

	if (!parse_folder(name, &domid, &vdev))
		return 0;
	ret = disk_identify(walk->store, store_domid(walk->store), walk->kind, (uint32_t)domid,
			    (uint32_t)vdev, disk);
	if (!ret)
		ret = rundir_path(disk, NULL, path);
	if (!ret)
		ret = disk_each(walk->store, NULL, is_disk, disk);
	if (ret)
		return ret < 0 ? ret : 0;
	return !rundir_server(disk);
}

static int look_at_folders(const struct walk *walk)
{
	const struct disk any = {0};
	char path[PATH_MAX];
	struct dirent *entry;
	DIR *dir;
	int ret = rundir_path(&any, NULL, path);

	if (ret)
		return ret;
	*strrchr(path, '/') = '\0';
	dir = opendir(path);
	if (!dir)
		return errno == ENOENT ? 0 : -errno;
	while (!ret && (entry = readdir(dir))) {
		struct disk disk;

		ret = folder_is_stale(walk, entry->d_name, &disk, path);
		if (ret == 1)
			ret = report(walk, STALE_RUNDIR, &disk, path);
	}
	closedir(dir);
	return ret;
}

int stale_each(struct store *store, const char *kind,
	       int (*each)(const struct stale *stale, void *opaque), void *opaque)
{
	struct walk walk = {.store = store, .kind = kind, .each = each, .opaque = opaque};
	int ret = disk_each(store, kind, look_at_disk, &walk);

	if (!ret)
		ret = look_at_domains(&walk);
	return ret ? ret : look_at_folders(&walk);
}

/* --- removal -----------------------------------------------------------------------------------
 */

struct removal {
	const struct stale *stale;
	FILE *dry_run;
	struct plan plan;
};

static int remove_in(struct store *store, xs_transaction_t tx, void *opaque)
{
	struct removal *removal = opaque;
	const struct stale *stale = removal->stale;
	bool still = stale->reason == STALE_NO_BACKEND
			     ? lacks_backend(store, tx, &stale->disk)
			     : stale_reason_of(store, tx, &stale->disk) == stale->reason;

	if (!still)
		return -EBUSY;
	removal->plan = (struct plan){0};
	disk_plan_removal(store, tx, &stale->disk, &removal->plan);
	return removal->dry_run ? plan_print(&removal->plan, removal->dry_run)
				: plan_apply(&removal->plan, store, tx);
}

static int remove_nodes(struct store *store, const struct stale *stale, FILE *dry_run,
			struct err *e)
{
	struct removal *removal = calloc(1, sizeof(*removal));
	int ret;

	if (!removal)
		return err_set(e, -ENOMEM, TAP_EXIT_SYSTEM, "out of memory");
	removal->stale = stale;
	removal->dry_run = dry_run;
	ret = store_transaction(store, remove_in, removal);
	free(removal);
	if (ret == -EBUSY)
		return err_set(e, ret, TAP_EXIT_BUSY, "left alone: it is no longer stale");
	if (ret)
		return err_set(e, ret, err_exit_of(ret), "cannot remove '%s': %s", stale->path,
			       strerror(-ret));
	return 0;
}

static int remove_folder(const struct stale *stale, FILE *dry_run, struct err *e)
{
	char path[PATH_MAX];
	int ret = rundir_path(&stale->disk, NULL, path);

	if (ret)
		return err_set(e, ret, TAP_EXIT_SYSTEM, "the run-time folder's name is too long");
	if (dry_run) {
		fprintf(dry_run, "remove %s\n", path);
		return 0;
	}
	ret = rundir_await_release(&stale->disk, now_ns() + LET_GO_NS, -1);
	if (!ret)
		ret = rundir_remove(&stale->disk);
	if (ret)
		return err_set(e, ret, err_exit_of(ret), "cannot remove '%s': %s", path,
			       strerror(-ret));
	return 0;
}

int stale_remove(struct store *store, const struct stale *stale, FILE *dry_run, struct err *e)
{
	char path[PATH_MAX];

	if (stale->reason != STALE_RUNDIR) {
		int ret = remove_nodes(store, stale, dry_run, e);

		/* Of a disk that never was served there is no folder to speak of. */
		if (ret ||
		    (dry_run && (rundir_path(&stale->disk, NULL, path) || access(path, F_OK))))
			return ret;
	}
	return remove_folder(stale, dry_run, e);
}
