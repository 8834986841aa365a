/* SPDX-License-Identifier: MIT */
/*
 * server - many disks in one process, one event loop.
 */
#ifndef TAP_SERVER_H
#define TAP_SERVER_H

#include <stdbool.h>

#include "data-path.h"
#include "loop.h"
#include "msg.h"
#include "store.h"
#include "xenbus.h"

struct server;

struct server_options {
	const char *kind; /* whose disks --all serves */
	enum data_path data_path;
	unsigned keep_pages;   /* persistent: of each queue */
	uint64_t keep_idle_ns; /* persistent */
	bool buffered;
	unsigned threads; /* that serve queues: 0 and 1 for the control thread alone */
	const struct log *log;
};

#define SERVER_THREADS_MAX 64u

int server_open(struct server **out, const struct server_options *options, struct err *e);

/** The loop, for a tool's own signals and children; the store, for resolving addresses. */
struct loop *server_loop(struct server *server);
struct store *server_store(struct server *server);

/** Serve one disk. Errors as backend_open(). */
int server_add(struct server *server, const struct disk *disk, struct err *e);

/**
 * Serve every disk of the kind, as they appear and until server_stop(). One that cannot be served
 * gets its error node and a line in the log, and another try when its state changes.
 */
int server_add_all(struct server *server, struct err *e);

/** How many disks are served now, and each of them. Stops at @each's first non-zero return, and
 * returns that. */
unsigned server_disks(const struct server *server);
int server_each(const struct server *server, int (*each)(const struct disk *disk, void *opaque),
		void *opaque);

/**
 * Run until server_stop() has finished, or, without server_add_all(), until the last disk has
 * ended. 0, or a negative errno of the loop. When XenStore goes away, connected disks are
 * served on, and it is looked for.
 */
int server_run(struct server *server, struct err *e);

/** Stop in order: every consumed request is answered, each disk stays Connected for the next
 * server. */
void server_stop(struct server *server);

/** Stops in order first, if disks are still served. NULL is fine. */
void server_close(struct server *server);

#endif
