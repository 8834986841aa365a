/* SPDX-License-Identifier: MIT */
/*
 * backend-inner - a backend from inside. For backend*.c alone: backend.c is its life and its
 * states, backend-queues.c its rings while a frontend is connected, backend-nodes.c (a header of
 * its own) its nodes in XenStore.
 */
#ifndef TAP_BACKEND_INNER_H
#define TAP_BACKEND_INNER_H

#include "account.h"
#include "backend-nodes.h"
#include "backend.h"
#include "barrier.h"
#include "control.h"
#include "queue.h"
#include "stats.h"

/** What becomes of the device once its queues are drained. */
enum after_drain { AFTER_RECONNECT, AFTER_REFUSED, AFTER_CLOSED, AFTER_STOP, AFTER_GONE };

struct backend {
	const struct backend_host *host;
	struct disk disk;
	char token[32];
	int claim_fd;
	struct backend_config config;
	struct image *image;
	struct request_limits limits;
	struct stats_file *stats;
	struct control *control;
	unsigned queues; /* open ones */
	struct queue *queue[STATS_QUEUES];
	struct front_offer offer; /* what they were opened with */
	struct barrier barrier;
	unsigned draining; /* queues whose drained() is awaited */
	enum after_drain after;
	bool resumable_from_stats; /* the last server stopped with everything answered ... */
	uint32_t resume_index[STATS_QUEUES]; /* ... at these rsp_prod */
	bool unresumed; /* an earlier server's ring, which could not be taken over (yet) */
	bool watching, ended;
	struct loop_task again; /* see backend_look_again() */
	unsigned again_times;	/* in a row */
	bool failing;		/* XenStore refused something at the last look */
	struct account *account;
};

/** The device is done with: the host is told, once. */
void backend_end(struct backend *backend);

/** backend_step() as a part of something that is accounted for already. */
void backend_look(struct backend *backend);

/** The disk is as large as its image. */
void backend_take_size(struct backend *backend);

/** Write the data path's name into the stat file. */
void backend_tell_data_path(struct backend *backend, const char *name);

/** XenStore refused @what ("offer the disk"): say so, and look again after a while. */
void backend_store_failed(struct backend *backend, int ret, const char *what);
void backend_look_again(struct backend *backend);
void backend_again(struct loop_task *task);

/** Write our state; a device that is gone has none. */
void backend_switch(struct backend *backend, enum xenbus_state state);

/** A new ring: the frontend has published one and waits for Connected. */
void backend_connect(struct backend *backend);

/**
 * A ring that another server served before. All that is known of it is the shared rsp_prod, which
 * is enough if everything consumed was answered: the ring is quiet, or the last server stopped in
 * order. Else -EUCLEAN, exit 8. Nodes of the frontend that cannot be used, a ring that is not
 * granted and a port that cannot be bound are 0, as in backend_connect(): the error node says why,
 * and the disk waits for another state of the frontend.
 */
int backend_resume(struct backend *backend, struct err *e);

/** Drain what is open, then go on with @after. A later call may only make the outcome more final.
 */
void backend_drain(struct backend *backend, enum after_drain after);

#endif
