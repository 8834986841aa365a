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

#endif
