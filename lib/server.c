/* SPDX-License-Identifier: MIT */
#include "server.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "account.h"
#include "backend-nodes.h"
#include "backend.h"
#include "num.h"
#include "storelink.h"
#include "worker.h"

/* Watch events taken in one turn of the loop, so that a guest that toggles its state cannot keep
 * the queues waiting. */
#define EVENTS_PER_TURN 64

#define TOKEN_ALL "all"

/* A disk of ours: served, or (of --all) waiting for its state to change after it could not be. */
struct served {
	struct disk disk;
	char token[32];
	struct backend *backend; /* NULL: not served */
	bool due;		 /* a watch of it fired */
	struct server *server;
	struct loop_task rested; /* makes it due when its guest has waited enough */
	LIST_ENTRY(served) entry;
};

struct server {
	struct server_options options;
	struct storelink link;
	struct loop *loop;
	struct backend_host host;
	struct worker *workers[SERVER_THREADS_MAX];
	unsigned n_workers, next_worker;
	struct loop_task step;
	struct accounts accounts;
	LIST_HEAD(, served) disks;
	uint64_t next_token;
	bool all, rescan, stopping;
};

struct loop *server_loop(struct server *server)
{
	return server->loop;
}

struct store *server_store(struct server *server)
{
	return server->link.store;
}

unsigned server_disks(const struct server *server)
{
	const struct served *served;
	unsigned n = 0;

	LIST_FOREACH (served, &server->disks, entry)
		n += served->backend != NULL;
	return n;
}

int server_each(const struct server *server, int (*each)(const struct disk *disk, void *opaque),
		void *opaque)
{
	const struct served *served;
	int ret = 0;

	LIST_FOREACH (served, &server->disks, entry) {
		if (served->backend)
			ret = each(&served->disk, opaque);
		if (ret)
			break;
	}
	return ret;
}

static struct served *find_disk(struct server *server, const struct disk *disk)
{
	struct served *served;

	LIST_FOREACH (served, &server->disks, entry)
		if (!strcmp(served->disk.backend, disk->backend))
			return served;
	return NULL;
}

static void step_backend(struct served *served)
{
	uint64_t until_ns = backend_rests_until(served->backend);

	if (until_ns)
		loop_defer_until(served->server->loop, &served->rested, until_ns);
	else
		backend_step(served->backend);
}

static void run_rested(struct loop_task *task)
{
	struct served *served = task->owner;

	served->due = true;
	loop_defer(served->server->loop, &served->server->step);
}

static struct served *remember(struct server *server, const struct disk *disk)
{
	struct served *served = calloc(1, sizeof(*served));

	if (!served)
		return NULL;
	served->disk = *disk;
	served->server = server;
	served->rested = (struct loop_task){.run = run_rested, .owner = served};
	snprintf(served->token, sizeof(served->token), "disk-%" PRIu64, server->next_token++);
	LIST_INSERT_HEAD(&server->disks, served, entry);
	return served;
}

static void forget(struct served *served)
{
	loop_cancel(served->server->loop, &served->rested);
	if (served->backend)
		backend_close(served->backend);
	LIST_REMOVE(served, entry);
	free(served);
}

int server_add(struct server *server, const struct disk *disk, struct err *e)
{
	struct served *served = find_disk(server, disk);
	int ret;

	if (served)
		return err_set(e, -EBUSY, TAP_EXIT_BUSY, "named twice");
	served = remember(server, disk);
	if (!served)
		return err_set(e, -ENOMEM, TAP_EXIT_SYSTEM, "out of memory");
	ret = backend_open(&served->backend, &server->host, disk, served->token, e);
	if (ret < 0) {
		LIST_REMOVE(served, entry);
		free(served);
	}
	return ret;
}

static void try_unserved(struct server *server, struct served *served)
{
	struct err e = {0};

	if (xenbus_state(server->link.store, served->disk.backend) == XENBUS_GONE) {
		forget(served);
		return;
	}
	if (backend_open(&served->backend, &server->host, &served->disk, served->token, &e) < 0) {
		served->backend = NULL;
		log_line(server->options.log, LOG_ERROR, served->disk.name, "%s", e.what);
	}
}

/* Closed for good, and about to be removed: to serve it again would only take its image anew. */
static bool is_detached(struct server *server, const struct disk *disk)
{
	bool online;

	return !backend_read_online(server->link.store, disk, &online) && !online &&
	       xenbus_state(server->link.store, disk->backend) == XENBUS_CLOSED;
}

