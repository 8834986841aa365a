/* SPDX-License-Identifier: MIT */
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "inspect.h"
#include "json.h"
#include "num.h"
#include "opt.h"
#include "ring-copy.h"
#include "slots.h"
#include "verdict.h"

enum { KEY_DUMP = 256, KEY_PAGE, KEY_RAW };

static const struct option_row options[] = {
	{KEY_DUMP, "dump", NULL,
	 "Write a copy of the ring to standard output, for tap-ring or for later. Not to a "
	 "terminal.",
	 OPT_COMPLETE_NONE, NULL},
	{'J', "json", NULL, "Print JSON.", OPT_COMPLETE_NONE, NULL},
	{KEY_PAGE, "page", "GREF", "Show the bytes of one page that the guest has granted.",
	 OPT_COMPLETE_NONE, NULL},
	{'q', "queue", "QUEUE", "This queue only. Without it --dump takes queue 0.",
	 OPT_COMPLETE_NONE, NULL},
	{KEY_RAW, "raw", NULL, "With --page: write the bytes as they are. Not to a terminal.",
	 OPT_COMPLETE_NONE, NULL},
	{0},
};

static const char *const synopses[] = {"[-J] [-q QUEUE] DOM/VDEV", "--dump [-q QUEUE] DOM/VDEV",
				       "--page GREF [--raw | -J] DOM/VDEV", NULL};
static const struct operand_row operands[] = {{"DOM/VDEV", OPT_COMPLETE_DISK, NULL}, {0}};
static const struct exit_row exits[] = {
	{TAP_EXIT_DONE, NULL},
	{TAP_EXIT_FOUND, "the frontend's nodes make no sense, or its ring is broken"},
	{TAP_EXIT_USAGE, NULL},
	{TAP_EXIT_NONE, "no such domain, disk or queue, or the page is not granted"},
	{TAP_EXIT_DENIED, NULL},
	{TAP_EXIT_SYSTEM, NULL},
	{0},
};

static const struct tool tool = {
	.name = "tap-map",
	.section = "8",
	.summary = "list and dump what a disk has granted",
	.synopses = synopses,
	.options = options,
	.operands = operands,
	.exits = exits,
};

struct config {
	bool dump, json, raw, has_page, has_queue;
	uint32_t page;
	unsigned queue;
};

static int take_option(int key, const char *arg, void *opaque, struct err *e)
{
	struct config *config = opaque;
	uint64_t number = 0;
	int ret = 0;

	switch (key) {
	case KEY_DUMP:
		config->dump = true;
		break;
	case KEY_RAW:
		config->raw = true;
		break;
	case 'J':
		config->json = true;
		break;
	case KEY_PAGE:
		ret = opt_number("page", arg, 0, UINT32_MAX, &number, e);
		config->page = (uint32_t)number;
		config->has_page = true;
		break;
	case 'q':
		ret = opt_number("queue", arg, 0, STATS_QUEUES - 1, &number, e);
		config->queue = (unsigned)number;
		config->has_queue = true;
		break;
	}
	return ret;
}

/* Where a list goes: to a table, or with an envelope into JSON. */
struct list {
	const struct inspection *inspection;
	struct json_object *envelope;
	unsigned queue;
};

/* The first fields of each JSON item. NULL without memory. */
static struct json_object *new_item(const struct list *list, const char *use)
{
	struct json_object *item = json_object_new_object();

	if (!item)
		return NULL;
	if (json_set_text(item, "disk", list->inspection->disk.name) ||
	    json_set_text(item, "use", use)) {
		json_object_put(item);
		return NULL;
	}
	return item;
}

static int list_ring(const struct list *list)
{
	const struct front_queue *queue = &list->inspection->offer.queue[list->queue];
	unsigned pages = 1u << list->inspection->offer.ring_order;
	struct json_object *item;
	int bad;

	for (unsigned i = 0; i < pages; i++) {
		if (!list->envelope) {
			printf("%-8s %5u %10u  page %u of %u\n", "ring", list->queue,
			       queue->ring_refs[i], i + 1, pages);
			continue;
		}
		item = new_item(list, "ring");
		if (!item)
			return -ENOMEM;
		bad = json_set_number(item, "queue", list->queue);
		bad |= json_set_number(item, "gref", queue->ring_refs[i]);
		bad |= json_set_number(item, "page", i);
		bad |= json_set_number(item, "pages", pages);
		if (bad | json_item(list->envelope, item))
			return -ENOMEM;
	}
	if (!list->envelope) {
		printf("%-8s %5u %10u  event channel\n", "port", list->queue, queue->port);
		return 0;
	}
	item = new_item(list, "port");
	if (!item)
		return -ENOMEM;
	bad = json_set_number(item, "queue", list->queue);
	bad |= json_set_number(item, "port", queue->port);
	return bad | json_item(list->envelope, item) ? -ENOMEM : 0;
}

