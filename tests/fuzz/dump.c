/* SPDX-License-Identifier: MIT */
/*
 * A ring copy in a file, as tap-ring reads, judges and decodes it. Input: the file.
 */
#include "fuzz.h"

#include <errno.h>

#include "ring-copy.h"
#include "slots.h"
#include "verdict.h"

struct seen {
	const struct ring_copy *copy;
	uint32_t slots, next;
};

static int look_at_slot(const struct slot_view *view, void *opaque)
{
	struct seen *seen = opaque;

	must(view->slot < seen->copy->ring.slots);
	must(view->slot == (view->index & (seen->copy->ring.slots - 1)));
	must(!seen->slots || view->index == seen->next);
	must(slot_state_name(view->state));
	must(slot_segments(&view->request) <= REQUEST_SEGMENTS_DIRECT);
	must(view->request.operation == REQUEST_DISCARD || slot_sectors(&view->request) <= 88);
	must(request_operation_name(view->request.operation));
	seen->next = view->index + 1;
	seen->slots++;
	return 0;
}

static void judge(const struct ring_copy *earlier, const struct ring_copy *now)
{
	struct verdict_facts facts;
	struct seen seen = {.copy = now};

	verdict_of(earlier, now, &facts);
	must(facts.verdict <= VERDICT_BROKEN && verdict_name(facts.verdict));
	must(facts.text[0] && strlen(facts.text) < sizeof(facts.text) - 1);
	must(facts.outstanding <= now->ring.slots && facts.untaken <= now->ring.slots);
	must(facts.unfetched <= facts.outstanding);
	must(!slots_each(now, &facts, false, look_at_slot, &seen));
	must(seen.slots == facts.outstanding);
	seen.slots = 0;
	must(!slots_each(now, &facts, true, look_at_slot, &seen));
	must(seen.slots == now->ring.slots);
}

/* Two looks; the earlier one found the indices that stand in the last bytes. */
static void judge_two(const struct ring_copy *now)
{
	size_t length = (size_t)RING_PAGE_BYTES << now->order;
	struct ring_copy earlier = *now;

	earlier.bytes = malloc(length);
	must(earlier.bytes);
	memcpy(earlier.bytes, now->bytes, length);
	memcpy(earlier.bytes, now->bytes + length - 16, 16);
	must(!ring_setup(&earlier.ring, earlier.bytes, earlier.abi, earlier.order));
	judge(&earlier, now);
	judge(now, now);
	ring_copy_free(&earlier);
}

/* Written again and read again it is the same. */
static void must_survive_writing(const struct ring_copy *copy)
{
	struct ring_copy again;
	struct err e = {0};
	size_t length = 0;
	char *text = NULL;
	FILE *file = open_memstream(&text, &length);

	must(file && !ring_copy_write(copy, file) && !fclose(file));
	file = fmemopen(text, length, "r");
	must(file && !ring_copy_read(&again, file, "again", &e));
	fclose(file);
	must(!strcmp(again.disk, copy->disk) && again.queue == copy->queue);
	must(again.abi == copy->abi && again.order == copy->order);
	must(again.taken_ns == copy->taken_ns && again.oldest_age_ns == copy->oldest_age_ns);
	must(again.has_private == copy->has_private && again.req_cons == copy->req_cons &&
	     again.rsp_prod_pvt == copy->rsp_prod_pvt);
	must(!memcmp(again.bytes, copy->bytes, RING_PAGE_BYTES << copy->order));
	ring_copy_free(&again);
	free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length_bytes)
{
	struct ring_copy copy;
	struct err e = {0};
	FILE *file;
	int ret;

	if (!length_bytes)
		return 0;
	file = fmemopen((void *)(uintptr_t)bytes, length_bytes, "r");
	must(file);
	ret = ring_copy_read(&copy, file, "input", &e);
	fclose(file);
	if (ret) {
		must(!copy.bytes && ret < 0);
		must_be_told(&e);
		return 0;
	}
	judge(NULL, &copy);
	judge_two(&copy);
	must_survive_writing(&copy);
	ring_copy_free(&copy);
	return 0;
}
