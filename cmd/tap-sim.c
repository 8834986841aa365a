/* SPDX-License-Identifier: MIT */
/* tap-sim - a dom0 without Xen. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "address.h"
#include "json.h"
#include "msg.h"
#include "num.h"
#include "opt.h"
#include "sim/calls-read.h"
#include "sim/guests.h"
#include "sim/sim.h"
#include "store.h"
#include "xenbus.h"

enum { KEY_DOMAINS = 256, KEY_HELD, KEY_CALLS, KEY_DESTROY };

enum action { ACTION_RUN, ACTION_HELD, ACTION_CALLS, ACTION_DESTROY };

struct config {
	enum action action;
	uint64_t domains;
	uint64_t pid; /* for --calls: 0 for all */
	char destroy[ADDRESS_DOM_MAX];
	bool json;
};

static const char *const synopses[] = {
	"[--domains=N] [--] [COMMAND [ARGUMENT ...]]",
	"[--json] --held",
	"[--json] --calls[=PID]",
	"--destroy=DOM",
	NULL,
};

static const struct option_row options[] = {
	{KEY_DOMAINS, "domains", "N", "Make guests 1 to N, named web1 to webN. Without it: 2.",
	 OPT_COMPLETE_NONE, NULL},
	{KEY_HELD, "held", NULL,
	 "List the grants that are mapped and the ports that are bound. Exits 1 when there are "
	 "any.",
	 OPT_COMPLETE_NONE, NULL},
	{KEY_CALLS, "calls", "[PID]",
	 "List how often each process, or this one, has called which function of Xen's libraries.",
	 OPT_COMPLETE_NONE, NULL},
	{KEY_DESTROY, "destroy", "DOM",
	 "Destroy a guest. Its processes are killed, its ports and grants are gone.",
	 OPT_COMPLETE_DOMAIN, NULL},
	{'J', "json", NULL, "Print JSON.", OPT_COMPLETE_NONE, NULL},
	{0},
};

static const struct operand_row operands[] = {
	{"[COMMAND ...]", OPT_COMPLETE_COMMAND, NULL},
	{0},
};

static const struct exit_row exits[] = {
	{TAP_EXIT_DONE, "Done. With a COMMAND: its own status, or 128+N when signal N ended it."},
	{TAP_EXIT_FOUND, "Something is held."},
	{TAP_EXIT_USAGE, NULL},
	{TAP_EXIT_NONE, "No such domain, process or command, or no xenstored found."},
	{TAP_EXIT_BUSY, "Already in a simulator."},
	{TAP_EXIT_DENIED, "Not permitted, or not in a simulator."},
	{TAP_EXIT_SYSTEM, NULL},
	{0},
};

static const struct tool tool = {
	.name = "tap-sim",
	.section = "8",
	.summary = "a dom0 without Xen",
	.synopses = synopses,
	.options = options,
	.operands = operands,
	.exits = exits,
};

static int take(int key, const char *arg, void *opaque, struct err *e)
{
	struct config *c = opaque;

	switch (key) {
	case KEY_DOMAINS:
		return opt_number("domains", arg, 1, SIM_DOMAINS - 1, &c->domains, e);
	case KEY_HELD:
		c->action = ACTION_HELD;
		return 0;
	case KEY_CALLS:
		c->action = ACTION_CALLS;
		return arg ? opt_number("calls", arg, 1, INT32_MAX, &c->pid, e) : 0;
	case KEY_DESTROY:
		c->action = ACTION_DESTROY;
		return address_parse_dom(arg, c->destroy, e);
	case 'J':
		c->json = true;
		return 0;
	}
	return -EINVAL;
}

static void print_held(const struct sim_held *h)
{
	if (h->kind == SIM_HELD_GRANT)
		printf("grant  domain %u  pid %d  %s  maps %u page%s of domain %u from ref %u on, "
		       "%s\n",
		       h->domid, h->pid, h->command, h->count, h->count == 1 ? "" : "s",
		       h->remote_domid, h->remote, h->writable ? "writable" : "read-only");
	else
		printf("port   domain %u  pid %d  %s  port %u bound to port %u of domain %u\n",
		       h->domid, h->pid, h->command, h->local, h->remote, h->remote_domid);
}

static int json_held(struct json_object *envelope, const struct sim_held *h)
{
	struct json_object *item = json_object_new_object();
	bool grant = h->kind == SIM_HELD_GRANT;

	if (!item)
		return -ENOMEM;
	json_set_text(item, "kind", grant ? "grant" : "port");
	json_set_number(item, "domid", h->domid);
	json_set_number(item, "pid", (uint64_t)h->pid);
	json_set_text(item, "command", h->command);
	json_set_number(item, "remote_domid", h->remote_domid);
	json_set_number(item, grant ? "ref" : "remote_port", h->remote);
	json_set_number(item, grant ? "pages" : "port", grant ? h->count : h->local);
	if (grant)
		json_set_bool(item, "writable", h->writable);
	return json_item(envelope, item);
}

