/* SPDX-License-Identifier: MIT */
/* The life of a hostile frontend: its grants, its nodes, its states. */
#include "hostile.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xen/io/blkif.h>

#include "num.h"
#include "offer.h"
#include "xenquiet.h"

void need(bool ok, const char *fmt, ...)
{
	va_list ap;

	if (ok)
		return;
	fprintf(stderr, "%s: ", program_invocation_short_name);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	exit(1);
}

/* --- handles and grants ------------------------------------------------------------------------
 */

void hostile_enter(uint32_t domid)
{
	char text[16], path[256];

	snprintf(text, sizeof(text), "%u", domid);
	snprintf(path, sizeof(path), domid ? "%s/xenbus-%u" : "%s/xenstored/socket",
		 getenv("TAP_SIM_DIR"), domid);
	need(!setenv("TAP_SIM_DOMID", text, 1) && !setenv("XENSTORED_PATH", path, 1), "setenv: %m");
}

static void *share(struct hostile *h, uint32_t to, unsigned count, uint32_t *refs, bool writable)
{
	void *pages = xengntshr_share_pages(h->gntshr, to, (int)count, refs, writable);

	need(pages, "cannot grant %u pages: %m", count);
	return pages;
}

static void grant_all(struct hostile *h)
{
	void *page;

	h->gntshr = xengntshr_open(xenquiet(), 0);
	need(h->gntshr, "xengntshr_open: %m");
	h->ring_page = share(h, 0, 1, &h->ring_ref, true);
	h->page = share(h, 0, HOSTILE_PAGES, h->page_ref, true);
	h->table = share(h, 0, HOSTILE_TABLES, h->table_ref, true);
	share(h, 0, 1, &h->read_only_ref, false);
	share(h, h->disk.domid + 1, 1, &h->foreign_ref, true);
	page = share(h, 0, 1, &h->revoked_ref, true);
	need(!xengntshr_unshare(h->gntshr, page, 1), "a grant cannot be ended: %m");
}

void hostile_open(struct hostile *h, uint32_t domid, uint32_t vdev, enum ring_abi abi)
{
	struct err e = {0};

	*h = (struct hostile){.abi = abi, .next_id = 1};
	need(getenv("TAP_SIM_DIR"), "to be run in tap-sim");
	hostile_enter(0);
	need(!store_open(&h->judge, &e), "%s", e.what);
	need(!disk_identify(h->judge, 0, KIND_DEFAULT, domid, vdev, &h->disk), "no such disk");
	hostile_enter(domid);
	need(!store_open(&h->store, &e), "%s", e.what);
	grant_all(h);
	need(!channel_offer(&h->channel, 0), "cannot offer a port: %m");
	need(!stats_read(&h->disk, &h->before), "the disk is not served");
}

void hostile_close(struct hostile *h)
{
	channel_close(h->channel);
	/* The backend lets go before it says Closed or InitWait; unless it keeps grants. */
	need(!xengntshr_unshare(h->gntshr, h->ring_page, 1), "the ring is still mapped: %m");
	need(!xengntshr_unshare(h->gntshr, h->page, HOSTILE_PAGES), "pages are still mapped: %m");
	need(!xengntshr_unshare(h->gntshr, h->table, HOSTILE_TABLES),
	     "tables are still mapped: %m");
	xengntshr_close(h->gntshr);
	store_close(h->store);
	store_close(h->judge);
}

/* --- nodes and states --------------------------------------------------------------------------
 */

void hostile_node(struct hostile *h, const char *key, const char *fmt, ...)
{
	char path[STORE_PATH_MAX], value[4096];
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(value, sizeof(value), fmt, ap);
	va_end(ap);
	need(n >= 0 && n < (int)sizeof(value), "value of '%s' does not fit", key);
	need(!store_path(path, "%s/%s", h->disk.frontend, key), "path of '%s' does not fit", key);
	need(xs_write(store_handle(h->store), XBT_NULL, path, value, (unsigned)n),
	     "cannot write '%s': %m", path);
}

void hostile_state(struct hostile *h, int state)
{
	hostile_node(h, "state", "%d", state);
}

void hostile_node_remove(struct hostile *h, const char *key)
{
	char path[STORE_PATH_MAX];

	need(!store_path(path, "%s/%s", h->disk.frontend, key), "path of '%s' does not fit", key);
	need(!store_remove(h->store, XBT_NULL, path), "cannot remove '%s': %m", path);
}

struct awaited {
	struct hostile *h;
	unsigned states; /* a bit each */
	const char *error;
};

static int is_in_state(struct store *store, void *opaque)
{
	const struct awaited *awaited = opaque;

	enum xenbus_state state = xenbus_state(store, awaited->h->disk.backend);

	return state >= 0 && (awaited->states & 1u << state);
}

static int has_error(struct store *store, void *opaque)
{
	const struct awaited *awaited = opaque;
	char text[STORE_VALUE_MAX];

	return xenbus_read_error(store, awaited->h->disk.backend, text) > 0 &&
	       strstr(text, awaited->error);
}

static int await(struct hostile *h, const char *path,
		 int (*ready)(struct store *store, void *opaque), struct awaited *awaited)
{
	int ret;

	need(!store_watch(h->judge, path, "judge"), "cannot watch '%s'", path);
	ret = store_wait(h->judge, now_ns() + HOSTILE_WAIT_NS, ready, awaited);
	store_unwatch(h->judge, path, "judge");
	return ret;
}

