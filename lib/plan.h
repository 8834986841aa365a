/* SPDX-License-Identifier: MIT */
/*
 * plan - changes to XenStore, listed first, then made in one transaction or printed (--dry-run), so
 * that what is printed is what would be done.
 */
#ifndef TAP_PLAN_H
#define TAP_PLAN_H

#include <stdint.h>
#include <stdio.h>

#include "store.h"

#define PLAN_STEPS_MAX 40

enum plan_verb { PLAN_MAKE, PLAN_WRITE, PLAN_PERMIT, PLAN_REMOVE };

struct plan_step {
	enum plan_verb verb;
	char path[STORE_PATH_MAX];
	char text[STORE_VALUE_MAX]; /* value; for a removal the parent that stays */
	uint32_t owner, reader;
};

/** Zero-initialise. The first failure to add a step is kept and returned by plan_apply(). */
struct plan {
	unsigned n;
	int failed;
	struct plan_step step[PLAN_STEPS_MAX];
};

/** An empty node. */
void plan_make(struct plan *plan, const char *path);
/** "DIR/KEY" = a formatted value. */
void plan_write(struct plan *plan, const char *dir, const char *key, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));
/** As store_permit(). */
void plan_permit(struct plan *plan, const char *path, uint32_t owner, uint32_t reader);
/** As store_prune(). */
void plan_remove(struct plan *plan, const char *path, const char *stop);

/** Make the changes. 0 or a negative errno. */
int plan_apply(const struct plan *plan, struct store *store, xs_transaction_t tx);

/** One line each, in order: "write PATH = VALUE", "permit PATH owner N, reader M", "remove PATH".
 * Returns what plan_apply() would before it reaches XenStore. */
int plan_print(const struct plan *plan, FILE *to);

#endif
