/* SPDX-License-Identifier: MIT */
/*
 * model - random behaviour of a frontend, legal and not, against a whole tap-serve in the
 * simulator; and a model of what must come of it.
 *
 * A run is a number of lives: in each a disk is attached in some way, served in some way, and a
 * guest with several rings does one random thing after the other. The model knows of each request
 * what it must be answered, of each page what must stand in it, of each sector what was written,
 * and of each counter what it must say; it looks at all of this after each step (check.c).
 *
 * All that is random comes from the seed and the number of the step, and no choice depends on how
 * fast the server was: the guest does the same in each run of a seed. Whatever is not as it must be
 * ends the program (need(), hostile.h) with the steps before it and the command that runs it again.
 */
#ifndef TAP_MODEL_H
#define TAP_MODEL_H

#include <sys/types.h>

#include "../hostile/hostile.h"

#define MODEL_VDEV	51712u
#define MODEL_QUEUES	4u
#define MODEL_ASKED	64u /* requests that are not answered, at most */
#define MODEL_SPANS	18u /* segments of each, but for one that is alone */
#define MODEL_PAGES	(MODEL_ASKED * (MODEL_SPANS + 1)) /* enough, and so for one that is alone */
#define MODEL_TOLD	16u				  /* steps that a failure tells of */
#define SECTORS		8200u /* of the disk; a multiple of 8, so that its sectors may be of 4096 */
#define MODEL_IMAGE	"model.img"
#define MODEL_LOG	"model-serve.log"
#define MODEL_TOOLS_LOG "model-attach.log"

/** A page of the guest, granted alone so that its grant can be ended alone. */
struct guest_page {
	uint8_t *at;
	uint32_t ref;
	bool busy; /* of a request that is not answered */
};

/** What is known of a sector's content. */
struct sector {
	enum { SECTOR_KNOWN, SECTOR_OR_ZERO, SECTOR_ANY } state;
	uint32_t tag;	     /* says which content: shadow.c */
	uint64_t changed_at; /* a write to it was asked or answered, by the model's clock */
	unsigned writers;    /* not answered */
};

/** What a request does with its pages and its sectors. */
enum effect {
	EFFECT_NONE,	/* pages stay as they are, sectors too */
	EFFECT_READ,	/* sectors are in the pages, and nothing else */
	EFFECT_WRITE,	/* pages stay, and are in the sectors */
	EFFECT_DISCARD, /* sectors stay, or are zero */
	EFFECT_SPOILS,	/* pages hold anything, sectors stay */
};

/** A segment of one of the guest's pages. */
struct span {
	uint16_t page;
	uint8_t first_sect, last_sect;
};

/** A request that is not answered. */
struct asked {
	bool waits;
	unsigned queue;
	uint64_t id;
	uint8_t operation; /* of the answer */
	enum request_fault fault;
	bool either; /* may be refused, or not: a race decides */
	enum effect effect;
	uint64_t sector;
	uint64_t sectors;
	uint32_t tag;	   /* of what it writes */
	uint64_t asked_at; /* by the model's clock */
	unsigned spans;
	struct span span[REQUEST_SEGMENTS_MAX];
	bool has_table;
	uint16_t table; /* the page with the segments of an indirect request */
};

/** Memory for a ring. */
struct ring_pages {
	void *at; /* 2^RING_ORDER_MAX pages, granted */
	uint32_t refs[1u << RING_ORDER_MAX];
};

struct guest_queue {
	struct ring_pages pages[2]; /* in turn, so that a new ring is not the old one */
	unsigned turn;
	struct channel *channel;
	struct ring ring;
	unsigned waiting; /* requests that are not answered */
	bool lied;	  /* about indices that say when to notify: so it always does */
	bool broken;
};

enum phase { PHASE_APART, PHASE_CONNECTED };

/** How the disk of this life is attached and served. */
struct life {
	bool read_only, discard;
	unsigned sector_bytes, max_queues, max_ring_order, max_segments;
	const char *data_path;
	unsigned threads, keep_pages;
};

