/* SPDX-License-Identifier: MIT */
/*
 * verdict - what the indices of a ring mean, said in words. Pure.
 */
#ifndef TAP_VERDICT_H
#define TAP_VERDICT_H

#include <stdbool.h>
#include <stdint.h>

#include "ring-copy.h"

enum verdict {
	VERDICT_IDLE,		/* nothing outstanding */
	VERDICT_BUSY,		/* requests outstanding; one look cannot tell more */
	VERDICT_MOVING,		/* two looks: the ring went on between them */
	VERDICT_BACKEND_STUCK,	/* two looks: requests waited all the time and none was answered */
	VERDICT_FRONTEND_STUCK, /* two looks: responses waited that the frontend was to be told of
				   and did not take */
	VERDICT_BROKEN,		/* impossible indices */
	VERDICT_STOPPED,	/* the server stopped it, whatever its indices are now */
};

struct verdict_facts {
	enum verdict verdict;
	uint32_t outstanding; /* req_prod - rsp_prod: asked and not answered. 0 when broken */
	bool knows_unfetched;
	uint32_t unfetched; /* req_prod - req_cons, where req_cons is known */
	uint32_t untaken;   /* responses that the frontend has not taken yet, as far as rsp_event
			       tells */
	uint32_t moved_requests, moved_responses; /* between the two looks */
	char text[200];				  /* one sentence without a full stop */
};

/** Judge one look, or two of the same ring (@earlier may be NULL). */
void verdict_of(const struct ring_copy *earlier, const struct ring_copy *now,
		struct verdict_facts *out);

/** "idle", "busy", "moving", "backend-stuck", "frontend-stuck", "broken", "ring-stopped" */
const char *verdict_name(enum verdict verdict);

/** True for the four that tap-ring answers with exit status 1. */
bool verdict_is_bad(enum verdict verdict);

#endif
