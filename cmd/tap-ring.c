/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "inspect.h"
#include "json.h"
#include "num.h"
#include "opt.h"
#include "ring-copy.h"
#include "slots.h"
#include "verdict.h"

enum { INTERVAL_MIN_NS = 1000000 };
#define INTERVAL_MAX_NS (24ull * 3600 * 1000000000)

static const struct option_row options[] = {
	{'a', "all", NULL,
	 "Show every slot, also those that hold responses. Without it only requests outstanding.",
	 OPT_COMPLETE_NONE, NULL},
	{'i', "interval", "TIME",
	 "Look twice, that far apart. Only two looks tell a stuck ring from a busy one.",
	 OPT_COMPLETE_NONE, NULL},
	{'J', "json", NULL, "Print JSON.", OPT_COMPLETE_NONE, NULL},
	{'q', "queue", "QUEUE", "Show this queue only. Without it all queues of the disk.",
	 OPT_COMPLETE_NONE, NULL},
	{0},
};

static const char *const synopses[] = {"[options] DOM/VDEV", "[options] FILE | -", NULL};
static const struct operand_row operands[] = {{"DOM/VDEV", OPT_COMPLETE_DISK, NULL}, {0}};
static const struct exit_row exits[] = {
	{TAP_EXIT_DONE, "the ring is idle, busy or moving"},
	{TAP_EXIT_FOUND, "the ring is stuck or broken, or the frontend's nodes make no sense"},
	{TAP_EXIT_USAGE, "the command line is wrong, or FILE is no ring copy"},
	{TAP_EXIT_NONE, "no such domain, disk or file, or its ring is not granted"},
	{TAP_EXIT_DENIED, NULL},
	{TAP_EXIT_SYSTEM, NULL},
	{0},
};

static const struct tool tool = {
	.name = "tap-ring",
	.section = "8",
	.summary = "decode a block ring and judge it",
	.synopses = synopses,
	.options = options,
	.operands = operands,
	.exits = exits,
};

struct config {
	bool all, json, has_queue;
	unsigned queue;
	uint64_t interval_ns;
};

/* What was looked at: the rings of a disk, or the one of a file. */
struct look {
	bool has_disk;
	struct inspection inspection;
	unsigned rings;
	struct ring_copy ring[STATS_QUEUES];
};

static int take_option(int key, const char *arg, void *opaque, struct err *e)
{
	struct config *config = opaque;
	uint64_t number = 0;
	int ret = 0;

	switch (key) {
	case 'a':
		config->all = true;
		break;
	case 'i':
		ret = opt_time("interval", arg, INTERVAL_MIN_NS, INTERVAL_MAX_NS,
			       &config->interval_ns, e);
		break;
	case 'J':
		config->json = true;
		break;
	case 'q':
		ret = opt_number("queue", arg, 0, STATS_QUEUES - 1, &number, e);
		config->queue = (unsigned)number;
		config->has_queue = true;
		break;
	}
	return ret;
}

static void look_free(struct look *look)
{
	if (!look)
		return;
	for (unsigned i = 0; i < look->rings; i++)
		ring_copy_free(&look->ring[i]);
	free(look);
}

static int look_at_disk(const struct config *config, struct store *store, const struct disk *disk,
			struct look *out, struct err *e)
{
	unsigned first = config->has_queue ? config->queue : 0;
	unsigned last = first;
	int ret;

	out->has_disk = true;
	ret = inspect_disk(store, disk, &out->inspection, e);
	if (ret)
		return ret;
	if (!config->has_queue && out->inspection.offer.queues)
		last = out->inspection.offer.queues - 1;
	for (unsigned i = first; !ret && i <= last; i++) {
		ret = ring_copy_take(&out->inspection, i, &out->ring[out->rings], e);
		if (!ret)
			out->rings++;
	}
	return ret;
}

static int look_at_file(const struct config *config, const char *name, struct look *out,
			struct err *e)
{
	bool is_stdin = !strcmp(name, "-");
	FILE *from = is_stdin ? stdin : fopen(name, "re");
	int ret;

