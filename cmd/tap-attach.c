/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "attach-job.h"
#include "num.h"
#include "opt.h"

#define TIMEOUT_DEFAULT_NS 30000000000ull
#define TIMEOUT_MAX_NS	   (7 * 24 * 3600 * 1000000000ull)

static const struct option_row options[] = {
	{'d', "detach", NULL, "Detach disks, and wait until both ends have let go of them."},
	{'l', "list", NULL,
	 "List the disks that have their backend in this domain, of all kinds, or of DOM only."},
	{'c', "set-capacity", NULL,
	 "Have the disk's server look at the image's size again and tell the guest. "
	 "With SIZE the image file is grown to it first; K, M, G and T are powers of 1024."},
	{KEY_STALE, "stale", NULL,
	 "List what is left of disks that are no more. The exit status is 1 when there is some."},
	{KEY_CLEAN, "clean", NULL, "Remove what --stale lists."},
	{'r', "read-only", NULL, "Attach the image read-only. Several disks may read one image."},
	{KEY_KIND, "kind", "KIND",
	 "The kind of backend: the name below backend/ in XenStore. Default: tap; for -l all."},
	{KEY_DEVICE_TYPE, "device-type", "TYPE",
	 "What the guest sees. A cdrom is read-only and removable. Default: disk.",
	 OPT_COMPLETE_WORDS, "disk cdrom"},
	{KEY_REMOVABLE, "removable", NULL, "Tell the guest that the disk is removable."},
	{KEY_SECTOR_SIZE, "sector-size", "BYTES",
	 "The sector size the guest is told, 512 or 4096. "
	 "The image's size must be a multiple of it. Default: 512.",
	 OPT_COMPLETE_WORDS, "512 4096"},
	{KEY_NO_DISCARD, "no-discard", NULL,
	 "Do not offer discards. They are offered of each image that can discard otherwise."},
	{KEY_DIRECT_IO_SAFE, "direct-io-safe", NULL,
	 "Allow direct I/O also where the image is on a network file system."},
	{KEY_MAX_QUEUES, "max-queues", "N", "Offer that many queues at most, 1 to 16."},
	{KEY_MAX_RING_ORDER, "max-ring-order", "N",
	 "Offer rings of 2 to the power of N pages at most, 0 to 4."},
	{KEY_MAX_SEGMENTS, "max-segments", "N",
	 "Offer indirect requests of that many segments at most, up to 256. "
	 "With 11 or less, which any request may have, there are none."},
	{KEY_SHARE, "share", NULL,
	 "Let other disks that are attached with --share write to the same image."},
	{KEY_WAIT, "wait", NULL,
	 "Return when both ends are Connected. "
	 "When that fails or takes longer than --timeout, the attach is undone."},
	{KEY_TIMEOUT, "timeout", "TIME",
	 "How long --wait, -d and -c wait. Units: ms, s (the default), m, h. Default: 30s."},
	{KEY_FORCE, "force", NULL,
	 "With -d: remove the disk now, whatever its guest does. What is in flight is lost."},
	{KEY_DRY_RUN, "dry-run", NULL,
	 "Check all, then print the changes to XenStore in order instead of making them."},
	{'v', "verbose", NULL, "Tell each step on stderr."},
	{'J', "json", NULL, "Print JSON."},
	{0},
};

static const struct operand_row operands[] = {
	{"DOM/VDEV", OPT_COMPLETE_DISK, NULL}, {"[IMAGE]", OPT_COMPLETE_FILE, NULL}, {0}};

static const struct exit_row exits[] = {
	{TAP_EXIT_DONE, NULL},
	{TAP_EXIT_FOUND, "--stale found some"},
	{TAP_EXIT_USAGE, NULL},
	{TAP_EXIT_NONE, "no such domain, disk or image, or (-c) nobody serves the disk"},
	{TAP_EXIT_BUSY, "the disk exists, the image is in use, or (-d) the guest holds the disk"},
	{TAP_EXIT_TIMEOUT, NULL},
	{TAP_EXIT_DENIED, NULL},
	{TAP_EXIT_IMAGE, "the image cannot be served, or (--wait) the backend failed"},
	{TAP_EXIT_REFUSED, NULL},
	{TAP_EXIT_SYSTEM, NULL},
	{0},
};

static const char *const synopses[] = {"[options] DOM[/VDEV] IMAGE",
				       "-d [--timeout TIME] [--force] DOM/VDEV ...",
				       "-l [DOM ...]",
				       "-c DOM/VDEV [SIZE]",
				       "--stale | --clean",
				       NULL};

