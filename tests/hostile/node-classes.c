/* SPDX-License-Identifier: MIT */
/* What the frontend's directory may say, and what becomes of it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hostile.h"
#include "num.h"

/* A value that no node of the protocol has; bounded by what XenStore takes from a guest. */
static const char *long_value(char fill)
{
	static char value[2001];

	memset(value, fill, sizeof(value) - 1);
	return value;
}

/* Sound nodes but for one: the disk goes no further, and the node is named. NULL: removed. */
static void refused(struct hostile *h, const char *key, const char *value, const char *because)
{
	hostile_disconnect(h);
	hostile_offer(h, 0);
	if (value)
		hostile_node(h, key, "%s", value);
	else
		hostile_node_remove(h, key);
	hostile_state(h, XENBUS_INITIALISED);
	hostile_await_error(h, because);
	need(xenbus_state(h->judge, h->disk.backend) != XENBUS_CONNECTED, "%s = '%s' was taken",
	     key, value ? value : "(none)");
}

/* Each of these values of a node, and then a sound ring again. */
static void refused_all(struct hostile *h, const char *key, const char *const *values, size_t n,
			const char *because)
{
	for (size_t i = 0; i < n; i++)
		refused(h, key, values[i], because);
	refused(h, key, long_value('1'), because);
	refused(h, key, long_value('\n'), because);
	hostile_disconnect(h);
	hostile_connect(h, 0);
	hostile_prove(h);
}

#define REFUSED(h, key, because, ...)                           \
	refused_all(h, key, (const char *const[]){__VA_ARGS__}, \
		    sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *), because)

static void ring_order(struct hostile *h)
{
	REFUSED(h, "ring-page-order", "ring-page-order", "-1", "5", "31", "32", "64", "x", "",
		"4294967296", "18446744073709551616", " 0", "0x0", "1 ");
	REFUSED(h, "num-ring-pages", "num-ring-pages", "0", "3", "-1", "17", "32", "x", "",
		"4294967297");
}

static void ring_ref(struct hostile *h)
{
	char foreign[16], revoked[16], read_only[16], path[32];

	snprintf(foreign, sizeof(foreign), "%u", h->foreign_ref);
	snprintf(revoked, sizeof(revoked), "%u", h->revoked_ref);
	snprintf(read_only, sizeof(read_only), "%u", h->read_only_ref);
	REFUSED(h, "ring-ref", "ring-ref", NULL, "0", "-1", "x", "", "4294967296", "2147483632",
		foreign, revoked, read_only);
	/* One page twice is a ring that overlaps itself: of use to nobody, and no harm. */
	hostile_disconnect(h);
	hostile_offer(h, 0);
	hostile_node_remove(h, "ring-ref");
	hostile_node(h, "ring-page-order", "1");
	for (unsigned i = 0; i < 2; i++) {
		snprintf(path, sizeof(path), "ring-ref%u", i);
		hostile_node(h, path, "%u", h->ring_ref);
	}
	hostile_state(h, XENBUS_INITIALISED);
	hostile_await(h, XENBUS_CONNECTED);
	/* And one of two missing. */
	hostile_reset(h);
	hostile_offer(h, 0);
	hostile_node_remove(h, "ring-ref");
	hostile_node(h, "ring-page-order", "1");
	hostile_node(h, "ring-ref0", "%u", h->ring_ref);
	hostile_state(h, XENBUS_INITIALISED);
	hostile_await_error(h, "ring-ref1");
	hostile_reset(h);
	hostile_connect(h, 0);
	hostile_prove(h);
}

static void event_channel(struct hostile *h)
{
	struct channel *other;
	char port[16];

	need(!channel_offer(&other, h->disk.domid + 1), "cannot offer a port: %m");
	snprintf(port, sizeof(port), "%u", channel_port(other));
	REFUSED(h, "event-channel", "event-channel", "0", "-1", "x", "", "2147483648",
		"18446744073709551615");
	REFUSED(h, "event-channel", "event", NULL, "4000", "2147483647", port);
	channel_close(other);
}

static void protocol(struct hostile *h)
{
	REFUSED(h, "protocol", "protocol", "", "sparc-abi", "x86_64-abi ", "X86_64-ABI",
		"x86_64-abi\n", "%s%n", "../../..");
}

