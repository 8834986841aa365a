/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "backend-inner.h"
#include "num.h"
#include "rundir.h"

const struct disk *backend_disk(const struct backend *backend)
{
	return &backend->disk;
}

void backend_end(struct backend *backend)
{
	if (backend->ended)
		return;
	backend->ended = true;
	backend->host->ended(backend->host->opaque);
}

void backend_switch(struct backend *backend, enum xenbus_state state)
{
	int ret = xenbus_switch(backend->host->store, backend->disk.backend, state);
	char what[48];

	if (ret >= 0 || ret == -ENOENT)
		return;
	snprintf(what, sizeof(what), "set the state to %s", xenbus_state_text(state));
	backend_store_failed(backend, ret, what);
}

/* --- the states of xenbus ------------------------------------------------------------------- */

static void offer_disk(struct backend *backend)
{
	struct store *store = backend->host->store;
	int ret = backend_publish_features(store, &backend->disk, &backend->config,
					   image_facts(backend->image), backend->host->data_path);

	if (ret == -ENOENT)
		return; /* it was just removed: the watch will say so */
	if (ret < 0)
		backend_store_failed(backend, ret, "offer the disk");
	else
		backend_switch(backend, XENBUS_INITWAIT);
}

/* The frontend is Closed, or never came: settle the backend's state, and perhaps the device's end.
 */
static void settle_closed(struct backend *backend, enum xenbus_state state, bool online)
{
	if (backend->queues) {
		backend_drain(backend, AFTER_CLOSED);
		return;
	}
	if (state != XENBUS_CLOSED)
		backend_switch(backend, XENBUS_CLOSED);
	if (!online)
		backend_end(backend);
}

static bool is_connected(enum xenbus_state front)
{
	return front == XENBUS_INITIALISED || front == XENBUS_CONNECTED;
}

/* Of a frontend that an earlier server was connected to. */
static bool has_ring(enum xenbus_state front)
{
	return is_connected(front) || front == XENBUS_CLOSING;
}

/* Did a connected frontend publish other rings without closing (a resume, protocol.md 16)? */
static bool has_new_ring(struct backend *backend)
{
	struct front_offer offer;

	return !offer_read(backend->host->store, XBT_NULL, &backend->disk, &offer, NULL) &&
	       offer.queues && memcmp(offer.queue, backend->offer.queue, sizeof(offer.queue));
}

uint64_t backend_rests_until(const struct backend *backend)
{
	return account_rests_until(backend->account, now_ns());
}

void backend_step(struct backend *backend)
{
	uint64_t began_ns = now_ns();

	backend_look(backend);
	account_spend(backend->account, began_ns, now_ns());
}

/* A guest may keep its state from being read: then it has none. */
static int look_at_ends(const struct backend *backend, enum xenbus_state *back,
			enum xenbus_state *front, bool *online)
{
	struct store *store = backend->host->store;
	int ret = xenbus_look(store, XBT_NULL, backend->disk.backend, back);

	*front = XENBUS_INVALID;
	if (!ret)
		ret = xenbus_look(store, XBT_NULL, backend->disk.frontend, front);
	if (!ret || ret == -EACCES)
		ret = backend_read_online(store, &backend->disk, online);
	return ret;
}

static void look(struct backend *backend)
{
	enum xenbus_state back, front;
	bool online;
	int ret;

	if (backend->ended)
		return;
	ret = look_at_ends(backend, &back, &front, &online);
	if (ret) {
		backend_store_failed(backend, ret, "read the states");
		return;
	}
	if (back == XENBUS_GONE) {
		backend_drain(backend, AFTER_GONE);
		return;
	}
	if (backend->draining)
		return; /* finish_drain() looks again */
	if (front != XENBUS_INVALID && !has_ring(front))
		backend->unresumed = false;
	switch (front) {
	case XENBUS_INITIALISING:
		if (backend->queues) /* a new life of the frontend that skipped Closed */
			backend_drain(backend, AFTER_CLOSED);
		else if (!online)
			settle_closed(backend, back, online);
		else if (back != XENBUS_INITWAIT)
			offer_disk(backend);
		break;
	case XENBUS_INITIALISED:
	case XENBUS_CONNECTED:
		if (front == XENBUS_INITIALISED && backend->queues && has_new_ring(backend)) {
			backend_drain(backend, AFTER_RECONNECT);
			break;
		}
		/* Not while the toolstack closes; otherwise also when InitWait was never seen by
		 * it, as UEFI does. */
		if (!backend->queues && online && back != XENBUS_CLOSING)
			backend_connect(backend);
		break;
	case XENBUS_CLOSING: /* its ring is in use until Closed: it may have refused to close */
		if (back != XENBUS_CLOSING && back != XENBUS_CLOSED)
			backend_switch(backend, XENBUS_CLOSING);
		break;
	case XENBUS_CLOSED:
	case XENBUS_GONE:
		settle_closed(backend, back, online);
		break;
	default: /* InitWait and Reconfigur* ask for nothing; garbage gets nothing */
		if (!online && !backend->queues)
			settle_closed(backend, back, online);
		break;
	}
}