static const struct tool tool = {
	.name = "tap-attach",
	.section = "8",
	.summary = "attach disks to guests, detach, list and resize them",
	.synopses = synopses,
	.options = options,
	.operands = operands,
	.exits = exits,
};

/* --- the command line ------------------------------------------------------------------------- */

static int set_mode(struct job *job, enum attach_mode mode, struct err *e)
{
	if (job->mode != MODE_ATTACH && job->mode != mode)
		return err_set(e, -EINVAL, TAP_EXIT_USAGE,
			       "-d, -l, -c, --stale and --clean exclude each other");
	job->mode = mode;
	return 0;
}

static int take_kind(struct job *job, const char *arg, struct err *e)
{
	if (!*arg || strchr(arg, '/') || strlen(arg) >= KIND_MAX)
		return err_set(e, -EINVAL, TAP_EXIT_USAGE, "--kind: '%s' is no kind", arg);
	job->kind = arg;
	return 0;
}

static int take_option(int key, const char *arg, void *opaque, struct err *e)
{
	struct job *job = opaque;

	switch (key) {
	case 'd':
		return set_mode(job, MODE_DETACH, e);
	case 'l':
		return set_mode(job, MODE_LIST, e);
	case 'c':
		return set_mode(job, MODE_RESIZE, e);
	case KEY_STALE:
		return set_mode(job, MODE_STALE, e);
	case KEY_CLEAN:
		return set_mode(job, MODE_CLEAN, e);
	case KEY_KIND:
		return take_kind(job, arg, e);
	case KEY_TIMEOUT:
		return opt_time("timeout", arg, 0, TIMEOUT_MAX_NS, &job->timeout_ns, e);
	case KEY_FORCE:
		job->force = true;
		return 0;
	case KEY_DRY_RUN:
		job->dry_run = true;
		return 0;
	case 'v':
		job->verbose = true;
		return 0;
	case 'J':
		job->json = true;
		return 0;
	default:
		return job_take_new(job, key, arg, e);
	}
}

static int check_usage(const struct job *job, int operands_given, struct err *e)
{
	static const struct {
		int min, max;
		const char *wants;
	} rules[] = {
		[MODE_ATTACH] = {2, 2, "attaching takes DOM[/VDEV] and IMAGE"},
		[MODE_DETACH] = {1, INT32_MAX, "-d takes one DOM/VDEV or more"},
		[MODE_LIST] = {0, INT32_MAX, ""},
		[MODE_RESIZE] = {1, 2, "-c takes DOM/VDEV and perhaps a SIZE"},
		[MODE_STALE] = {0, 0, "--stale takes no operand"},
		[MODE_CLEAN] = {0, 0, "--clean takes no operand"},
	};
	bool attaches = job->mode == MODE_ATTACH, detaches = job->mode == MODE_DETACH;
	const char *wrong = NULL;

	if (operands_given < rules[job->mode].min || operands_given > rules[job->mode].max)
		wrong = rules[job->mode].wants;
	else if (!attaches && job->for_attaching)
		wrong = "-r, --wait and what says how the disk is to be are for attaching";
	else if (job->force && !detaches)
		wrong = "--force goes with -d";
	else if (job->dry_run && !attaches && !detaches && job->mode != MODE_CLEAN)
		wrong = "--dry-run goes with attaching, -d and --clean";
	if (!wrong)
		return 0;
	err_set(e, -EINVAL, TAP_EXIT_USAGE, "%s", wrong);
	err_hint(e, "try 'tap-attach --help'");
	return -EINVAL;
}

/* --- detach, resize --------------------------------------------------------------------------- */

static int find_disk(struct job *job, const char *name, struct disk *disk, struct err *e)
{
	struct address address;
	int ret = address_parse(name, &address, e);

	return ret ? ret : disk_resolve(job->store, &address, disk, e);
}

static int detach_one(struct job *job, const char *name, struct err *e)
{
	struct detach_options detach = {
		.force = job->force, .dry_run = job->steps, .step = job_step, .opaque = job};
	struct disk disk;
	char loss[192];
	int ret = find_disk(job, name, &disk, e);

	if (ret)
		return ret;
	if (job->force)
		detach_loss(job->store, &disk, loss, sizeof(loss));
	detach.deadline_ns = job_deadline_ns(job);
	ret = detach_disk(job->store, &disk, &detach, e);
	if (ret)
		return ret;
	if (job->dry_run)
		job_end_steps(job, &disk);
	else
		job_end_item(job, job_item(job, &disk));
	if (job->force && !job->dry_run)
		fprintf(stderr, "%s: %s: removed by force: %s\n", tool.name, name, loss);
	return 0;
}