static int held(const struct config *c, struct json_object *envelope, struct err *e)
{
	struct sim_held *items = NULL;
	size_t count = 0;
	int ret = sim_held(&items, &count, e);

	for (size_t i = 0; ret == 0 && i < count; i++) {
		if (c->json)
			ret = json_held(envelope, &items[i]);
		else
			print_held(&items[i]);
	}
	free(items);
	if (ret < 0)
		return ret;
	return count ? TAP_EXIT_FOUND : TAP_EXIT_DONE;
}

static void print_calls(const struct sim_calls *calls)
{
	printf("%d  %s  domain %u\n", calls->pid, calls->command, calls->domid);
	for (unsigned i = 0; i < SIM_CALL_COUNT; i++)
		if (calls->count[i])
			printf("  %s %llu\n", calls_name(i), (unsigned long long)calls->count[i]);
}

static int json_calls(struct json_object *envelope, const struct sim_calls *calls)
{
	struct json_object *item = json_object_new_object();
	struct json_object *counts = json_object_new_object();

	if (!item || !counts) {
		json_object_put(item);
		json_object_put(counts);
		return -ENOMEM;
	}
	json_set_number(item, "pid", (uint64_t)calls->pid);
	json_set_text(item, "command", calls->command);
	json_set_number(item, "domid", calls->domid);
	for (unsigned i = 0; i < SIM_CALL_COUNT; i++)
		if (calls->count[i])
			json_set_number(counts, calls_name(i), calls->count[i]);
	json_object_object_add(item, "calls", counts);
	return json_item(envelope, item);
}

static int calls(const struct config *c, struct json_object *envelope, struct err *e)
{
	struct sim_calls *items = NULL;
	size_t count = 0;
	int ret = calls_read((pid_t)c->pid, &items, &count, e);

	for (size_t i = 0; ret == 0 && i < count; i++) {
		if (c->json)
			ret = json_calls(envelope, &items[i]);
		else
			print_calls(&items[i]);
	}
	free(items);
	return ret;
}

static int destroy(const struct config *c, struct err *e)
{
	struct store *store = NULL;
	uint32_t domid = 0;
	int ret = sim_inside(e);

	if (ret < 0)
		return ret;
	ret = store_open(&store, e);
	if (ret < 0)
		return ret;
	ret = domain_resolve(store, c->destroy, &domid, e);
	store_close(store);
	if (ret >= 0)
		ret = sim_destroy(domid, e);
	return ret < 0 ? ret : guests_forget(domid, e);
}

static int run(const struct config *c, char **operand, struct err *e)
{
	char *shell[] = {getenv("SHELL"), NULL};
	int status = 0, ret;

	if (getenv("TAP_SIM_DIR"))
		return err_set(e, -EBUSY, TAP_EXIT_BUSY, "already in a simulator: '%s'",
			       getenv("TAP_SIM_DIR"));
	if (!shell[0] || !*shell[0])
		shell[0] = (char *)"/bin/sh";
	ret = sim_run((unsigned)c->domains, *operand ? operand : shell, &status, e);
	return ret < 0 ? ret : status;
}

/* An exit status, or a negative errno with @e filled. */
static int act(const struct config *c, char **operand, struct json_object *envelope, struct err *e)
{
	switch (c->action) {
	case ACTION_HELD:
		return held(c, envelope, e);
	case ACTION_CALLS:
		return calls(c, envelope, e);
	case ACTION_DESTROY:
		return destroy(c, e);
	case ACTION_RUN:
		break;
	}
	return run(c, operand, e);
}

int main(int argc, char **argv)
{
	struct config c = {.domains = 2};
	struct json_object *envelope = NULL;
	struct err e = {0};
	int first = 0, status;
	int ret = opt_parse(&tool, argc, argv, true, take, &c, &first, &e);

	if (ret == 1)
		return opt_finish(&tool, TAP_EXIT_DONE);
	if (ret == 0 && c.action != ACTION_RUN && argv[first]) {
		ret = err_set(&e, -EINVAL, TAP_EXIT_USAGE, "unexpected operand '%s'", argv[first]);
		err_hint(&e, "see tap-sim --help");
	}
	if (c.json && c.action != ACTION_RUN)
		envelope = json_envelope(tool.name);
	status = ret < 0 ? ret : act(&c, argv + first, envelope, &e);
	if (status < 0) {
		status = (int)err_print(stderr, tool.name, NULL, &e);
		if (envelope)
			json_error(envelope, &e);
	}
	if (envelope && json_print(envelope, stdout) < 0)
		return TAP_EXIT_SYSTEM;
	return opt_finish(&tool, status);
}
