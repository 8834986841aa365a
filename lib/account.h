/* SPDX-License-Identifier: MIT */
/*
 * account - what a server keeps of a guest, whatever number of disks it has. For the control thread
 * alone.
 */
#ifndef TAP_ACCOUNT_H
#define TAP_ACCOUNT_H

#include <stdint.h>
#include <sys/queue.h>

#include "msg.h"

struct account {
	uint32_t domid;
	unsigned users;
	struct log_limit log_limit; /* of lines on any of its disks */
	uint64_t even_ns;	    /* see account_spend() */
	LIST_ENTRY(account) entry;
};

/** Those that a server has to do with. Zero-initialise. */
struct accounts {
	LIST_HEAD(, account) list;
};

/** The one account of that domain, to be put. NULL without memory. */
struct account *account_get(struct accounts *accounts, uint32_t domid);
/** Forgotten with the last one that put it. NULL is fine. */
void account_put(struct account *account);

/*
 * What a guest makes xenbus do, above all connect, keeps the thread from everybody else for as long
 * as it takes, and asks XenStore many times. A guest that is sound does it seldom: so it has a
 * part of the thread's time for it, to be taken at once or little by little.
 */
#define ACCOUNT_PART	 4u	     /* one in so many */
#define ACCOUNT_BURST_NS 20000000u   /* more than its part, at once */
#define ACCOUNT_REST_NS	 1000000000u /* no rest is longer, however long something took */

/** The control thread worked for the guest. */
void account_spend(struct account *account, uint64_t began_ns, uint64_t ended_ns);
/** 0, or until when the guest is to wait for that. */
uint64_t account_rests_until(const struct account *account, uint64_t at_ns);

#endif