/* Told to end it asks no other guest to let go. */
static void run_detach(struct job *job, char **names)
{
	int ret = 0;

	for (; *names && ret != -EINTR; names++) {
		struct err e = {0};

		job_about(job, *names);
		ret = detach_one(job, *names, &e);
		if (ret)
			job_fail(job, &e);
	}
}

static int run_resize(struct job *job, char **args, struct err *e)
{
	uint64_t size_bytes = 0, sectors = 0;
	struct json_object *item;
	struct disk disk;
	int ret = 0;

	job_about(job, args[0]);
	if (args[1])
		ret = opt_size("SIZE", args[1], SECTOR_BYTES, INT64_MAX, &size_bytes, e);
	if (!ret)
		ret = find_disk(job, args[0], &disk, e);
	if (!ret)
		ret = attach_resize(job->store, &disk, size_bytes, job_deadline_ns(job), &sectors,
				    e);
	if (ret)
		return ret;
	item = job_item(job, &disk);
	if (item)
		json_set_number(item, "size_bytes", sectors * SECTOR_BYTES);
	job_end_item(job, item);
	if (!job->envelope)
		printf("%" PRIu64 "\n", sectors * SECTOR_BYTES);
	return 0;
}

/* --- all of it -------------------------------------------------------------------------------- */

/* Ctrl-C in the middle of a wait: the attach is undone, the request to detach explained. Before
 * libxenstore makes its thread. */
static int take_signals(struct err *e)
{
	sigset_t mask;
	int fd;

	sigemptyset(&mask);
	sigaddset(&mask, SIGINT);
	sigaddset(&mask, SIGTERM);
	sigaddset(&mask, SIGHUP);
	pthread_sigmask(SIG_BLOCK, &mask, NULL);
	fd = signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK);
	if (fd < 0)
		err_set(e, -errno, TAP_EXIT_SYSTEM, "cannot take signals: %s", strerror(errno));
	return fd;
}

static int run(struct job *job, char **args, int n, struct err *e)
{
	int signals = -1, ret;

	if (job->mode == MODE_DETACH || job->wait) {
		signals = take_signals(e);
		if (signals < 0)
			return -EIO;
	}
	ret = store_open(&job->store, e);
	if (ret)
		return ret;
	store_set_interrupt(job->store, signals);
	switch (job->mode) {
	case MODE_ATTACH:
		return job_attach(job, args, e);
	case MODE_DETACH:
		run_detach(job, args);
		return 0;
	case MODE_LIST:
		return job_list(job, args, n, e);
	case MODE_RESIZE:
		return run_resize(job, args, e);
	case MODE_STALE:
	case MODE_CLEAN:
		return job_stale(job, e);
	}
	return -EINVAL;
}

/* Where dry runs print: stdout, or with -J memory that becomes items. */
static int set_output(struct job *job, struct err *e)
{
	if (job->json)
		job->envelope = json_envelope(tool.name);
	if (job->dry_run)
		job->steps = job->json ? open_memstream(&job->step_text, &job->step_bytes) : stdout;
	if ((job->json && !job->envelope) || (job->dry_run && !job->steps))
		return err_set(e, -ENOMEM, TAP_EXIT_SYSTEM, "out of memory");
	return 0;
}

static void end_output(struct job *job)
{
	if (job->envelope && json_print(job->envelope, stdout) && !job->status)
		job->status = TAP_EXIT_SYSTEM;
	if (job->steps && job->steps != stdout)
		fclose(job->steps);
	free(job->step_text);
}

int main(int argc, char **argv)
{
	struct job job = {.new = {.device_type = "disk", .caps = grants_no_caps},
			  .timeout_ns = TIMEOUT_DEFAULT_NS};
	struct err e = {0};
	int first, ret, output;

	ret = opt_parse(&tool, argc, argv, false, take_option, &job, &first, &e);
	if (ret > 0)
		return opt_finish(&tool, 0);
	if (!ret)
		ret = check_usage(&job, argc - first, &e);
	output = set_output(&job, ret ? NULL : &e);
	if (!ret)
		ret = output;
	if (!ret)
		ret = run(&job, argv + first, argc - first, &e);
	if (ret)
		job_fail(&job, &e);
	end_output(&job);
	store_close(job.store);
	return opt_finish(&tool, job.status);
}