void backend_look(struct backend *backend)
{
	backend->failing = false;
	look(backend);
	if (!backend->failing)
		backend->again_times = 0;
}

/* --- resize --------------------------------------------------------------------------------- */

void backend_take_size(struct backend *backend)
{
	backend->limits.sectors = image_facts(backend->image)->size_bytes / SECTOR_BYTES;
	backend->stats->size_sectors = backend->limits.sectors;
}

static int resize(struct backend *backend, struct err *e)
{
	uint64_t sectors, old = backend->limits.sectors;
	int ret = image_resize(backend->image, e);

	if (ret < 0)
		return ret;
	sectors = image_facts(backend->image)->size_bytes / SECTOR_BYTES;
	if (sectors < old)
		return err_set(e, -EINVAL, TAP_EXIT_REFUSED,
			       "the image shrank to %" PRIu64 " sectors, the guest has %" PRIu64,
			       sectors, old);
	backend_take_size(backend);
	for (unsigned i = 0; i < backend->queues; i++)
		queue_set_limits(backend->queue[i], &backend->limits);
	ret = backend_publish_size(backend->host->store, &backend->disk, sectors);
	if (ret < 0)
		return err_set(e, ret, TAP_EXIT_SYSTEM, "cannot write the new size: %s",
			       strerror(-ret));
	if (sectors == old)
		return 0;
	log_line(backend->host->log, LOG_NOTICE, backend->disk.name,
		 "resized from %" PRIu64 " to %" PRIu64 " sectors", old, sectors);
	return 0;
}

static void answer_control(void *opaque, const char *command, char answer[static CONTROL_LINE_MAX])
{
	struct backend *backend = opaque;
	struct err e = {0};

	if (!strcmp(command, "ping"))
		snprintf(answer, CONTROL_LINE_MAX, "ok %d", (int)getpid());
	else if (strcmp(command, "resize"))
		snprintf(answer, CONTROL_LINE_MAX, "error %d unknown command", TAP_EXIT_USAGE);
	else if (resize(backend, &e) < 0)
		snprintf(answer, CONTROL_LINE_MAX, "error %d %.200s", e.exit, e.what);
	else
		snprintf(answer, CONTROL_LINE_MAX, "ok %" PRIu64, backend->limits.sectors);
}

/* --- open and close ------------------------------------------------------------------------- */

static int open_image(struct backend *backend, struct err *e)
{
	const struct image_facts *facts;
	struct image_options options = {.buffered = backend->host->buffered};
	int ret;

	ret = backend_config_read(backend->host->store, &backend->disk, &backend->config, e);
	if (ret < 0)
		return ret;
	options.read_only = backend->config.read_only;
	options.shared = backend->config.shared;
	options.direct_io_safe = backend->config.direct_io_safe;
	options.sector_bytes = backend->config.sector_bytes;
	ret = image_open(&backend->image, backend->config.image, &options, e);
	if (ret < 0)
		return ret;
	facts = image_facts(backend->image);
	if (facts->note[0])
		log_line(backend->host->log, LOG_NOTICE, backend->disk.name, "buffered I/O: %s",
			 facts->note);
	backend->limits = (struct request_limits){
		.sectors = facts->size_bytes / SECTOR_BYTES,
		.logical_sector_bytes = backend->config.sector_bytes,
		.max_segments = REQUEST_SEGMENTS_DIRECT,
		.read_only = backend->config.read_only,
		.can_flush = facts->can_flush,
		.can_barrier = facts->can_flush,
		.can_discard = facts->can_discard && backend->config.discard,
		.can_discard_secure = facts->can_discard_secure,
		.max_indirect_segments = backend->config.caps.max_indirect_segments,
	};
	return 0;
}

static int open_stats(struct backend *backend)
{
	struct stats_file *last = malloc(sizeof(*last));
	int ret;

	if (!last)
		return -ENOMEM;
	if (!stats_read(&backend->disk, last) && last->stopped_clean && last->queues) {
		backend->resumable_from_stats = true;
		for (unsigned i = 0; i < STATS_QUEUES; i++)
			backend->resume_index[i] = last->queue[i].rsp_prod;
	}
	ret = stats_create(&backend->stats, &backend->disk,
			   backend->resumable_from_stats ? last : NULL);
	free(last);
	if (ret < 0)
		return ret;
	backend->stats->size_sectors = backend->limits.sectors;
	backend_tell_data_path(backend, data_path_name(backend->host->data_path));
	snprintf(backend->stats->image, sizeof(backend->stats->image), "%.255s",
		 backend->config.image);
	return 0;
}

