/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "num.h"
#include "xenbus.h"

bool domain_exists(struct store *store, uint32_t domid)
{
	char path[STORE_PATH_MAX];

	return (!store_path(path, "/local/domain/%u/name", domid) &&
		store_exists(store, XBT_NULL, path)) ||
	       (!store_path(path, "/local/domain/%u/domid", domid) &&
		store_exists(store, XBT_NULL, path));
}

/* The domain's name where it can stand in an address; else its id. */
static void domain_name(struct store *store, uint32_t domid, char dom[static ADDRESS_DOM_MAX])
{
	char path[STORE_PATH_MAX], name[STORE_VALUE_MAX];
	uint64_t id;

	if (!store_path(path, "/local/domain/%u/name", domid) &&
	    store_read(store, XBT_NULL, path, name) > 0 && !address_parse_dom(name, dom, NULL) &&
	    num_parse(dom, 0, UINT64_MAX, &id) == -EINVAL)
		return;
	snprintf(dom, ADDRESS_DOM_MAX, "%u", domid);
}

int disk_identify(struct store *store, uint32_t backend_domid, const char *kind, uint32_t domid,
		  uint32_t vdev, struct disk *out)
{
	char dom[ADDRESS_DOM_MAX], name[ADDRESS_VDEV_MAX];
	int ret;

	*out = (struct disk){.domid = domid, .vdev = vdev, .backend_domid = backend_domid};
	if (!*kind || strlen(kind) >= sizeof(out->kind) || strchr(kind, '/'))
		return -EINVAL;
	strcpy(out->kind, kind);
	domain_name(store, domid, dom);
	snprintf(out->name, sizeof(out->name), "%s/%s", dom, vdev_name(vdev, name));
	ret = store_path(out->backend, "/local/domain/%u/backend/%s/%u/%u", backend_domid, kind,
			 domid, vdev);
	if (ret)
		return ret;
	return store_path(out->frontend, "/local/domain/%u/device/vbd/%u", domid, vdev);
}

static int by_text(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Text that grows as far as there is room, for a hint's list. */
struct list_text {
	char text[160];
	size_t used;
};

static void list_add(struct list_text *list, const char *item)
{
	int n = snprintf(list->text + list->used, sizeof(list->text) - list->used, "%s%s",
			 list->used ? ", " : "", item);

	if (n > 0 && list->used + (size_t)n < sizeof(list->text))
		list->used += (size_t)n;
	else
		list->text[list->used] = '\0';
}

struct domain_search {
	const char *dom;
	uint32_t domid;
	unsigned found;
	struct list_text others;
};

static void compare_domain(struct store *store, uint32_t domid, struct domain_search *search)
{
	char path[STORE_PATH_MAX], name[STORE_VALUE_MAX];

	if (store_path(path, "/local/domain/%u/name", domid) ||
	    store_read(store, XBT_NULL, path, name) <= 0)
		return;
	if (domid != store_domid(store))
		list_add(&search->others, name);
	if (strcmp(name, search->dom))
		return;
	search->found++;
	search->domid = domid;
}

static int search_name(struct store *store, const char *dom, uint32_t *domid, struct err *e)
{
	struct domain_search search = {.dom = dom};
	uint32_t *domids;
	int n = store_list_numbers(store, XBT_NULL, "/local/domain", DOMID_MAX, &domids);

	if (n < 0)
		return err_set(e, n, err_exit_of(n), "cannot list the domains in XenStore: %s",
			       strerror(-n));
	for (int i = 0; i < n; i++)
		compare_domain(store, domids[i], &search);
	free(domids);
	if (!search.found) {
		err_set(e, -ENOENT, TAP_EXIT_NONE, "no domain '%s' here", dom);
		if (search.others.used)
			err_hint(e, "there are: %s", search.others.text);
		return -ENOENT;
	}
	if (search.found > 1)
		return err_set(e, -EINVAL, TAP_EXIT_USAGE,
			       "%u domains are named '%s': give the id instead", search.found, dom);
	*domid = search.domid;
	return 0;
}

int domain_resolve(struct store *store, const char *dom, uint32_t *domid, struct err *e)
{
	uint64_t id;
	int ret = num_parse(dom, 0, DOMID_MAX, &id);

	if (ret == -EINVAL)
		return search_name(store, dom, domid, e);
	if (ret || !domain_exists(store, (uint32_t)id))
		return err_set(e, -ENOENT, TAP_EXIT_NONE, "no domain %s here", dom);
	*domid = (uint32_t)id;
	return 0;
}

static bool is_disk_kind(const char *kind)
{
	static const char *const kinds[] = {"tap", "vbd", "vbd3", "qdisk"};

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		if (!strcmp(kind, kinds[i]))
			return true;
	}
	return false;
}

