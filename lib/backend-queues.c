/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "backend-inner.h"

static void close_queues(struct backend *backend)
{
	for (unsigned i = 0; i < backend->queues; i++) {
		unsigned held = queue_close(backend->queue[i]);

		if (held)
			log_line(backend->host->log, LOG_ERROR, backend->disk.name,
				 "queue %u ended with %u pages still mapped", i, held);
		backend->queue[i] = NULL;
	}
	backend->queues = 0;
	backend->stats->connected = 0;
}

static void finish_drain(struct backend *backend)
{
	uint32_t index = backend->queues ? queue_resume_index(backend->queue[0]) : 0;
	bool was_connected = backend->queues > 0;

	backend->stats->stopped_clean = 1;
	close_queues(backend);
	if (was_connected && backend->after != AFTER_STOP)
		log_guest(backend->host->log, &backend->account->log_limit, backend->disk.name,
			  "disconnected");
	switch (backend->after) {
	case AFTER_RECONNECT:
		backend_look(backend);
		break;
	case AFTER_REFUSED:
		backend_look_again(backend);
		break;
	case AFTER_CLOSED:
		backend_switch(backend, XENBUS_CLOSED);
		backend_look(backend);
		break;
	case AFTER_STOP:
		if (was_connected)
			log_line(backend->host->log, LOG_NOTICE, backend->disk.name,
				 "stopped at request %" PRIu32 ", left Connected", index);
		backend_end(backend);
		break;
	case AFTER_GONE:
		backend_end(backend);
		break;
	}
}

static void queue_drained(struct queue *queue, void *opaque)
{
	struct backend *backend = opaque;
	uint64_t began_ns = now_ns();

	barrier_gone(&backend->barrier, queue);
	if (--backend->draining)
		return;
	finish_drain(backend);
	account_spend(backend->account, began_ns, now_ns());
}

void backend_drain(struct backend *backend, enum after_drain after)
{
	if (backend->draining) {
		if (after > backend->after)
			backend->after = after;
		return;
	}
	backend->after = after;
	backend->draining = backend->queues;
	for (unsigned i = 0; i < backend->queues; i++)
		queue_stop(backend->queue[i]);
	if (!backend->queues)
		finish_drain(backend);
}

static void queue_broken(struct queue *queue, int why, void *opaque)
{
	struct backend *backend = opaque;
	char reason[96] = "the frontend's request index is impossible";

	if (why == -EPROTO)
		backend->stats->breaks++;
	else
		snprintf(reason, sizeof(reason), "cannot use the event channel: %s",
			 strerror(-why));
	xenbus_set_error(backend->host->store, backend->disk.backend, "%s: ring stopped", reason);
	log_guest(backend->host->log, &backend->account->log_limit, backend->disk.name,
		  "%s: ring stopped until it reconnects", reason);
}

static void queue_barrier(struct queue *queue, void *opaque)
{
	struct backend *backend = opaque;

	barrier_asked(&backend->barrier, queue);
}

static void queue_held(struct queue *queue, void *opaque)
{
	struct backend *backend = opaque;

	barrier_held(&backend->barrier, queue);
}

static void queue_barrier_done(struct queue *queue, void *opaque)
{
	struct backend *backend = opaque;

	barrier_done(&backend->barrier, queue);
}

void backend_tell_data_path(struct backend *backend, const char *name)
{
	snprintf(backend->stats->data_path, sizeof(backend->stats->data_path), "%s", name);
}

/*
 * Persistent grants are kept only where both ends said so: our own node is what the frontend saw,
 * also if an earlier server wrote it. One that does not expect it stops at a page that is still
 * mapped when its answer comes (protocol.md 10).
 */
static enum pages_mode agreed_mode(struct backend *backend, const struct front_offer *offer)
{
	bool persistent = offer->persistent &&
			  backend_offered_persistent(backend->host->store, &backend->disk);
	enum pages_mode mode = data_path_mode(backend->host->data_path, persistent);

	backend_tell_data_path(backend, pages_mode_name(mode));
	return mode;
}