	if (!from) {
		ret = -errno;
		return err_set(e, ret, err_exit_of(ret), "cannot open '%s': %s", name,
			       strerror(-ret));
	}
	if (config->has_queue || config->interval_ns)
		ret = err_set(e, -EINVAL, TAP_EXIT_USAGE,
			      "options '--queue' and '--interval' need a disk, not a file");
	else
		ret = ring_copy_read(&out->ring[0], from, is_stdin ? "standard input" : name, e);
	out->rings = !ret;
	if (!is_stdin)
		fclose(from);
	return ret;
}

static int wait_for(uint64_t interval_ns, struct err *e)
{
	const struct itimerspec once = {
		.it_value = {.tv_sec = (time_t)(interval_ns / 1000000000),
			     .tv_nsec = (long)(interval_ns % 1000000000)},
	};
	uint64_t expirations;
	int timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
	int ret = 0;

	if (timer < 0 || timerfd_settime(timer, 0, &once, NULL) ||
	    read(timer, &expirations, sizeof(expirations)) < 0) {
		ret = -errno;
		err_set(e, ret, TAP_EXIT_SYSTEM, "cannot wait on a timer: %s", strerror(-ret));
	}
	if (timer >= 0)
		close(timer);
	return ret;
}

/* The same ring as before? A frontend that came anew has granted another one. */
static const struct ring_copy *find_earlier(const struct look *earlier, const struct look *now,
					    unsigned i)
{
	unsigned queue = now->ring[i].queue;

	if (!earlier || i >= earlier->rings || earlier->ring[i].order != now->ring[i].order ||
	    earlier->ring[i].abi != now->ring[i].abi ||
	    memcmp(&earlier->inspection.offer.queue[queue], &now->inspection.offer.queue[queue],
		   sizeof(now->inspection.offer.queue[queue])))
		return NULL;
	return &earlier->ring[i];
}

static void print_segments(const struct request *request)
{
	for (unsigned i = 0; i < slot_segments(request); i++) {
		const struct request_segment *segment = &request->segment[i];

		printf("%s%u", i ? "," : " ", segment->gref);
		if (segment->first_sect || segment->last_sect != RING_PAGE_BYTES / SECTOR_BYTES - 1)
			printf("[%u-%u]", segment->first_sect, segment->last_sect);
	}
}

static int print_slot(const struct slot_view *view, void *opaque)
{
	printf("%4u %10u %-8s ", view->slot, view->index, slot_state_name(view->state));
	if (view->state == SLOT_UNUSED) {
		putchar('\n');
	} else if (view->state == SLOT_RESPONSE) {
		printf("%-15s %18" PRIx64 " status %d\n",
		       request_operation_name(view->response.operation), view->response.id,
		       view->response.status);
	} else {
		printf("%-15s %18" PRIx64 " %12" PRIu64 " %7" PRIu64 " %4u",
		       request_operation_name(view->request.operation), view->request.id,
		       view->request.sector, slot_sectors(&view->request),
		       view->request.nr_segments);
		print_segments(&view->request);
		putchar('\n');
	}
	return 0;
}

static int add_segments(const struct request *request, struct json_object *slot)
{
	struct json_object *segments = json_object_new_array();
	int bad = 0;

	if (!segments || json_object_object_add(slot, "segments", segments))
		return -ENOMEM;
	for (unsigned i = 0; !bad && i < slot_segments(request); i++) {
		struct json_object *segment = json_object_new_object();

		if (!segment || json_object_array_add(segments, segment))
			return -ENOMEM;
		bad |= json_set_number(segment, "gref", request->segment[i].gref);
		bad |= json_set_number(segment, "first_sect", request->segment[i].first_sect);
		bad |= json_set_number(segment, "last_sect", request->segment[i].last_sect);
	}
	return bad;
}

static int add_slot(const struct slot_view *view, void *opaque)
{
	struct json_object *slot = json_object_new_object();
	const struct request *request = &view->request;
	int bad;

	if (!slot || json_object_array_add(opaque, slot))
		return -ENOMEM;
	bad = json_set_number(slot, "slot", view->slot);
	bad |= json_set_number(slot, "index", view->index);
	bad |= json_set_text(slot, "state", slot_state_name(view->state));
	if (view->state == SLOT_UNUSED)
		return bad;
	if (view->state == SLOT_RESPONSE) {
		bad |= json_set_number(slot, "id", view->response.id);
		bad |= json_set_number(slot, "operation_number", view->response.operation);
		bad |= json_set_text(slot, "operation",
				     request_operation_name(view->response.operation));
		bad |= json_object_object_add(slot, "status",
					      json_object_new_int(view->response.status));
		return bad;
	}
	bad |= json_set_number(slot, "id", request->id);
	bad |= json_set_number(slot, "operation_number", request->operation);
	bad |= json_set_text(slot, "operation", request_operation_name(request->operation));
	bad |= json_set_number(slot, "sector", request->sector);
	bad |= json_set_number(slot, "sectors", slot_sectors(request));
	bad |= json_set_number(slot, "nr_segments", request->nr_segments);
	return bad | add_segments(request, slot);
}

