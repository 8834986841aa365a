/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "inspect.h"
#include "rundir.h"

/* A sector size beyond a page would not fit in a segment. */
#define SECTOR_BYTES_MAX 4096

static void read_text(struct store *store, const char *dir, const char *key,
		      char out[static STORE_VALUE_MAX])
{
	char value[STORE_VALUE_MAX];
	int length = store_read_in(store, XBT_NULL, dir, key, value);

	out[0] = '\0';
	if (length > 0)
		msg_printable(value, (size_t)length, out, STORE_VALUE_MAX);
}

static void read_error(struct store *store, const char *dir, char out[static STORE_VALUE_MAX])
{
	char value[STORE_VALUE_MAX];

	out[0] = '\0';
	if (xenbus_read_error(store, dir, value) > 0)
		msg_printable(value, strlen(value), out, STORE_VALUE_MAX);
}

static void read_backend(struct store *store, struct inspection *out)
{
	char mode[STORE_VALUE_MAX];
	uint64_t number;
	const char *dir = out->disk.backend;

	out->backend_state = xenbus_state(store, dir);
	read_error(store, dir, out->backend_error);
	read_text(store, dir, "params", out->image);
	read_text(store, dir, "mode", mode);
	if (mode[0] == 'r' || mode[0] == 'w')
		out->mode = mode[0];
	if (!store_read_number(store, XBT_NULL, dir, "sectors", 0, UINT64_MAX >> 9, &number))
		out->sectors = number;
	if (!store_read_number(store, XBT_NULL, dir, "sector-size", 512, SECTOR_BYTES_MAX, &number))
		out->sector_bytes = (uint32_t)number;
}

int inspect_disk(struct store *store, const struct disk *disk, struct inspection *out,
		 struct err *e)
{
	memset(out, 0, sizeof(*out));
	out->disk = *disk;
	read_backend(store, out);
	out->frontend_state = xenbus_state(store, disk->frontend);
	read_error(store, disk->frontend, out->frontend_error);
	out->server = rundir_server(disk);
	out->has_stats = !stats_read(disk, &out->stats);
	if (out->backend_state == XENBUS_GONE)
		return err_set(e, -ENOENT, TAP_EXIT_NONE, "the disk is gone");
	return offer_read(store, XBT_NULL, disk, &out->offer, e);
}