static void await_one_of(struct hostile *h, enum xenbus_state state, enum xenbus_state or)
{
	struct awaited awaited = {.h = h, .states = 1u << state | 1u << or };
	char path[STORE_PATH_MAX];

	need(!store_path(path, "%s/state", h->disk.backend), "path");
	need(await(h, path, is_in_state, &awaited) > 0, "the backend is %s, not %s",
	     xenbus_state_text(xenbus_state(h->judge, h->disk.backend)), xenbus_state_text(state));
}

void hostile_await(struct hostile *h, enum xenbus_state state)
{
	await_one_of(h, state, state);
}

void hostile_see_error(struct hostile *h, const char *text)
{
	struct awaited awaited = {.h = h, .error = text};
	char path[STORE_PATH_MAX], seen[STORE_VALUE_MAX];

	need(!xenbus_error_path(h->disk.backend, path), "path");
	if (await(h, path, has_error, &awaited) <= 0) {
		xenbus_read_error(h->judge, h->disk.backend, seen);
		need(false, "the error node says '%s', nothing of '%s'", seen, text);
	}
}

void hostile_await_error(struct hostile *h, const char *text)
{
	hostile_see_error(h, text);
	xenbus_clear_error(h->judge, h->disk.backend);
}

static uint64_t told(struct hostile *h, const char *key, uint64_t missing)
{
	uint64_t value;

	return store_read_number(h->store, XBT_NULL, h->disk.backend, key, 0, UINT64_MAX, &value)
		       ? missing
		       : value;
}

void hostile_read_facts(struct hostile *h)
{
	h->sectors = told(h, "sectors", 0);
	h->sector_bytes = (uint32_t)told(h, "sector-size", 512);
	h->max_indirect = (uint32_t)told(h, "feature-max-indirect-segments", 0);
	h->flush = told(h, "feature-flush-cache", 0);
	h->barrier = told(h, "feature-barrier", 0);
	h->discard = told(h, "feature-discard", 0);
	h->read_only = told(h, "info", 0) & VDISK_READONLY;
	need(h->sectors >= 16 * HOSTILE_PAGES, "the disk has %llu sectors only",
	     (unsigned long long)h->sectors);
}

void hostile_offer(struct hostile *h, uint32_t start)
{
	uint32_t *index = h->ring_page;

	memset(h->ring_page, 0, RING_PAGE_BYTES);
	need(!ring_setup(&h->ring, h->ring_page, h->abi, 0), "ring");
	ring_front_init(&h->ring);
	index[0] = index[2] = start;
	index[1] = index[3] = start + 1;
	h->ring.req_prod_pvt = h->ring.rsp_cons = h->ring.pushed = start;
	hostile_node(h, "ring-ref", "%u", h->ring_ref);
	hostile_node(h, "event-channel", "%u", channel_port(h->channel));
	hostile_node(h, "protocol", "%s", ring_abi_name(h->abi));
	if (h->persistent)
		hostile_node(h, "feature-persistent", "1");
}

void hostile_reset(struct hostile *h)
{
	static const char *const nodes[] = {"ring-ref",		  "ring-page-order",
					    "num-ring-pages",	  "event-channel",
					    "protocol",		  "multi-queue-num-queues",
					    "feature-persistent", "ring-ref0",
					    "ring-ref1",	  "queue-0"};

	/* Through Closing, so that there is something to wait for. */
	hostile_state(h, XENBUS_CLOSING);
	await_one_of(h, XENBUS_CLOSING, XENBUS_CLOSED);
	hostile_state(h, XENBUS_CLOSED);
	hostile_await(h, XENBUS_CLOSED);
	for (size_t i = 0; i < ARRAY_SIZE(nodes); i++)
		hostile_node_remove(h, nodes[i]);
	hostile_state(h, XENBUS_INITIALISING);
	hostile_await(h, XENBUS_INITWAIT);
}

void hostile_connect(struct hostile *h, uint32_t start)
{
	hostile_offer(h, start);
	hostile_state(h, XENBUS_INITIALISED);
	hostile_await(h, XENBUS_CONNECTED);
	hostile_state(h, XENBUS_CONNECTED);
	hostile_read_facts(h);
}

void hostile_disconnect(struct hostile *h)
{
	need(!h->waiting, "%u requests are not answered", h->waiting);
	hostile_reset(h);
}

#define BREAK_TEXT "request index is impossible"

void hostile_await_break(struct hostile *h)
{
	h->breaks++;
	hostile_await_error(h, BREAK_TEXT);
	memset(h->asked, 0, sizeof(h->asked));
	h->waiting = 0;
	hostile_reset(h);
	hostile_connect(h, 0);
	hostile_prove(h);
}

void hostile_leave_stopped(struct hostile *h)
{
	volatile uint32_t *req_prod = h->ring_page;
	uint32_t sound = *req_prod;

	h->breaks++;
	*req_prod = sound + h->ring.slots + 1;
	need(!channel_notify(h->channel), "notify: %m");
	hostile_see_error(h, BREAK_TEXT);
	*req_prod = sound;
}