static int add_slots(const struct config *config, const struct ring_copy *copy,
		     const struct verdict_facts *facts, struct json_object *item)
{
	struct json_object *slots = json_object_new_array();

	if (!slots || json_object_object_add(item, "requests", slots))
		return -ENOMEM;
	return slots_each(copy, facts, config->all, add_slot, slots);
}

static void print_ring(const struct config *config, const struct look *look, unsigned i,
		       const struct verdict_facts *facts)
{
	const struct ring_copy *copy = &look->ring[i];
	const struct inspection *in = &look->inspection;
	struct ring_indices at = ring_look(&copy->ring);

	printf("%s%s queue %u: %s: %s\n", i ? "\n" : "", copy->disk[0] ? copy->disk : "a ring",
	       copy->queue, verdict_name(facts->verdict), facts->text);
	printf("  ring     %u page%s, %u slots of %u bytes, %s\n", 1u << copy->order,
	       copy->order ? "s" : "", copy->ring.slots, copy->ring.stride_bytes,
	       ring_abi_name(copy->abi));
	if (look->has_disk) {
		printf("  ends     backend %s, frontend %s, ", xenbus_state_text(in->backend_state),
		       xenbus_state_text(in->frontend_state));
		if (in->server)
			printf("tap-serve %d\n", (int)in->server);
		else
			printf("no tap-serve\n");
	}
	printf("  shared   req_prod %u  rsp_prod %u  req_event %u  rsp_event %u\n", at.req_prod,
	       at.rsp_prod, at.req_event, at.rsp_event);
	if (copy->has_private)
		printf("  private  req_cons %u  rsp_prod_pvt %u\n", copy->req_cons,
		       copy->rsp_prod_pvt);
	if (!facts->outstanding && !config->all)
		return;
	printf("\n%4s %10s %-8s %-15s %18s %12s %7s %4s %s\n", "SLOT", "INDEX", "STATE",
	       "OPERATION", "ID", "SECTOR", "SECTORS", "SEGS", "GREFS");
	slots_each(copy, facts, config->all, print_slot, NULL);
}

static int add_ring(const struct config *config, const struct look *look, unsigned i,
		    const struct verdict_facts *facts, struct json_object *envelope)
{
	const struct ring_copy *copy = &look->ring[i];
	struct ring_indices at = ring_look(&copy->ring);
	struct json_object *item = json_object_new_object();
	int bad;

	if (!item)
		return -ENOMEM;
	bad = json_set_text(item, "disk", copy->disk[0] ? copy->disk : NULL);
	bad |= json_set_number(item, "queue", copy->queue);
	bad |= json_set_text(item, "verdict", verdict_name(facts->verdict));
	bad |= json_set_text(item, "text", facts->text);
	bad |= json_set_text(item, "abi", ring_abi_name(copy->abi));
	bad |= json_set_number(item, "pages", 1u << copy->order);
	bad |= json_set_number(item, "slots", copy->ring.slots);
	bad |= json_set_number(item, "req_prod", at.req_prod);
	bad |= json_set_number(item, "rsp_prod", at.rsp_prod);
	bad |= json_set_number(item, "req_event", at.req_event);
	bad |= json_set_number(item, "rsp_event", at.rsp_event);
	if (copy->has_private) {
		bad |= json_set_number(item, "req_cons", copy->req_cons);
		bad |= json_set_number(item, "rsp_prod_pvt", copy->rsp_prod_pvt);
	}
	if (copy->oldest_age_ns)
		bad |= json_set_number(item, "oldest_age_ns", copy->oldest_age_ns);
	bad |= json_set_number(item, "outstanding", facts->outstanding);
	if (facts->knows_unfetched)
		bad |= json_set_number(item, "unfetched", facts->unfetched);
	bad |= json_set_number(item, "untaken", facts->untaken);
	if (config->interval_ns) {
		bad |= json_set_number(item, "interval_ns", config->interval_ns);
		bad |= json_set_number(item, "moved_requests", facts->moved_requests);
		bad |= json_set_number(item, "moved_responses", facts->moved_responses);
	}
	if (look->has_disk) {
		const struct inspection *in = &look->inspection;

		bad |= json_set_text(item, "backend", xenbus_state_text(in->backend_state));
		bad |= json_set_text(item, "frontend", xenbus_state_text(in->frontend_state));
		bad |= json_set_number(item, "server", (uint64_t)in->server);
	}
	bad |= add_slots(config, copy, facts, item);
	bad |= json_item(envelope, item);
	return bad ? -ENOMEM : 0;
}

