/* SPDX-License-Identifier: MIT */
/*
 * share - whose turn it is in a thread: the guests that have work for it, one after the other, each
 * for the same time (deficit round robin).
 *
 * Time is what is shared, since nothing else is alike in all that a guest can ask for. How much a
 * task takes is known afterwards: who took more than its slice is passed over until the others have
 * had as much, but only while they have work. Nobody waits for a guest that has none.
 */
#ifndef TAP_SHARE_H
#define TAP_SHARE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

struct loop_task;

/** How long a guest has its turn, unless a task of it takes longer. */
#define SHARE_SLICE_NS 50000
/** More than that need not be made up for: one turn that took long may not have been its fault. */
#define SHARE_DEBT_NS 100000000

/** A guest, in one thread, with all its disks. */
struct share {
	struct shares *shares;
	uint32_t domid;
	unsigned users;
	unsigned tasks;			  /* due */
	int64_t left_ns;		  /* of its slice; negative: it took more */
	struct loop_task *due, **due_end; /* in order */
	uint64_t events_even_ns;	  /* see share_event() */
	bool is_ready;			  /* in the line: something is due, or runs */
	LIST_ENTRY(share) entry;
	TAILQ_ENTRY(share) ready;
};

/** All of a thread, which alone calls what is here. shares_init() before use. */
struct shares {
	LIST_HEAD(, share) list;
	TAILQ_HEAD(, share) ready;
};

void shares_init(struct shares *shares);

/** The one share of that domain, to be put. NULL without memory. */
struct share *share_get(struct shares *shares, uint32_t domid);
/** Nothing may be due for the last one that puts it. NULL is fine. */
void share_put(struct share *share);

/** Work that is due, at the end of what is; each task once. */
void share_add(struct share *share, struct loop_task *task);
void share_remove(struct share *share, struct loop_task *task);

/** Who is to work next: something is due for it, and time is left to it. NULL: nothing is due. */
struct share *shares_next(struct shares *shares);
/** Its first task, which is no longer due then; share_spend() is to follow. */
struct loop_task *share_take(struct share *share);
/** It worked so long, with its turn at an end. */
void share_spend(struct share *share, uint64_t spent_ns);

/*
 * An event of the guest was taken. One that tells of nothing new costs a turn all the same, and
 * nothing stops a guest from sending them: so these are not taken more often than once in a while,
 * over all its event channels. One that is good for something makes up for one that is not, since
 * events may well cross with the work that they tell of.
 */
#define SHARE_EVENT_NS	  1000000u /* between those that are good for nothing */
#define SHARE_EVENT_BURST 32u	   /* that many at once */
#define SHARE_EVENT_MOST  64u	   /* no wait is longer than for so many */

/** Returns 0, or until when the next event of that channel is not to be asked for. */
uint64_t share_event(struct share *share, bool useful, uint64_t at_ns);

#endif