static void queues(struct hostile *h)
{
	REFUSED(h, "multi-queue-num-queues", "multi-queue-num-queues", "0", "17", "-1", "65536",
		"4294967297", "x", "");
	/* More rings are announced than there are. */
	refused(h, "multi-queue-num-queues", "2", "ring-ref");
	refused(h, "multi-queue-num-queues", "16", "ring-ref");
	hostile_disconnect(h);
	hostile_connect(h, 0);
	hostile_prove(h);
}

/* One ring and one port in several queues: the second cannot have the port. */
static void queues_alike(struct hostile *h)
{
	hostile_disconnect(h);
	hostile_offer(h, 0);
	hostile_node(h, "multi-queue-num-queues", "2");
	for (unsigned i = 0; i < 2; i++) {
		char key[40];

		snprintf(key, sizeof(key), "queue-%u/ring-ref", i);
		hostile_node(h, key, "%u", h->ring_ref);
		snprintf(key, sizeof(key), "queue-%u/event-channel", i);
		hostile_node(h, key, "%u", channel_port(h->channel));
	}
	hostile_state(h, XENBUS_INITIALISED);
	hostile_await_error(h, "event channel");
	hostile_reset(h);
	hostile_node_remove(h, "queue-1");
	hostile_connect(h, 0);
	hostile_prove(h);
}

/* What is not a number says nothing. */
static void features(struct hostile *h)
{
	static const char *const values[] = {"-1", "2", "x", "", "4294967297"};

	for (size_t i = 0; i < ARRAY_SIZE(values); i++) {
		hostile_disconnect(h);
		hostile_node(h, "feature-persistent", "%s", values[i]);
		hostile_node(h, "feature-max-indirect-segments", "%s", values[i]);
		hostile_node(h, "backend", "%s", values[i]);
		hostile_node(h, "backend-id", "%s", values[i]);
		hostile_connect(h, 0);
		hostile_prove(h);
	}
	hostile_node(h, "backend", "%s", h->disk.backend);
	hostile_node(h, "backend-id", "0");
}

/* Long values and as many nodes as XenStore lets a guest have. */
static void huge_directory(struct hostile *h)
{
	char path[STORE_PATH_MAX];
	unsigned n;

	for (n = 0; n < 10000; n++) {
		need(!store_path(path, "%s/junk/%u", h->disk.frontend, n), "path");
		if (!xs_write(store_handle(h->store), XBT_NULL, path, long_value('j'), 2000))
			break;
	}
	need(n < 10000, "XenStore has no quota");
	for (unsigned i = 0; i < 3; i++) {
		hostile_state(h, XENBUS_CONNECTED);
		hostile_prove(h);
	}
	hostile_node_remove(h, "junk");
	hostile_disconnect(h);
	hostile_connect(h, 0);
	hostile_prove(h);
}

/* The guest removes its own directory while connected. It may not put it up again. */
static void directory_removed(struct hostile *h)
{
	struct request request = hostile_request(h, REQUEST_READ, 11);

	/* Before: what is pushed later need not be fetched any more. */
	hostile_ask(h, &request, REQUEST_FINE);
	hostile_settle(h);
	need(!store_remove(h->store, XBT_NULL, h->disk.frontend), "cannot remove the directory");
	hostile_await(h, XENBUS_CLOSED);
	h->gone = true;
}

const struct hostile_class node_classes[] = {
	{"ring-order", "ring-page-order and num-ring-pages that cannot be", ring_order},
	{"ring-ref", "ring-ref missing, 0, repeated, of pages that are not granted", ring_ref},
	{"event-channel", "ports that there are not, or that are another's", event_channel},
	{"protocol", "ABIs that there are not", protocol},
	{"queues", "0 queues, more than offered, fewer than announced", queues},
	{"queues-alike", "two queues with one ring and one port", queues_alike},
	{"features", "features and identities that say nothing", features},
	{"directory-huge", "nodes up to XenStore's quota, values as long as it takes",
	 huge_directory},
	{"directory-removed", "the frontend's directory deleted under the backend",
	 directory_removed},
	{0},
};