static int report(const struct config *config, const struct look *earlier, const struct look *now,
		  struct json_object *envelope, bool *found, struct err *e)
{
	struct verdict_facts facts;

	for (unsigned i = 0; i < now->rings; i++) {
		verdict_of(find_earlier(earlier, now, i), &now->ring[i], &facts);
		*found |= verdict_is_bad(facts.verdict);
		if (!envelope)
			print_ring(config, now, i, &facts);
		else if (add_ring(config, now, i, &facts, envelope))
			return err_set(e, -ENOMEM, TAP_EXIT_SYSTEM, "no memory");
	}
	return 0;
}

/* What can be a disk's address is one: "./web1/xvda" is a file. */
static bool is_file(const char *operand)
{
	struct address address;

	return operand[0] == '/' || address_parse(operand, &address, NULL);
}

static int look_and_report(const struct config *config, const char *operand,
			   struct json_object *envelope, bool *found, struct err *e)
{
	struct store *store = NULL;
	struct look *earlier = NULL, *now = calloc(1, sizeof(*now));
	struct address address;
	struct disk disk;
	int ret;

	if (!now)
		return err_set(e, -ENOMEM, TAP_EXIT_SYSTEM, "no memory");
	if (is_file(operand)) {
		ret = look_at_file(config, operand, now, e);
		goto report;
	}
	ret = address_parse(operand, &address, e);
	if (!ret)
		ret = store_open(&store, e);
	if (!ret)
		ret = disk_resolve(store, &address, &disk, e);
	if (!ret)
		ret = look_at_disk(config, store, &disk, now, e);
	if (!ret && config->interval_ns) {
		earlier = now;
		now = calloc(1, sizeof(*now));
		ret = now ? wait_for(config->interval_ns, e)
			  : err_set(e, -ENOMEM, TAP_EXIT_SYSTEM, "no memory");
		if (!ret)
			ret = look_at_disk(config, store, &disk, now, e);
	}
report:
	if (!ret)
		ret = report(config, earlier, now, envelope, found, e);
	look_free(earlier);
	look_free(now);
	store_close(store);
	return ret;
}

int main(int argc, char **argv)
{
	struct config config = {0};
	struct json_object *envelope = NULL;
	struct err e = {0};
	const char *disk = NULL;
	bool found = false;
	int operand = 0, status;
	int ret = opt_parse(&tool, argc, argv, false, take_option, &config, &operand, &e);

	if (ret > 0)
		return opt_finish(&tool, TAP_EXIT_DONE);
	if (config.json)
		envelope = json_envelope(tool.name);
	if (!ret && argc - operand != 1) {
		ret = err_set(&e, -EINVAL, TAP_EXIT_USAGE, "one DOM/VDEV or FILE is wanted");
		err_hint(&e, "try '%s --help'", tool.name);
	}
	if (!ret) {
		disk = is_file(argv[operand]) ? NULL : argv[operand];
		ret = look_and_report(&config, argv[operand], envelope, &found, &e);
	}
	status = found ? TAP_EXIT_FOUND : TAP_EXIT_DONE;
	if (ret) {
		if (envelope)
			json_error(envelope, &e);
		status = err_print(stderr, tool.name, disk, &e);
	}
	if (envelope)
		json_print(envelope, stdout);
	return opt_finish(&tool, status);
}