struct model {
	struct hostile h; /* stores, grants that are no good, counters before */
	uint64_t seed, step, dice, clock;
	struct life life;
	pid_t server;
	uint64_t began_ns, log_lines_free;
	enum phase phase;
	bool persistent;  /* said by the frontend: pages may stay mapped */
	bool old_dialect; /* num-ring-pages */
	bool boots;	  /* stays at Initialised */
	unsigned queues, order;
	struct guest_queue queue[MODEL_QUEUES];
	struct guest_page page[MODEL_PAGES];
	unsigned next_page;
	struct asked asked[MODEL_ASKED];
	unsigned waiting;
	uint64_t next_id;
	uint32_t next_tag;
	struct sector shadow[SECTORS];
	/* Of this server: answers taken, refused for, decided by a race, rings stopped. */
	uint64_t answered, fault[REQUEST_FAULTS], either, breaks;
	char told[MODEL_TOLD][160];
	bool passed;
};

/* --- main.c --- */

/** A random number below @n (1 or more); true in @percent of 100. */
unsigned dice(struct model *m, unsigned n);
bool chance(struct model *m, unsigned percent);
uint64_t dice64(struct model *m);
/** What this step does, for whoever reads of a failure. Several in a step are put together. */
void tell(struct model *m, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* --- life.c: the disk, its server, the guest's memory --- */

void life_begin(struct model *m);
/** Detach in order; the server ends; what is in the image is what was written. */
void life_end(struct model *m);
/** Stop the server in order and start another one, which goes on with the rings. */
void server_restart(struct model *m);
/**
 * End a page's grant and grant it anew, under whatever reference: it belongs to no request, so that
 * the server has no use for it, unless it was agreed that it may stay mapped.
 */
void page_renew(struct model *m, struct guest_page *page);
/** Run a tool as domain 0 and need its success. */
void run_tool(char *const argv[]);

/* --- guest.c: rings and states --- */

/** Agree on something and connect. */
void guest_connect(struct model *m);
/** New rings, in other pages, while the old ones are served; answers to those are taken. */
void guest_resume(struct model *m);
/** Write all nodes of the rings, and the state, whatever was written there since. */
void guest_publish_again(struct model *m);
/** Close and wait for InitWait; what is not answered by then never will be. */
void guest_reset(struct model *m);
/** Show what was put into a ring, and notify. */
void guest_push(struct model *m, unsigned queue);

/* --- shadow.c: what sectors and pages must hold --- */

void shadow_fill_image(struct model *m);
void shadow_check_image(struct model *m);
/** Before a request is put: fill its pages, and note what will become of its sectors. */
void shadow_ask(struct model *m, struct asked *asked);
/** Its answer came: @okay or not. Looks at the pages. */
void shadow_answer(struct model *m, struct asked *asked, bool okay);
/** No answer will come. */
void shadow_forget(struct model *m, struct asked *asked);

/* --- ask.c: requests, legal ones --- */

/** Any queue, with room for @count requests: it waits for answers first where there is none. */
unsigned queue_any(struct model *m, unsigned count);
/**
 * A legal request of @task (READ, WRITE, ...) with up to @most segments (0: without data), and its
 * record; not put yet. Pages are taken, the shadow does not know yet.
 */
struct asked *ask_make(struct model *m, unsigned queue, uint8_t task, unsigned most,
		       struct request *request);
/** The same as an indirect request, whatever its number of segments. */
struct asked *ask_make_indirect(struct model *m, unsigned queue, uint8_t task, unsigned most,
				struct request *request);
/** Put it into the ring and the book. */
void ask_put(struct model *m, struct asked *asked, const struct request *request);
/** One legal request, whichever. */
void ask_legal(struct model *m, unsigned queue);
/** Alone, the largest there is. */
void ask_largest(struct model *m);
/** The segments of an indirect request, as the server will read them. */
struct request_segment *ask_table(struct model *m, const struct asked *asked);

/* --- wrong.c: requests, illegal ones --- */

void ask_wrong(struct model *m, unsigned queue);

/* --- answer.c --- */

/** Push, and wait until @count more answers came to @queue. */
void answers_await(struct model *m, unsigned queue, unsigned count);
/** Push all, and wait for all answers (of a ring that was stopped there are none). */
void answers_settle(struct model *m);
/** Take the answers that are there. */
void answers_take(struct model *m);
/** The rings are no longer served: take what was answered, forget the rest. */
void answers_collect(struct model *m);

/* --- act.c: the steps --- */

void act(struct model *m);

/* --- check.c: the invariants --- */

void check_step(struct model *m);
/** Counters against the book: nothing is under way. */
void check_counters(struct model *m);
/** What the server maps and has bound is what it needs for the rings, and nothing more. */
void check_held(struct model *m);

#endif