static int find_new(const struct disk *disk, void *opaque)
{
	struct server *server = opaque;
	struct served *served = find_disk(server, disk);

	if (served || is_detached(server, disk))
		return 0;
	served = remember(server, disk);
	if (!served)
		return -ENOMEM;
	try_unserved(server, served);
	return 0;
}

static void scan(struct server *server)
{
	struct served *served, *next;
	int ret;

	for (served = LIST_FIRST(&server->disks); served; served = next) {
		next = LIST_NEXT(served, entry);
		if (!served->backend &&
		    xenbus_state(server->link.store, served->disk.backend) == XENBUS_GONE)
			forget(served);
	}
	ret = disk_each(server->link.store, server->options.kind, find_new, server);

	if (ret < 0)
		log_line(server->options.log, LOG_ERROR, NULL, "cannot look for disks: %s",
			 strerror(-ret));
}

static int watch_all(struct server *server)
{
	char path[STORE_PATH_MAX];
	int ret = store_path(path, "/local/domain/%u/backend/%s", store_domid(server->link.store),
			     server->options.kind);

	return ret ? ret : store_watch(server->link.store, path, TOKEN_ALL);
}

int server_add_all(struct server *server, struct err *e)
{
	int ret = watch_all(server);

	if (ret < 0)
		return err_set(e, ret, TAP_EXIT_SYSTEM, "cannot watch for disks: %s",
			       strerror(-ret));
	server->all = true;
	scan(server);
	return 0;
}

/* Close what has ended; a disk of --all that is still in XenStore may be served again later. */
static void bury(struct server *server)
{
	struct served *served, *next;

	for (served = LIST_FIRST(&server->disks); served; served = next) {
		next = LIST_NEXT(served, entry);
		if (served->backend && backend_has_ended(served->backend))
			forget(served);
	}
	if (server->stopping || !server->all) {
		if (!server_disks(server))
			loop_stop(server->loop);
	}
}

/*
 * The watch of --all is on the directory of the kind, which no guest can write below. A path in a
 * disk not yet known asks for a scan; the state of one that could not be served, for a new try.
 */
static void something_changed(struct server *server, const char *path)
{
	struct served *served;

	LIST_FOREACH (served, &server->disks, entry) {
		size_t length = strlen(served->disk.backend);

		if (strncmp(path, served->disk.backend, length) ||
		    (path[length] && path[length] != '/'))
			continue;
		if (!served->backend && (!path[length] || !strcmp(path + length, "/state")))
			served->due = true;
		return;
	}
	server->rescan = true;
}

static void mark_due(struct server *server, const char *token)
{
	struct served *served;

	LIST_FOREACH (served, &server->disks, entry)
		if (!strcmp(served->token, token))
			served->due = true;
}

/* Returns 1 when more events may wait, 0 when none do, or a negative errno. */
static int take_events(struct server *server)
{
	char path[STORE_PATH_MAX], token[STORE_PATH_MAX];

	for (int i = 0; i < EVENTS_PER_TURN; i++) {
		int ret = store_next_event(server->link.store, path, token);

		if (ret <= 0)
			return ret;
		if (!strcmp(token, TOKEN_ALL))
			something_changed(server, path);
		else
			mark_due(server, token);
	}
	return 1;
}

static void step_due(struct server *server)
{
	struct served *served, *next;

	for (served = LIST_FIRST(&server->disks); served; served = next) {
		next = LIST_NEXT(served, entry);
		if (!served->due)
			continue;
		served->due = false;
		if (served->backend)
			step_backend(served);
		else if (!server->stopping)
			try_unserved(server, served);
	}
}

/*
 * XenStore is gone. The guests' requests do not need it, so they are served on; what xenbus has to
 * say waits until it is back.
 */
static void store_gone(int why, void *opaque)
{
	struct server *server = opaque;

	log_line(server->options.log, LOG_ERROR, NULL,
		 "XenStore is gone: %s; connected disks are served on", strerror(-why));
}

static int store_back(void *opaque)
{
	struct server *server = opaque;
	struct served *served;

	server->host.store = server->link.store;
	if (server->all && watch_all(server) < 0)
		return -EIO;
	LIST_FOREACH (served, &server->disks, entry) {
		served->due = true;
		if (served->backend)
			backend_rewatch(served->backend);
	}
	server->rescan = server->all;
	log_line(server->options.log, LOG_NOTICE, NULL, "XenStore is back");
	loop_defer(server->loop, &server->step);
	return 0;
}

