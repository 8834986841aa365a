/* SPDX-License-Identifier: MIT */
/*
 * hostile - a frontend that means harm, for tests: it connects by hand, writes what it likes into
 * rings, pages and nodes, and knows what it must be answered.
 *
 * The attack runs in the guest's domain; a second connection to XenStore, as domain 0, and the
 * server's counters are the judge's eyes: they wait for error nodes and compare what was counted.
 * Whatever is not as it must be ends the program with a line on stderr and status 1.
 */
#ifndef TAP_HOSTILE_H
#define TAP_HOSTILE_H

#include <stdbool.h>
#include <stdint.h>
#include <xengnttab.h>

#include "channel.h"
#include "request.h"
#include "ring.h"
#include "stats.h"
#include "store.h"
#include "xenbus.h"

#define HOSTILE_PAGES	64u
#define HOSTILE_TABLES	4u
#define HOSTILE_ASKED	1024u
#define HOSTILE_GREF	0x7ffffff0u /* beyond any grant table */
#define HOSTILE_WAIT_NS 60000000000ull

/** What was asked and must be answered exactly once. */
struct hostile_asked {
	uint64_t id;
	uint8_t operation; /* of the answer */
	bool waits;
	enum request_fault fault; /* REQUEST_FINE: answered OKAY */
	bool either;		  /* or so: a race decides */
};

struct hostile {
	struct store *store; /* the guest's */
	struct store *judge; /* domain 0's */
	struct disk disk;
	enum ring_abi abi;
	bool persistent; /* said by its feature-persistent */

	xengntshr_handle *gntshr;
	struct channel *channel;
	void *ring_page;
	uint32_t ring_ref;
	struct ring ring;
	uint8_t *page, *table; /* granted writable, for data and for indirect segments */
	uint32_t page_ref[HOSTILE_PAGES], table_ref[HOSTILE_TABLES];
	uint32_t read_only_ref; /* granted read-only */
	uint32_t foreign_ref;	/* granted to another guest */
	uint32_t revoked_ref;	/* granted no longer */

	/* What the backend tells. */
	uint64_t sectors;
	uint32_t sector_bytes, max_indirect;
	bool flush, barrier, discard, read_only;

	struct hostile_asked asked[HOSTILE_ASKED];
	unsigned waiting; /* for answers */
	uint64_t next_id;
	uint64_t total;			/* requests that were answered */
	uint64_t fault[REQUEST_FAULTS]; /* of these, refused for */
	uint64_t either;		/* of these, decided by a race */
	uint64_t breaks;		/* rings that the server must have stopped */
	bool gone;			/* the frontend's directory is */
	struct stats_file before;
};

void need(bool ok, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/** Handles opened from now on are of domain @domid; and so is a process started from now on. */
void hostile_enter(uint32_t domid);
/** Open XenStore twice and grant the pages: nothing is published. */
void hostile_open(struct hostile *h, uint32_t domid, uint32_t vdev, enum ring_abi abi);
void hostile_close(struct hostile *h);

/** Raw nodes of the own directory. */
void hostile_node(struct hostile *h, const char *key, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
void hostile_state(struct hostile *h, int state);
void hostile_node_remove(struct hostile *h, const char *key);

/** A fresh ring whose four indices begin at @start, and sound nodes; state not written. */
void hostile_offer(struct hostile *h, uint32_t start);
/** From whatever state to a backend that waits (InitWait), ring nodes removed. */
void hostile_reset(struct hostile *h);
/** Read what the backend tells once it is Connected: sectors, features. */
void hostile_read_facts(struct hostile *h);
/** hostile_offer() and on to Connected at both ends. */
void hostile_connect(struct hostile *h, uint32_t start);
/** hostile_reset() and what goes with it: nothing may be outstanding. */
void hostile_disconnect(struct hostile *h);
/** Wait until the backend's state is @state. */
void hostile_await(struct hostile *h, enum xenbus_state state);
/** Wait for an error node with @text in it, then remove it. */
void hostile_await_error(struct hostile *h, const char *text);
/** Wait for an error node with @text in it. */
void hostile_see_error(struct hostile *h, const char *text);
/** The ring was stopped, said so, and is good again after a reconnect. */
void hostile_await_break(struct hostile *h);

/** Break the ring and put its index back: it was stopped, and looks sound. */
void hostile_leave_stopped(struct hostile *h);

/** A READ of @segments pages' worth from sector 0 on. */
struct request hostile_request(struct hostile *h, uint8_t operation, unsigned segments);
/** The same through table @table; @count of its segments are filled. */
struct request hostile_indirect(struct hostile *h, uint8_t operation, unsigned count,
				unsigned table);
struct request_segment *hostile_table(struct hostile *h, unsigned table);
/** Put into the ring what will be answered according to @fault, and into the book. */
void hostile_ask(struct hostile *h, const struct request *request, enum request_fault fault);
/** The same for one that @fault or nothing may befall. */
void hostile_ask_either(struct hostile *h, const struct request *request);
/** Push, notify, and wait for every answer: each once, as it must be, padding zero. */
void hostile_settle(struct hostile *h);
/** A write and a read of the same page still work. */
void hostile_prove(struct hostile *h);
/** Compare what the server counted since hostile_open() with the book. */
void hostile_judge(struct hostile *h);

/* Classes of attacks: a row each. */

struct hostile_class {
	const char *name;
	const char *what;
	void (*run)(struct hostile *h); /* one round, connected before and after it */
};

extern const struct hostile_class index_classes[], request_classes[], indirect_classes[],
	grant_classes[], node_classes[], state_classes[], storm_classes[];

#endif