/* Of a kind not known here: a disk's frontend is a vbd, whoever its backend is. */
static bool looks_like_disk(struct store *store, xs_transaction_t tx, const struct disk *disk)
{
	char frontend[STORE_VALUE_MAX];

	if (is_disk_kind(disk->kind))
		return true;
	return store_read_in(store, tx, disk->backend, "frontend", frontend) > 0 &&
	       strstr(frontend, "/device/vbd/");
}

struct disk_walk {
	struct store *store;
	xs_transaction_t tx;
	int (*each)(const struct disk *disk, void *opaque);
	void *opaque;
};

static int walk_domain(const struct disk_walk *walk, const char *kind, uint32_t domid)
{
	struct store *store = walk->store;
	char path[STORE_PATH_MAX];
	struct disk disk;
	uint32_t *vdevs;
	int n, ret;

	ret = store_path(path, "/local/domain/%u/backend/%s/%u", store_domid(store), kind, domid);
	if (ret)
		return ret;
	n = store_list_numbers(store, walk->tx, path, UINT32_MAX, &vdevs);
	ret = n < 0 ? n : 0;
	for (int i = 0; i < n && !ret; i++) {
		ret = disk_identify(store, store_domid(store), kind, domid, vdevs[i], &disk);
		if (!ret && looks_like_disk(store, walk->tx, &disk))
			ret = walk->each(&disk, walk->opaque);
	}
	free(vdevs);
	return ret;
}

static int walk_kind(const struct disk_walk *walk, const char *kind)
{
	struct store *store = walk->store;
	char path[STORE_PATH_MAX];
	uint32_t *domids;
	int n, ret;

	ret = store_path(path, "/local/domain/%u/backend/%s", store_domid(store), kind);
	if (ret)
		return ret;
	n = store_list_numbers(store, walk->tx, path, DOMID_MAX, &domids);
	ret = n < 0 ? n : 0;
	for (int i = 0; i < n && !ret; i++)
		ret = walk_domain(walk, kind, domids[i]);
	free(domids);
	return ret;
}

int disk_each_in(struct store *store, xs_transaction_t tx, const char *kind,
		 int (*each)(const struct disk *disk, void *opaque), void *opaque)
{
	const struct disk_walk walk = {.store = store, .tx = tx, .each = each, .opaque = opaque};
	char path[STORE_PATH_MAX], **kinds;
	int n, ret = 0;

	if (kind)
		return walk_kind(&walk, kind);
	ret = store_path(path, "/local/domain/%u/backend", store_domid(store));
	if (ret)
		return ret;
	n = store_list(store, tx, path, &kinds);
	if (n < 0)
		return n;
	if (n)
		qsort(kinds, (size_t)n, sizeof(*kinds), by_text);
	for (int i = 0; i < n && !ret; i++) {
		if (strlen(kinds[i]) < KIND_MAX)
			ret = walk_kind(&walk, kinds[i]);
	}
	free(kinds);
	return ret;
}

int disk_each(struct store *store, const char *kind,
	      int (*each)(const struct disk *disk, void *opaque), void *opaque)
{
	return disk_each_in(store, XBT_NULL, kind, each, opaque);
}

struct disk_search {
	struct store *store;
	uint32_t domid, vdev;
	bool found;
	struct disk *disk;
	struct list_text others;
};

/* Two kinds can have the same disk when one of them was left behind: the frontend names its own. */
static bool frontend_names(struct store *store, const struct disk *disk)
{
	char backend[STORE_VALUE_MAX];

	return store_read_in(store, XBT_NULL, disk->frontend, "backend", backend) > 0 &&
	       !strcmp(backend, disk->backend);
}

static int compare_disk(const struct disk *disk, void *opaque)
{
	struct disk_search *search = opaque;

	if (disk->domid != search->domid)
		return 0;
	if (disk->vdev != search->vdev) {
		list_add(&search->others, disk->name);
		return 0;
	}
	if (!search->found || frontend_names(search->store, disk))
		*search->disk = *disk;
	search->found = true;
	return 0;
}

int disk_resolve(struct store *store, const struct address *address, struct disk *out,
		 struct err *e)
{
	struct disk_search search = {.store = store, .vdev = address->vdev, .disk = out};
	char name[ADDRESS_VDEV_MAX];
	int ret = domain_resolve(store, address->dom, &search.domid, e);

	if (ret)
		return ret;
	ret = disk_each(store, NULL, compare_disk, &search);
	if (ret)
		return err_set(e, ret, err_exit_of(ret), "cannot list the disks in XenStore: %s",
			       strerror(-ret));
	if (search.found)
		return 0;
	err_set(e, -ENOENT, TAP_EXIT_NONE, "no disk %s/%s here", address->dom,
		vdev_name(address->vdev, name));
	if (search.others.used)
		err_hint(e, "there are: %s", search.others.text);
	else
		err_hint(e, "domain %s has no disk here; attach one: tap-attach %s IMAGE",
			 address->dom, address->dom);
	return -ENOENT;
}
