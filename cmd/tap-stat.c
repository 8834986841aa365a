/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "json.h"
#include "num.h"
#include "opt.h"
#include "sample.h"
#include "stat-report.h"

#define INTERVAL_MIN_NS 1000000ull
#define INTERVAL_MAX_NS (24ull * 3600 * 1000000000)

static const struct option_row options[] = {
	{'J', "json", NULL, "Print JSON: one object on a line for each report.", OPT_COMPLETE_NONE,
	 NULL},
	{'x', "extended", NULL, "Show more columns: calls per request, and errors by class.",
	 OPT_COMPLETE_NONE, NULL},
	{0},
};

static const char *const synopses[] = {"[-Jx] [DOM[/VDEV] ...] [INTERVAL [COUNT]]", NULL};
static const struct operand_row operands[] = {
	{"[DOM/VDEV ...]", OPT_COMPLETE_DISK, NULL},
	{0},
};
static const struct exit_row exits[] = {
	{TAP_EXIT_DONE, NULL},	 {TAP_EXIT_USAGE, NULL},  {TAP_EXIT_NONE, "no such domain or disk"},
	{TAP_EXIT_DENIED, NULL}, {TAP_EXIT_SYSTEM, NULL}, {0},
};

static const struct tool tool = {
	.name = "tap-stat",
	.section = "8",
	.summary = "rates and latency of disks, as iostat shows them",
	.synopses = synopses,
	.options = options,
	.operands = operands,
	.exits = exits,
};

/* A domain, or one disk of it. */
struct target {
	struct address address;
	bool whole_domain;
	uint32_t domid; /* as found for this report */
	bool here;
};

struct config {
	bool json, extended;
	uint64_t interval_ns; /* 0: one report */
	uint64_t count;	      /* 0: until interrupted */
	unsigned targets;
	struct target *target;
};

/* All disks of one report. */
struct report {
	unsigned n, room;
	struct sample *samples;
};

static int take_option(int key, const char *arg, void *opaque, struct err *e)
{
	struct config *config = opaque;

	if (key == 'J')
		config->json = true;
	else
		config->extended = true;
	return 0;
}

static bool is_interval(const char *text, uint64_t *out)
{
	return !num_parse_time(text, INTERVAL_MIN_NS, INTERVAL_MAX_NS, out);
}

/* As iostat: numbers at the end are interval and count. A domain's number there is written "7/". */
static int take_numbers(struct config *config, int *argc, char **argv, struct err *e)
{
	int n = *argc;

	if (n >= 2 && is_interval(argv[n - 2], &config->interval_ns) &&
	    !num_parse(argv[n - 1], 1, UINT64_MAX, &config->count)) {
		*argc = n - 2;
		return 0;
	}
	config->count = 0;
	config->interval_ns = 0;
	if (n >= 1 && is_interval(argv[n - 1], &config->interval_ns)) {
		*argc = n - 1;
		return 0;
	}
	if (n >= 1 && !strchr(argv[n - 1], '/') && argv[n - 1][0] >= '0' && argv[n - 1][0] <= '9')
		return err_set(e, -EINVAL, TAP_EXIT_USAGE,
			       "'%s' is no interval (from 1 ms to 24 h) and no count", argv[n - 1]);
	return 0;
}

static int take_target(const char *text, struct target *target, struct err *e)
{
	char dom[ADDRESS_MAX];
	size_t length = strlen(text);

	target->whole_domain = !strchr(text, '/') || text[length - 1] == '/';
	if (!target->whole_domain)
		return address_parse(text, &target->address, e);
	snprintf(dom, sizeof(dom), "%s", text);
	if (length && length < sizeof(dom) && dom[length - 1] == '/')
		dom[length - 1] = '\0';
	return address_parse_dom(dom, target->address.dom, e);
}

static int take_operands(struct config *config, int argc, char **argv, struct err *e)
{
	int ret = take_numbers(config, &argc, argv, e);

	if (ret || !argc)
		return ret;
	config->target = calloc((size_t)argc, sizeof(*config->target));
	if (!config->target)
		return err_set(e, -ENOMEM, TAP_EXIT_SYSTEM, "no memory");
	for (int i = 0; !ret && i < argc; i++)
		ret = take_target(argv[i], &config->target[config->targets++], e);
	return ret;
}

/* What was named must be there at the start; later it may come and go. */
static int check_targets(const struct config *config, struct store *store, struct err *e)
{
	struct disk disk;
	uint32_t domid;
	int ret = 0;

	for (unsigned i = 0; !ret && i < config->targets; i++) {
		const struct target *target = &config->target[i];

		ret = target->whole_domain ? domain_resolve(store, target->address.dom, &domid, e)
					   : disk_resolve(store, &target->address, &disk, e);
	}
	return ret;
}

static bool wanted(const struct config *config, const struct disk *disk)
{
	for (unsigned i = 0; i < config->targets; i++) {
		const struct target *target = &config->target[i];

		if (target->here && target->domid == disk->domid &&
		    (target->whole_domain || target->address.vdev == disk->vdev))
			return true;
	}
	return !config->targets;
}