static int add_page(const struct list *list, const struct slot_view *view,
		    const struct request_segment *segment, uint64_t sector)
{
	struct json_object *item = new_item(list, "data");
	int bad;

	if (!item)
		return -ENOMEM;
	bad = json_set_number(item, "queue", list->queue);
	bad |= json_set_number(item, "gref", segment->gref);
	bad |= json_set_text(item, "direction",
			     request_fills_guest(&view->request) ? "to-guest" : "from-guest");
	bad |= json_set_text(item, "operation", request_operation_name(view->request.operation));
	bad |= json_set_number(item, "id", view->request.id);
	bad |= json_set_number(item, "slot", view->slot);
	bad |= json_set_text(item, "state", slot_state_name(view->state));
	bad |= json_set_number(item, "sector", sector);
	bad |= json_set_number(item, "first_sect", segment->first_sect);
	bad |= json_set_number(item, "last_sect", segment->last_sect);
	return bad | json_item(list->envelope, item) ? -ENOMEM : 0;
}

/* The pages of one request outstanding. */
static int list_request(const struct slot_view *view, void *opaque)
{
	const struct list *list = opaque;
	uint64_t sector = view->request.sector;

	for (unsigned i = 0; i < slot_segments(&view->request); i++) {
		const struct request_segment *segment = &view->request.segment[i];

		if (list->envelope) {
			if (add_page(list, view, segment, sector))
				return -ENOMEM;
		} else {
			printf("%-8s %5u %10u  %s, %s id %" PRIx64 " in slot %u, sector %" PRIu64
			       " (%u-%u of the page)\n",
			       "data", list->queue, segment->gref,
			       request_fills_guest(&view->request) ? "to guest" : "from guest",
			       request_operation_name(view->request.operation), view->request.id,
			       view->slot, sector, segment->first_sect, segment->last_sect);
		}
		if (segment->first_sect <= segment->last_sect)
			sector += segment->last_sect - segment->first_sect + 1u;
	}
	return 0;
}

static int list_server(const struct list *list)
{
	const struct inspection *in = list->inspection;
	struct json_object *item;
	struct stats_queue sum;
	int bad;

	if (!in->server || !in->has_stats)
		return 0;
	stats_sum(&in->stats, &sum);
	if (!list->envelope) {
		printf("\ntap-serve %d (%s): %" PRIu64 " pages mapped now, %" PRIu64
		       " of them kept; %" PRIu64 " mapped, %" PRIu64 " unmapped, %" PRIu64
		       " copied so far\n",
		       (int)in->server, in->stats.data_path,
		       sum.pages.pages_mapped - sum.pages.pages_unmapped, sum.pages.persistent_kept,
		       sum.pages.pages_mapped, sum.pages.pages_unmapped, sum.pages.pages_copied);
		return 0;
	}
	item = new_item(list, "server");
	if (!item)
		return -ENOMEM;
	bad = json_set_number(item, "pid", (uint64_t)in->server);
	bad |= json_set_text(item, "data_path", in->stats.data_path);
	bad |= json_set_number(item, "pages_mapped_now",
			       sum.pages.pages_mapped - sum.pages.pages_unmapped);
	bad |= json_set_number(item, "pages_kept_now", sum.pages.persistent_kept);
	bad |= json_set_number(item, "pages_mapped", sum.pages.pages_mapped);
	bad |= json_set_number(item, "pages_unmapped", sum.pages.pages_unmapped);
	bad |= json_set_number(item, "pages_copied", sum.pages.pages_copied);
	return bad | json_item(list->envelope, item) ? -ENOMEM : 0;
}

static int list_queue(const struct list *list, struct err *e)
{
	struct verdict_facts facts;
	struct ring_copy copy;
	int ret = ring_copy_take(list->inspection, list->queue, &copy, e);

	if (ret)
		return ret;
	verdict_of(NULL, &copy, &facts);
	if (facts.verdict == VERDICT_BROKEN)
		ret = err_set(e, -EPROTO, TAP_EXIT_FOUND, "the ring of queue %u is broken: %s",
			      list->queue, facts.text);
	else if (list_ring(list) || slots_each(&copy, &facts, false, list_request, (void *)list))
		ret = err_set(e, -ENOMEM, TAP_EXIT_SYSTEM, "no memory");
	ring_copy_free(&copy);
	return ret;
}

static int list_grants(const struct config *config, const struct inspection *in,
		       struct json_object *envelope, struct err *e)
{
	struct list list = {.inspection = in, .envelope = envelope, .queue = config->queue};
	unsigned last =
		config->has_queue || !in->offer.queues ? config->queue : in->offer.queues - 1;
	int ret = 0;

	if (!envelope)
		printf("%s: backend %s, frontend %s\n\n%-8s %5s %10s  %s\n", in->disk.name,
		       xenbus_state_text(in->backend_state), xenbus_state_text(in->frontend_state),
		       "USE", "QUEUE", "REF", "WHAT");
	for (; !ret && list.queue <= last; list.queue++)
		ret = list_queue(&list, e);
	if (!ret && list_server(&list))
		ret = err_set(e, -ENOMEM, TAP_EXIT_SYSTEM, "no memory");
	return ret;
}