static void run_step(struct loop_task *task)
{
	struct server *server = task->owner;
	int more = server->link.lost ? 0 : take_events(server);

	if (more < 0)
		storelink_lose(&server->link, more);
	if (more > 0)
		loop_defer(server->loop, task);
	if (!server->link.lost)
		step_due(server);
	bury(server);
	if (!server->link.lost && server->rescan && !server->stopping) {
		server->rescan = false;
		scan(server);
	}
}

static void store_ready(void *opaque)
{
	struct server *server = opaque;

	loop_defer(server->loop, &server->step);
}

static void some_ended(void *opaque)
{
	struct server *server = opaque;

	loop_defer(server->loop, &server->step);
}

/* Queues go to the threads in turn. */
static struct loop *pick_loop(void *opaque)
{
	struct server *server = opaque;

	if (!server->n_workers)
		return server->loop;
	return worker_loop(server->workers[server->next_worker++ % server->n_workers]);
}

static void stop_workers(struct server *server)
{
	while (server->n_workers)
		worker_stop(server->workers[--server->n_workers]);
}

static int start_workers(struct server *server, struct err *e)
{
	if (server->options.threads < 2)
		return 0;
	for (unsigned i = 0; i < server->options.threads && i < SERVER_THREADS_MAX; i++) {
		int ret = worker_start(&server->workers[i]);

		if (ret < 0)
			return err_set(e, ret, TAP_EXIT_SYSTEM, "cannot start a thread: %s",
				       strerror(-ret));
		server->n_workers++;
	}
	return 0;
}

int server_open(struct server **out, const struct server_options *options, struct err *e)
{
	struct server *server = calloc(1, sizeof(*server));
	int ret;

	if (!server)
		return err_set(e, -ENOMEM, TAP_EXIT_SYSTEM, "out of memory");
	server->options = *options;
	LIST_INIT(&server->disks);
	server->step = (struct loop_task){.run = run_step, .owner = server};
	ret = loop_open(&server->loop);
	if (ret < 0) {
		err_set(e, ret, TAP_EXIT_SYSTEM, "cannot make an event loop: %s", strerror(-ret));
		goto free_server;
	}
	server->link = (struct storelink){.loop = server->loop,
					  .ready = store_ready,
					  .gone = store_gone,
					  .back = store_back,
					  .opaque = server};
	ret = storelink_open(&server->link, e);
	if (ret < 0)
		goto close_loop;
	ret = start_workers(server, e);
	if (ret < 0)
		goto stop_workers;
	server->host = (struct backend_host){
		.store = server->link.store,
		.loop = server->loop,
		.accounts = &server->accounts,
		.log = options->log,
		.data_path = options->data_path,
		.keep_pages = options->keep_pages,
		.keep_idle_ns = options->keep_idle_ns,
		.buffered = options->buffered,
		.pick_loop = pick_loop,
		.ended = some_ended,
		.opaque = server,
	};
	*out = server;
	return 0;

stop_workers:
	stop_workers(server);
	storelink_close(&server->link);
close_loop:
	loop_close(server->loop);
free_server:
	free(server);
	return ret;
}

int server_run(struct server *server, struct err *e)
{
	int ret;

	loop_defer(server->loop, &server->step); /* what ended while it was added */
	ret = loop_run(server->loop);
	if (ret < 0)
		return err_set(e, ret, TAP_EXIT_SYSTEM, "the event loop failed: %s",
			       strerror(-ret));
	return 0;
}

void server_stop(struct server *server)
{
	struct served *served;

	server->stopping = true;
	LIST_FOREACH (served, &server->disks, entry)
		if (served->backend)
			backend_stop(served->backend);
	loop_defer(server->loop, &server->step);
}

void server_close(struct server *server)
{
	if (!server)
		return;
	/* Left because of an error: what the queues have taken is answered all the same. */
	server_stop(server);
	if (server_disks(server))
		loop_run(server->loop);
	while (!LIST_EMPTY(&server->disks))
		forget(LIST_FIRST(&server->disks));
	stop_workers(server);
	storelink_close(&server->link);
	loop_close(server->loop);
	free(server);
}