static int open_queues(struct backend *backend, const struct front_offer *offer, struct err *e)
{
	struct queue_setup setup = {
		.domid = backend->disk.domid,
		.ring_order = offer->ring_order,
		.abi = offer->abi,
		.max_segments = backend->limits.max_indirect_segments
					? backend->limits.max_indirect_segments
					: backend->limits.max_segments,
		.mode = agreed_mode(backend, offer),
		.keep_pages = backend->host->keep_pages,
		.keep_idle_ns = backend->host->keep_idle_ns,
		.image = backend->image,
		.limits = backend->limits,
		.broken = queue_broken,
		.barrier = queue_barrier,
		.held = queue_held,
		.barrier_done = queue_barrier_done,
		.drained = queue_drained,
		.opaque = backend,
	};

	for (unsigned i = 0; i < offer->queues; i++) {
		int ret;

		memcpy(setup.ring_refs, offer->queue[i].ring_refs, sizeof(setup.ring_refs));
		setup.port = offer->queue[i].port;
		setup.stats = &backend->stats->queue[i];
		ret = queue_open(&backend->queue[i], &setup,
				 backend->host->pick_loop(backend->host->opaque),
				 backend->host->loop, e);
		if (ret < 0) {
			close_queues(backend);
			return ret;
		}
		backend->queues++;
	}
	return 0;
}

static void start_queues(struct backend *backend, const struct front_offer *offer)
{
	backend->offer = *offer;
	barrier_reset(&backend->barrier, backend->queue, backend->queues);
	backend->stats->queues = backend->queues;
	backend->stats->connected = 1;
	backend->stats->stopped_clean = 0; /* before a request can be taken */
	for (unsigned i = 0; i < backend->queues; i++)
		queue_start(backend->queue[i]);
}

static void fail(struct backend *backend, const struct err *e)
{
	xenbus_set_error(backend->host->store, backend->disk.backend, "%s", e->what);
	log_guest(backend->host->log, &backend->account->log_limit, backend->disk.name, "%s",
		  e->what);
}

void backend_connect(struct backend *backend)
{
	struct store *store = backend->host->store;
	struct front_offer offer;
	struct err e = {0};
	int ret;

	if (backend->unresumed) {
		if (backend_resume(backend, &e) < 0)
			fail(backend, &e);
		return;
	}
	backend_publish_features(store, &backend->disk, &backend->config,
				 image_facts(backend->image), backend->host->data_path);
	backend_take_size(backend); /* what an image lost while it was connected to is gone now */
	if (backend_offer_read(store, &backend->disk, &backend->config.caps, &offer, &e) < 0 ||
	    open_queues(backend, &offer, &e) < 0) {
		fail(backend, &e);
		return;
	}
	start_queues(backend, &offer);
	backend->stats->slots = ring_slots(offer.abi, offer.ring_order);
	xenbus_clear_error(store, backend->disk.backend);
	ret = backend_publish_connected(store, &backend->disk, &backend->config,
					image_facts(backend->image));
	if (ret < 0) {
		err_set(&e, ret, TAP_EXIT_SYSTEM, "cannot say that the disk is connected: %s",
			strerror(-ret));
		fail(backend, &e);
		backend->failing = true;
		backend_drain(backend, AFTER_REFUSED);
		return;
	}
	log_guest(backend->host->log, &backend->account->log_limit, backend->disk.name,
		  "connected: %s, %u slots", ring_abi_name(offer.abi), backend->stats->slots);
}

static int take_over(struct backend *backend, struct err *e)
{
	struct front_offer offer;
	int ret = backend_offer_read(backend->host->store, &backend->disk, &backend->config.caps,
				     &offer, e);

	if (!ret)
		ret = open_queues(backend, &offer, e);
	if (ret < 0)
		return ret;
	for (unsigned i = 0; i < backend->queues; i++) {
		if (queue_is_quiet(backend->queue[i]) ||
		    (backend->resumable_from_stats &&
		     queue_resume_index(backend->queue[i]) == backend->resume_index[i]))
			continue;
		close_queues(backend);
		err_set(e, -EUCLEAN, TAP_EXIT_REFUSED,
			"the last server died with requests in flight: "
			"going on could lose or repeat some");
		err_hint(e,
			 "'tap-attach -d --force %s' gives the disk up; the guest then sees errors",
			 backend->disk.name);
		return -EUCLEAN;
	}
	backend->stats->slots = ring_slots(offer.abi, offer.ring_order);
	start_queues(backend, &offer);
	return 0;
}

int backend_resume(struct backend *backend, struct err *e)
{
	bool again = backend->unresumed;
	int ret = take_over(backend, e);

	backend->unresumed = ret < 0;
	/* What one guest did must not keep its neighbours' server from starting. */
	if (ret == -EPROTO) {
		fail(backend, e);
		return 0;
	}
	if (ret < 0)
		return ret;
	if (again)
		xenbus_clear_error(backend->host->store, backend->disk.backend);
	/* An image that grew while nobody served it. */
	backend_publish_size(backend->host->store, &backend->disk, backend->limits.sectors);
	log_guest(backend->host->log, &backend->account->log_limit, backend->disk.name, "resumed");
	return 0;
}
