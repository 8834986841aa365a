/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "attach.h"
#include "num.h"

#define LOOP_MAJOR 7

/* What an image's path leads to: the file or device itself, and what is behind a loop device. */
struct identity {
	unsigned n;
	struct {
		dev_t device;
		ino_t inode; /* 0 for a block device */
	} of[2];
};

static void add_path(struct identity *id, const char *path);

static void add_loop_backing(struct identity *id, dev_t device)
{
	char path[64], backing[PATH_MAX];
	FILE *file;

	snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/loop/backing_file", major(device),
		 minor(device));
	file = fopen(path, "re");
	if (!file)
		return;
	if (fgets(backing, sizeof(backing), file)) {
		backing[strcspn(backing, "\n")] = '\0';
		add_path(id, backing);
	}
	fclose(file);
}

static void add_path(struct identity *id, const char *path)
{
	struct stat st;

	if (id->n == ARRAY_SIZE(id->of) || stat(path, &st))
		return;
	id->of[id->n].device = S_ISBLK(st.st_mode) ? st.st_rdev : st.st_dev;
	id->of[id->n].inode = S_ISBLK(st.st_mode) ? 0 : st.st_ino;
	id->n++;
	if (S_ISBLK(st.st_mode) && major(st.st_rdev) == LOOP_MAJOR)
		add_loop_backing(id, st.st_rdev);
}

/* The path in "file:/x", "/dev/sda" (blkback's params) or "aio:/x" (QEMU's). "null:1G" has none. */
static void identify(struct identity *id, const char *image)
{
	const char *path = strchr(image, '/');

	*id = (struct identity){0};
	if (path)
		add_path(id, path);
}

static bool is_same(const struct identity *a, const struct identity *b)
{
	for (unsigned i = 0; i < a->n; i++) {
		for (unsigned j = 0; j < b->n; j++) {
			if (a->of[i].device == b->of[j].device && a->of[i].inode == b->of[j].inode)
				return true;
		}
	}
	return false;
}

struct search {
	struct store *store;
	xs_transaction_t tx;
	const char *image;
	struct identity identity;
	const struct image_options *options;
	struct err *e;
};

static bool may_share(const struct search *search, const struct disk *disk, bool *reads)
{
	char value[STORE_VALUE_MAX];
	uint64_t shared = 0;

	*reads = store_read_in(search->store, search->tx, disk->backend, "mode", value) > 0 &&
		 !strcmp(value, "r");
	if (*reads && search->options->read_only)
		return true;
	store_read_number(search->store, search->tx, disk->backend, NODE_SHARED, 0, 1, &shared);
	return shared && search->options->shared;
}

static int compare(const struct disk *disk, void *opaque)
{
	const struct search *search = opaque;
	char image[STORE_VALUE_MAX];
	struct identity identity;
	bool reads;

	if (store_read_in(search->store, search->tx, disk->backend, NODE_IMAGE, image) <= 0)
		return 0;
	identify(&identity, image);
	if (!is_same(&search->identity, &identity) || may_share(search, disk, &reads))
		return 0;
	err_set(search->e, -EBUSY, TAP_EXIT_BUSY, "'%s' is in use by disk %s (kind %s, %s)",
		search->image, disk->name, disk->kind, reads ? "read-only" : "read-write");
	err_hint(search->e, "detach it first: tap-attach -d %s; or attach both with --share",
		 disk->name);
	return -EBUSY;
}

int rival_find(struct store *store, xs_transaction_t tx, const char *image,
	       const struct image_options *options, struct err *e)
{
	struct search search = {
		.store = store, .tx = tx, .image = image, .options = options, .e = e};
	int ret;

	identify(&search.identity, image);
	if (!search.identity.n)
		return 0;
	ret = disk_each_in(store, tx, NULL, compare, &search);
	if (ret && ret != -EBUSY)
		err_set(e, ret, err_exit_of(ret), "cannot look for the image's other users: %s",
			strerror(-ret));
	return ret;
}
