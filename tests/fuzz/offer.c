/* SPDX-License-Identifier: MIT */
/*
 * What a frontend publishes in XenStore, read by offer_read() and xenbus_state().
 *
 * Input: lines `KEY VALUE`, KEY below the frontend's directory. A value may hold anything but a
 * newline; one that begins with '!' is an error, whose number its second byte is. The calls of
 * libxenstore that are defined here take the place of the real ones.
 */
#include "fuzz.h"

#include <errno.h>
#include <xenstore.h>

#include "offer.h"
#include "xenbus.h"

#define FRONTEND "/local/domain/1/device/vbd/51712"

static struct input nodes;

struct xs_handle *xs_open(unsigned long flags)
{
	return (struct xs_handle *)&nodes;
}

void xs_close(struct xs_handle *xs)
{
}

static void *value_of(const uint8_t *value, size_t length_bytes, unsigned int *length)
{
	char *copy;

	if (length_bytes && value[0] == '!') {
		errno = length_bytes > 1 ? value[1] : 0;
		return NULL;
	}
	copy = input_text(value, length_bytes);
	*length = (unsigned int)length_bytes;
	return copy;
}

void *xs_read(struct xs_handle *xs, xs_transaction_t tx, const char *path, unsigned int *length)
{
	const uint8_t *line = nodes.bytes, *end = nodes.bytes + nodes.left;

	if (!strcmp(path, "domid"))
		return value_of((const uint8_t *)"0", 1, length);
	must(!strncmp(path, FRONTEND "/", sizeof(FRONTEND)));
	path += sizeof(FRONTEND);
	while (line < end) {
		const uint8_t *stop = memchr(line, '\n', (size_t)(end - line));
		size_t key = strlen(path);

		if (!stop)
			stop = end;
		if ((size_t)(stop - line) > key && line[key] == ' ' && !memcmp(line, path, key))
			return value_of(line + key + 1, (size_t)(stop - line) - key - 1, length);
		line = stop < end ? stop + 1 : end;
	}
	errno = ENOENT;
	return NULL;
}

static void must_be_bounded(const struct front_offer *offer)
{
	must(offer->abi <= RING_ABI_X86_32);
	must(offer->ring_order <= RING_ORDER_MAX && offer->queues <= STATS_QUEUES);
	for (unsigned i = 0; i < offer->queues; i++) {
		must(offer->queue[i].port && offer->queue[i].port <= INT32_MAX);
		for (unsigned page = 0; page < 1u << offer->ring_order; page++)
			must(offer->queue[i].ring_refs[page]);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length_bytes)
{
	struct disk disk = {.domid = 1, .vdev = 51712, .kind = "tap", .frontend = FRONTEND};
	struct front_offer offer;
	struct err e = {0};
	struct store *store;
	enum xenbus_state state;
	int ret;

	nodes = (struct input){bytes, length_bytes};
	must(!store_open(&store, &e));
	ret = offer_read(store, XBT_NULL, &disk, &offer, &e);
	must(ret <= 0);
	if (ret) {
		must(!offer.queues);
		must_be_told(&e);
	} else {
		must_be_bounded(&offer);
	}
	state = xenbus_state(store, disk.frontend);
	must(state >= XENBUS_INVALID && state <= XENBUS_RECONFIGURED);
	must(xenbus_state_text(state));
	store_close(store);
	return 0;
}
