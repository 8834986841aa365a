/* SPDX-License-Identifier: MIT */
#include <stdlib.h>

#include "loop.h"
#include "share.h"

void shares_init(struct shares *shares)
{
	LIST_INIT(&shares->list);
	TAILQ_INIT(&shares->ready);
}

struct share *share_get(struct shares *shares, uint32_t domid)
{
	struct share *share;

	LIST_FOREACH (share, &shares->list, entry)
		if (share->domid == domid)
			break;
	if (!share) {
		share = calloc(1, sizeof(*share));
		if (!share)
			return NULL;
		share->shares = shares;
		share->domid = domid;
		share->due_end = &share->due;
		LIST_INSERT_HEAD(&shares->list, share, entry);
	}
	share->users++;
	return share;
}

void share_put(struct share *share)
{
	if (!share || --share->users)
		return;
	LIST_REMOVE(share, entry);
	free(share);
}

void share_add(struct share *share, struct loop_task *task)
{
	if (!share->is_ready)
		TAILQ_INSERT_TAIL(&share->shares->ready, share, ready);
	share->is_ready = true;
	share->tasks++;
	task->next = NULL;
	*share->due_end = task;
	share->due_end = &task->next;
}

/* With what is left of its slice, and with what it took too much. */
static void leave(struct share *share)
{
	if (share->is_ready)
		TAILQ_REMOVE(&share->shares->ready, share, ready);
	share->is_ready = false;
}

static void unlink_task(struct share *share, struct loop_task *task)
{
	struct loop_task **at = &share->due;

	while (*at && *at != task)
		at = &(*at)->next;
	if (!*at)
		return;
	*at = task->next;
	if (!task->next)
		share->due_end = at;
	share->tasks--;
}

void share_remove(struct share *share, struct loop_task *task)
{
	unlink_task(share, task);
	if (!share->due)
		leave(share);
}

struct loop_task *share_take(struct share *share)
{
	struct loop_task *task = share->due;

	unlink_task(share, task);
	return task;
}

static void to_the_end(struct share *share)
{
	TAILQ_REMOVE(&share->shares->ready, share, ready);
	TAILQ_INSERT_TAIL(&share->shares->ready, share, ready);
}

struct share *shares_next(struct shares *shares)
{
	struct share *share;

	while ((share = TAILQ_FIRST(&shares->ready))) {
		if (share->left_ns > 0)
			break;
		share->left_ns += SHARE_SLICE_NS;
		if (share->left_ns > 0)
			break;
		to_the_end(share);
	}
	return share;
}

void share_spend(struct share *share, uint64_t spent_ns)
{
	share->left_ns -= (int64_t)spent_ns;
	if (share->left_ns < -SHARE_DEBT_NS)
		share->left_ns = -SHARE_DEBT_NS;
	if (!share->due)
		leave(share);
	else if (share->left_ns <= 0)
		to_the_end(share);
}

/* A leaky bucket: the time is when the guest will have sent no more than it may. */
uint64_t share_event(struct share *share, bool useful, uint64_t at_ns)
{
	const uint64_t burst_ns = SHARE_EVENT_BURST * SHARE_EVENT_NS;
	const uint64_t most_ns = at_ns + burst_ns + SHARE_EVENT_MOST * SHARE_EVENT_NS;
	uint64_t even_ns = share->events_even_ns;

	if (useful) {
		even_ns -= even_ns < SHARE_EVENT_NS ? even_ns : SHARE_EVENT_NS;
	} else {
		even_ns = (even_ns < at_ns ? at_ns : even_ns) + SHARE_EVENT_NS;
		if (even_ns > most_ns)
			even_ns = most_ns;
	}
	share->events_even_ns = even_ns;
	return !useful && even_ns > at_ns + burst_ns ? even_ns - burst_ns : 0;
}