/* state and online of our own directory, state of the frontend's: no more than is needed (XSA-349).
 */
static int watch(struct backend *backend, bool on)
{
	struct store *store = backend->host->store;
	const char *const nodes[][2] = {{backend->disk.backend, "state"},
					{backend->disk.backend, "online"},
					{backend->disk.frontend, "state"}};
	int ret = 0;

	for (size_t i = 0; !ret && i < ARRAY_SIZE(nodes); i++) {
		char path[STORE_PATH_MAX];

		ret = store_path(path, "%s/%s", nodes[i][0], nodes[i][1]);
		if (!ret && on)
			ret = store_watch(store, path, backend->token);
		else if (!ret)
			store_unwatch(store, path, backend->token);
	}
	return ret;
}

/* A device that an earlier server left connected is resumed; any other begins with its features. */
static int begin(struct backend *backend, struct err *e)
{
	enum xenbus_state back, front;
	bool online;
	int ret = look_at_ends(backend, &back, &front, &online);

	/* What cannot be read may be a connected frontend: its ring is not to be begun anew. */
	if (ret)
		return err_set(e, ret, TAP_EXIT_SYSTEM, "cannot read the states: %s",
			       strerror(-ret));
	if (back == XENBUS_GONE)
		return err_set(e, -ENOENT, TAP_EXIT_NONE, "no such disk");
	if (has_ring(front) && (back == XENBUS_CONNECTED || back == XENBUS_CLOSING))
		return backend_resume(backend, e);
	/* What stands there may be another backend's offer: the kernel's, which was unbound. */
	if (front == XENBUS_INITIALISING && back == XENBUS_INITWAIT && online)
		offer_disk(backend);
	backend_look(backend);
	return 0;
}

static int open_parts(struct backend *backend, struct err *e)
{
	int ret;

	backend->claim_fd = rundir_claim(&backend->disk, e);
	if (backend->claim_fd < 0)
		return backend->claim_fd;
	ret = open_image(backend, e);
	if (ret < 0)
		return ret;
	ret = open_stats(backend);
	if (!ret)
		ret = control_open(&backend->control, &backend->disk, backend->host->loop,
				   answer_control, backend);
	if (!ret) {
		backend->watching = true;
		ret = watch(backend, true);
	}
	if (ret < 0)
		return err_set(e, ret, TAP_EXIT_SYSTEM, "cannot set up the server's files: %s",
			       strerror(-ret));
	return begin(backend, e);
}

int backend_open(struct backend **out, const struct backend_host *host, const struct disk *disk,
		 const char *token, struct err *e)
{
	struct backend *backend = calloc(1, sizeof(*backend));
	int ret;

	if (!backend)
		return err_set(e, -ENOMEM, TAP_EXIT_SYSTEM, "out of memory");
	backend->host = host;
	backend->disk = *disk;
	snprintf(backend->token, sizeof(backend->token), "%s", token);
	backend->claim_fd = -1;
	backend->again = (struct loop_task){.run = backend_again, .owner = backend};
	backend->account = account_get(host->accounts, disk->domid);
	ret = backend->account ? open_parts(backend, e)
			       : err_set(e, -ENOMEM, TAP_EXIT_SYSTEM, "out of memory");
	if (ret < 0) {
		if (backend->claim_fd >= 0) /* else it is somebody else's to speak of */
			xenbus_set_error(host->store, disk->backend, "%s", e->what);
		backend_close(backend);
		return ret;
	}
	*out = backend;
	return 0;
}

bool backend_has_ended(const struct backend *backend)
{
	return backend->ended;
}

int backend_rewatch(struct backend *backend)
{
	return watch(backend, true);
}

void backend_stop(struct backend *backend)
{
	if (!backend->ended)
		backend_drain(backend, AFTER_STOP);
}

void backend_close(struct backend *backend)
{
	if (backend->watching)
		watch(backend, false);
	loop_cancel(backend->host->loop, &backend->again);
	control_close(backend->control);
	if (backend->image)
		image_close(backend->image);
	stats_unmap(backend->stats);
	if (backend->claim_fd >= 0)
		rundir_release(&backend->disk, backend->claim_fd);
	account_put(backend->account);
	free(backend);
}