static int dump(const struct config *config, const struct inspection *in, struct err *e)
{
	struct ring_copy copy;
	int ret = ring_copy_take(in, config->queue, &copy, e);

	if (ret)
		return ret;
	ret = ring_copy_write(&copy, stdout);
	ring_copy_free(&copy);
	return ret ? err_set(e, ret, TAP_EXIT_SYSTEM, "cannot write to standard output") : 0;
}

static void print_hex(const uint8_t *page)
{
	const unsigned width = 16;

	for (unsigned at = 0; at < RING_PAGE_BYTES; at += width) {
		printf("%04x ", at);
		for (unsigned i = at; i < at + width; i++)
			printf(" %02x", page[i]);
		printf("  |");
		for (unsigned i = at; i < at + width; i++)
			putchar(page[i] < 0x80 && isprint(page[i]) ? page[i] : '.');
		printf("|\n");
	}
}

static int add_hex(const struct disk *disk, uint32_t gref, const uint8_t *page,
		   struct json_object *envelope)
{
	struct json_object *item = json_object_new_object();
	char hex[RING_PAGE_BYTES * 2 + 1];

	for (unsigned i = 0; i < RING_PAGE_BYTES; i++)
		snprintf(hex + 2 * i, 3, "%02x", page[i]);
	if (!item)
		return -ENOMEM;
	if (json_set_text(item, "disk", disk->name) || json_set_number(item, "gref", gref) ||
	    json_set_text(item, "bytes", hex)) {
		json_object_put(item);
		return -ENOMEM;
	}
	return json_item(envelope, item);
}

static int show_page(const struct config *config, const struct disk *disk,
		     struct json_object *envelope, struct err *e)
{
	uint8_t page[RING_PAGE_BYTES];
	int ret = page_copy_take(disk->domid, config->page, page, e);

	if (ret)
		return ret;
	if (envelope && add_hex(disk, config->page, page, envelope))
		return err_set(e, -ENOMEM, TAP_EXIT_SYSTEM, "no memory");
	if (config->raw && fwrite(page, 1, sizeof(page), stdout) != sizeof(page))
		return err_set(e, -EIO, TAP_EXIT_SYSTEM, "cannot write to standard output");
	if (!config->raw && !envelope)
		print_hex(page);
	return 0;
}

static int check_usage(const struct config *config, int operands_given, struct err *e)
{
	int ret = 0;

	if (operands_given != 1)
		ret = err_set(e, -EINVAL, TAP_EXIT_USAGE, "one DOM/VDEV is wanted");
	else if (config->dump && (config->json || config->has_page))
		ret = err_set(e, -EINVAL, TAP_EXIT_USAGE,
			      "option '--dump' goes without '--json' and '--page'");
	else if (config->raw && (config->json || !config->has_page))
		ret = err_set(e, -EINVAL, TAP_EXIT_USAGE,
			      "option '--raw' needs '--page' and goes without '--json'");
	else if (config->has_page && config->has_queue)
		ret = err_set(e, -EINVAL, TAP_EXIT_USAGE, "option '--page' goes without '--queue'");
	if (ret) {
		err_hint(e, "try '%s --help'", tool.name);
	} else if ((config->dump || config->raw) && isatty(STDOUT_FILENO)) {
		ret = err_set(e, -EINVAL, TAP_EXIT_USAGE, "raw pages do not go to a terminal");
		err_hint(e, "give it a file or a pipe: '%s --dump DOM/VDEV | tap-ring -'",
			 tool.name);
	}
	return ret;
}

static int act(const struct config *config, const char *operand, struct json_object *envelope,
	       struct err *e)
{
	struct store *store = NULL;
	struct inspection in;
	struct address address;
	struct disk disk;
	int ret = address_parse(operand, &address, e);

	if (!ret)
		ret = store_open(&store, e);
	if (!ret)
		ret = disk_resolve(store, &address, &disk, e);
	if (!ret && config->has_page)
		ret = show_page(config, &disk, envelope, e);
	else if (!ret)
		ret = inspect_disk(store, &disk, &in, e);
	store_close(store);
	if (ret || config->has_page)
		return ret;
	return config->dump ? dump(config, &in, e) : list_grants(config, &in, envelope, e);
}

int main(int argc, char **argv)
{
	struct config config = {0};
	struct json_object *envelope = NULL;
	struct err e = {0};
	int operand = 0, status = TAP_EXIT_DONE;
	int ret = opt_parse(&tool, argc, argv, false, take_option, &config, &operand, &e);

	if (ret > 0)
		return opt_finish(&tool, TAP_EXIT_DONE);
	if (!ret)
		ret = check_usage(&config, argc - operand, &e);
	if (config.json)
		envelope = json_envelope(tool.name);
	if (!ret)
		ret = act(&config, argv[operand], envelope, &e);
	if (ret) {
		if (envelope)
			json_error(envelope, &e);
		fflush(stdout);
		status = err_print(stderr, tool.name,
				   e.exit == TAP_EXIT_USAGE ? NULL : argv[operand], &e);
	}
	if (envelope)
		json_print(envelope, stdout);
	return opt_finish(&tool, status);
}