struct gathering {
	const struct config *config;
	struct store *store;
	struct report *report;
};

static int gather_disk(const struct disk *disk, void *opaque)
{
	struct gathering *gathering = opaque;
	struct report *report = gathering->report;
	struct sample *grown;
	int ret;

	if (!wanted(gathering->config, disk))
		return 0;
	if (report->n == report->room) {
		report->room = report->room ? report->room * 2 : 16;
		grown = reallocarray(report->samples, report->room, sizeof(*grown));
		if (!grown)
			return -ENOMEM;
		report->samples = grown;
	}
	ret = sample_disk(gathering->store, disk, &report->samples[report->n]);
	if (!ret)
		report->n++;
	return ret == -ENOENT ? 0 : ret;
}

static int gather(struct config *config, struct store *store, struct report *out, struct err *e)
{
	struct gathering gathering = {.config = config, .store = store, .report = out};
	int ret;

	for (unsigned i = 0; i < config->targets; i++) {
		struct target *target = &config->target[i];

		target->here = !domain_resolve(store, target->address.dom, &target->domid, NULL);
	}
	out->n = 0;
	ret = disk_each(store, NULL, gather_disk, &gathering);
	if (ret < 0)
		return err_set(e, ret, err_exit_of(ret), "cannot look at the disks: %s",
			       strerror(-ret));
	return 0;
}

static int print_report(const struct config *config, const struct report *before,
			const struct report *now, struct err *e)
{
	struct stat_row *rows = calloc(now->n + 1, sizeof(*rows));
	struct json_object *envelope = config->json ? json_envelope(tool.name) : NULL;
	int ret = rows && (envelope || !config->json) ? 0 : -ENOMEM;

	for (unsigned i = 0; !ret && i < now->n; i++) {
		rows[i].now = &now->samples[i];
		for (unsigned k = 0; k < before->n; k++) {
			if (sample_same_disk(&before->samples[k], rows[i].now))
				rows[i].earlier = &before->samples[k];
		}
	}
	if (!ret && envelope)
		ret = stat_report_json(rows, now->n, envelope);
	else if (!ret)
		stat_report_table(rows, now->n, config->extended, stdout);
	free(rows);
	if (ret) {
		json_object_put(envelope);
		return err_set(e, ret, TAP_EXIT_SYSTEM, "no memory");
	}
	if ((envelope && json_print(envelope, stdout)) || fflush(stdout))
		return err_set(e, -EIO, TAP_EXIT_SYSTEM, "cannot write to standard output");
	return 0;
}

static int start_timer(uint64_t interval_ns, struct err *e)
{
	const struct timespec interval = {
		.tv_sec = (time_t)(interval_ns / 1000000000),
		.tv_nsec = (long)(interval_ns % 1000000000),
	};
	const struct itimerspec periodic = {.it_value = interval, .it_interval = interval};
	int timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);

	if (timer < 0 || timerfd_settime(timer, 0, &periodic, NULL))
		return err_set(e, -errno, TAP_EXIT_SYSTEM, "cannot start a timer: %s",
			       strerror(errno));
	return timer;
}

static int run(struct config *config, struct store *store, struct err *e)
{
	struct report reports[2] = {0};
	uint64_t expirations;
	int timer = -1, ret;

	ret = check_targets(config, store, e);
	if (!ret && config->interval_ns) {
		timer = start_timer(config->interval_ns, e);
		ret = timer < 0 ? timer : 0;
	}
	for (uint64_t i = 0; !ret; i++) {
		struct report *now = &reports[i & 1], *before = &reports[~i & 1];

		ret = gather(config, store, now, e);
		if (!ret && i && !config->json)
			putchar('\n');
		if (!ret)
			ret = print_report(config, before, now, e);
		if (ret || timer < 0 || i + 1 == config->count)
			break;
		if (read(timer, &expirations, sizeof(expirations)) < 0)
			ret = err_set(e, -errno, TAP_EXIT_SYSTEM, "cannot wait on a timer: %s",
				      strerror(errno));
	}
	free(reports[0].samples);
	free(reports[1].samples);
	if (timer >= 0)
		close(timer);
	return ret;
}

/* A report that failed is a line of its own. */
static int fail(const struct config *config, const struct err *e)
{
	struct json_object *envelope = config->json ? json_envelope(tool.name) : NULL;

	if (envelope) {
		json_error(envelope, e);
		json_print(envelope, stdout);
	}
	return err_print(stderr, tool.name, NULL, e);
}

int main(int argc, char **argv)
{
	struct config config = {0};
	struct store *store = NULL;
	struct err e = {0};
	int operand = 0;
	int ret = opt_parse(&tool, argc, argv, false, take_option, &config, &operand, &e);

	if (ret > 0)
		return opt_finish(&tool, TAP_EXIT_DONE);
	if (!ret)
		ret = take_operands(&config, argc - operand, argv + operand, &e);
	if (!ret)
		ret = store_open(&store, &e);
	if (!ret)
		ret = run(&config, store, &e);
	store_close(store);
	free(config.target);
	return opt_finish(&tool, ret ? fail(&config, &e) : TAP_EXIT_DONE);
}
