/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "front-job.h"
#include "json.h"
#include "num.h"
#include "opt.h"

#define IODEPTH_MAX 1024
#define BLOCK_MAX   (1u << 24)

static const char *const synopses[] = {
	"[options] info [DOM/]VDEV",	     "[options] read [DOM/]VDEV OFFSET LENGTH|all",
	"[options] write [DOM/]VDEV OFFSET", "[options] discard [DOM/]VDEV OFFSET LENGTH|all",
	"[options] flush [DOM/]VDEV",	     "[options] barrier [DOM/]VDEV",
	"[options] verify [DOM/]VDEV",	     "[options] bench [DOM/]VDEV",
	"[options] hold [DOM/]VDEV",	     NULL,
};

enum {
	KEY_OPS = 256,
	KEY_IODEPTH,
	KEY_SEED,
	KEY_RANGE,
	KEY_RW,
	KEY_BS,
	KEY_RUNTIME,
	KEY_ABI,
	KEY_QUEUES,
	KEY_ORDER,
	KEY_DIALECT,
	KEY_INDIRECT,
	KEY_SCATTER,
	KEY_STATES,
	KEY_BARRIERS,
	KEY_FLUSH_DATA,
	KEY_DISCARDS,
	KEY_SECURE,
	KEY_FRESH,
	KEY_PERSISTENT,
	KEY_TIMEOUT,
	KEY_READY_FD,
	KEY_BUSY,
	KEY_FORCE
};

#define RW_WORDS       "read write randread randwrite randrw"
#define ABI_WORDS      "x86_64 x86_32 native"
#define DIALECT_WORDS  "order pages"
#define STATES_WORDS   "linux uefi boot"
#define DISCARDS_WORDS "zeros any"

static const struct option_row options[] = {
	{'i', "input", "FILE", "Write what FILE holds. Without it: standard input.",
	 OPT_COMPLETE_FILE, NULL},
	{'o', "output", "FILE", "Put what is read into FILE. Without it: standard output.",
	 OPT_COMPLETE_FILE, NULL},
	{KEY_IODEPTH, "iodepth", "N", "Keep N operations in flight. 32 by default.",
	 OPT_COMPLETE_NONE, NULL},
	{KEY_OPS, "ops", "N",
	 "Do N operations. verify does 10000 by default, bench goes by its run time.",
	 OPT_COMPLETE_NONE, NULL},
	{KEY_SEED, "seed", "N",
	 "Repeat the operations of the run that printed this seed. Random by default.",
	 OPT_COMPLETE_NONE, NULL},
	{KEY_RANGE, "range", "SIZE",
	 "Stay within the first SIZE bytes of the disk. By default verify takes the whole disk up "
	 "to 1G, bench all of it.",
	 OPT_COMPLETE_NONE, NULL},
	{KEY_RW, "rw", "MODE",
	 "What bench does: read, write, randread, randwrite or randrw. randread by default.",
	 OPT_COMPLETE_WORDS, RW_WORDS},
	{KEY_BS, "bs", "SIZE", "Bytes of each of bench's operations. 4K by default.",
	 OPT_COMPLETE_NONE, NULL},
	{KEY_RUNTIME, "runtime", "TIME",
	 "How long bench runs. 5s by default, unless --ops is given.", OPT_COMPLETE_NONE, NULL},
	{KEY_ABI, "abi", "ABI",
	 "Layout of the ring: x86_64, x86_32, or native, the one of this machine. x86_64 by "
	 "default.",
	 OPT_COMPLETE_WORDS, ABI_WORDS},
	{KEY_QUEUES, "queues", "N",
	 "Use N queues, each with a ring and an event channel of its own; max: as many as the "
	 "backend offers, 16 at most. Operations go to them in turn. 1 by default.",
	 OPT_COMPLETE_WORDS, "1 2 4 8 16 max"},
	{KEY_ORDER, "ring-order", "N",
	 "Make each ring of 2^N pages; max: as large as the backend offers, 4 at most. 0 by "
	 "default.",
	 OPT_COMPLETE_WORDS, "0 1 2 3 4 max"},
	{KEY_DIALECT, "ring-dialect", "DIALECT",
	 "How the backend is told of a ring's size: 'order' (ring-page-order, the default) or "
	 "'pages' (num-ring-pages, as older frontends do).",
	 OPT_COMPLETE_WORDS, DIALECT_WORDS},
	{KEY_INDIRECT, "indirect", "N",
	 "Carry up to N segments in a request, through indirect pages where there are more than "
	 "11; max: as many as the backend offers, 256 at most. None by default.",
	 OPT_COMPLETE_WORDS, "32 256 max"},
	{KEY_SCATTER, "scatter", NULL,
	 "Spread data over its pages: each segment is 1 to 8 sectors anywhere in its page.",
	 OPT_COMPLETE_NONE, NULL},
	{KEY_STATES, "states", "WAY",
	 "How to go through the states: 'linux' (the default); 'uefi': straight to Connected, "
	 "without waiting for the backend's InitWait; 'boot': stays at Initialised and goes away "
	 "without closing, which the next tap-front does for it.",
	 OPT_COMPLETE_WORDS, STATES_WORDS},
	{KEY_BARRIERS, "barriers", NULL, "Let verify write barriers as well, empty and with data.",
	 OPT_COMPLETE_NONE, NULL},
	{KEY_FLUSH_DATA, "flush-data", NULL, "Let verify send flushes that carry data as well.",
	 OPT_COMPLETE_NONE, NULL},
	{KEY_DISCARDS, "discards", "READS",
	 "Let verify discard as well. What was discarded must read as 'zeros', or as 'any': zeros "
	 "or what was there before.",
	 OPT_COMPLETE_WORDS, DISCARDS_WORDS},
	{KEY_FORCE, "force", NULL,
	 "Send writes to a disk that is read-only all the same: to see its backend refuse them.",
	 OPT_COMPLETE_NONE, NULL},
	{KEY_SECURE, "secure", NULL, "Make discard a secure one.", OPT_COMPLETE_NONE, NULL},
	{KEY_FRESH, "fresh-grants", NULL,
	 "Grant pages anew for each request and end the grants at its answer, as a guest does "
	 "without persistent grants. By default a pool of pages stays granted.",
	 OPT_COMPLETE_NONE, NULL},
	{KEY_PERSISTENT, "persistent", NULL,
	 "Tell the backend that the pool's pages stay granted, so that it may keep them mapped.",
	 OPT_COMPLETE_NONE, NULL},
	{KEY_TIMEOUT, "timeout", "TIME",
	 "Wait that long for the backend to connect, and to close. 30s by default.",
	 OPT_COMPLETE_NONE, NULL},
	{KEY_READY_FD, "ready-fd", "FD", "hold writes a newline to FD when it is connected.",
	 OPT_COMPLETE_NONE, NULL},
	{KEY_BUSY, "busy", NULL,
	 "hold does not let go when the backend asks for it, as a guest that uses the disk.",
	 OPT_COMPLETE_NONE, NULL},
	{'J', "json", NULL, "Print JSON (info, verify, bench).", OPT_COMPLETE_NONE, NULL},
	{0},
};

static const struct operand_row operands[] = {
	{"COMMAND", OPT_COMPLETE_WORDS, "info read write discard flush barrier verify bench hold"},
	{"[DOM/]VDEV", OPT_COMPLETE_DISK, NULL},
	{0},
};

static const struct exit_row exits[] = {
	{TAP_EXIT_DONE, "done"},
	{TAP_EXIT_FOUND, "verify found a difference"},
	{TAP_EXIT_USAGE,
	 "the command line is wrong, or asks for more than the disk has or its backend "
	 "offers"},
	{TAP_EXIT_NONE, "no such disk in this domain, or no such file"},
	{TAP_EXIT_BUSY, "the disk is being detached"},
	{TAP_EXIT_TIMEOUT, "the backend did not connect or close in time"},
	{TAP_EXIT_DENIED, NULL},
	{TAP_EXIT_IMAGE,
	 "the backend answered with an error, or does not offer what was asked for"},
	{TAP_EXIT_SYSTEM, "the backend broke the protocol or went away; any other system error"},
	{0},
};

static const struct tool tool = {
	.name = "tap-front",
	.section = "8",
	.summary = "a block frontend in user space: read, write, verify, bench",
	.synopses = synopses,
	.options = options,
	.operands = operands,
	.exits = exits,
};

static const struct command {
	const char *name;
	int operands; /* behind VDEV */
	int (*run)(struct front_job *job, struct err *e);
	bool stop_is_end; /* a signal is a way to end it, and no failure */
} commands[] = {
	{"info", 0, front_info, false},	    {"read", 2, front_read, false},
	{"write", 1, front_write, false},   {"discard", 2, front_discard, false},
	{"flush", 0, front_flush, false},   {"barrier", 0, front_barrier, false},
	{"verify", 0, front_verify, false}, {"bench", 0, front_bench, true},
	{"hold", 0, front_hold, true},
};

struct config {
	const struct command *command;
	uint32_t vdev;
	struct front_options front;
	struct front_job job;
};

const char *front_rw_name(enum front_rw rw)
{
	static const char *const names[] = {
		[RW_READ] = "read",	      [RW_WRITE] = "write",   [RW_RANDREAD] = "randread",
		[RW_RANDWRITE] = "randwrite", [RW_RANDRW] = "randrw",
	};

	return names[rw];
}

/* Place of @arg among the words of a list, or -EINVAL. */
static int take_word(const char *option, const char *arg, const char *words, struct err *e)
{
	size_t length = strlen(arg);
	int place = 0;

	for (const char *word = words; *word; place++) {
		size_t n = strcspn(word, " ");

		if (n == length && !strncmp(word, arg, n))
			return place;
		word += n + (word[n] != '\0');
	}
	return err_set(e, -EINVAL, TAP_EXIT_USAGE, "option '--%s': '%s' is none of %s", option, arg,
		       words);
}

static int take_number(const char *option, const char *arg, uint64_t min, uint64_t max,
		       unsigned *out, struct err *e)
{
	uint64_t value = 0;
	int ret = opt_number(option, arg, min, max, &value, e);

	*out = (unsigned)value;
	return ret;
}

static int take_most(const char *option, const char *arg, uint64_t min, uint64_t max, unsigned *out,
		     struct err *e)
{
	if (strcmp(arg, "max"))
		return take_number(option, arg, min, max, out, e);
	*out = FRONT_MAX;
	return 0;
}

/* Of the rings and the way to connect. */
static int take_front_option(int key, const char *arg, struct front_options *front, struct err *e)
{
	static const enum ring_abi abis[] = {RING_ABI_X86_64, RING_ABI_X86_32, RING_ABI_NATIVE};
	static const enum front_manner manners[] = {FRONT_LINUX, FRONT_UEFI, FRONT_BOOT};
	int word = 0;

	switch (key) {
	case KEY_ABI:
		word = take_word("abi", arg, ABI_WORDS, e);
		front->abi = abis[word < 0 ? 0 : word];
		break;
	case KEY_QUEUES:
		return take_most("queues", arg, 1, FRONT_QUEUES_MAX, &front->queues, e);
	case KEY_ORDER:
		return take_most("ring-order", arg, 0, RING_ORDER_MAX, &front->ring_order, e);
	case KEY_DIALECT:
		word = take_word("ring-dialect", arg, DIALECT_WORDS, e);
		front->ring_pages = word > 0;
		break;
	case KEY_INDIRECT:
		return take_most("indirect", arg, 0, REQUEST_SEGMENTS_MAX,
				 &front->indirect_segments, e);
	case KEY_SCATTER:
		front->scatter = true;
		break;
	case KEY_STATES:
		word = take_word("states", arg, STATES_WORDS, e);
		front->manner = manners[word < 0 ? 0 : word];
		break;
	case KEY_FRESH:
		front->fresh_grants = true;
		break;
	case KEY_PERSISTENT:
		front->persistent = true;
		break;
	case KEY_TIMEOUT:
		return opt_time("timeout", arg, 0, INT64_MAX, &front->timeout_ns, e);
	}
	return word < 0 ? word : 0;
}

static int take_option(int key, const char *arg, void *opaque, struct err *e)
{
	struct config *config = opaque;
	struct front_job *job = &config->job;
	unsigned number = 0;
	int ret = 0;

	switch (key) {
	case 'i':
		job->input = arg;
		break;
	case 'o':
		job->output = arg;
		break;
	case 'J':
		if (!job->envelope)
			job->envelope = json_envelope(tool.name);
		return job->envelope ? 0 : err_set(e, -ENOMEM, TAP_EXIT_SYSTEM, "no memory");
	case KEY_IODEPTH:
		return take_number("iodepth", arg, 1, IODEPTH_MAX, &job->iodepth, e);
	case KEY_OPS:
		return opt_number("ops", arg, 1, UINT32_MAX, &job->ops, e);
	case KEY_SEED:
		job->seed_given = true;
		return opt_number("seed", arg, 0, UINT64_MAX, &job->seed, e);
	case KEY_RANGE:
		return opt_size("range", arg, RING_PAGE_BYTES, INT64_MAX, &job->range_bytes, e);
	case KEY_RW: /* RW_WORDS are in the order of the enum */
		ret = take_word("rw", arg, RW_WORDS, e);
		if (ret < 0)
			return ret;
		job->rw = (enum front_rw)ret;
		return 0;
	case KEY_BS:
		return opt_size("bs", arg, SECTOR_BYTES, BLOCK_MAX, &job->block_bytes, e);
	case KEY_RUNTIME:
		return opt_time("runtime", arg, 1, INT64_MAX, &job->runtime_ns, e);
	case KEY_BARRIERS:
		job->barriers = true;
		break;
	case KEY_FLUSH_DATA:
		job->flush_data = true;
		break;
	case KEY_DISCARDS:
		ret = take_word("discards", arg, DISCARDS_WORDS, e);
		if (ret < 0)
			return ret;
		job->discards = ret ? DISCARDS_ANY : DISCARDS_ZEROS;
		return 0;
	case KEY_FORCE:
		job->force = true;
		break;
	case KEY_SECURE:
		job->secure = true;
		break;
	case KEY_READY_FD:
		ret = take_number("ready-fd", arg, 0, INT32_MAX, &number, e);
		job->ready_fd = (int)number;
		break;
	case KEY_BUSY:
		job->busy = true;
		break;
	default:
		return take_front_option(key, arg, &config->front, e);
	}
	return ret;
}

static int with_hint(int ret, struct err *e)
{
	err_hint(e, "try 'tap-front --help'");
	return ret;
}

#define usage(e, ...) with_hint(err_set(e, -EINVAL, TAP_EXIT_USAGE, __VA_ARGS__), e)

/* OFFSET and LENGTH; whether they fit the disk is known when it is connected. */
static int take_extent(struct front_job *job, char **args, int n, struct err *e)
{
	if (n > 0 && num_parse_size(args[0], 0, INT64_MAX, &job->offset_bytes))
		return usage(e, "'%s' is not an offset (like 0, 512, 4K, 1M)", args[0]);
	if (n > 1 && strcmp(args[1], "all") &&
	    num_parse_size(args[1], 1, INT64_MAX, &job->length_bytes))
		return usage(e, "'%s' is not a length (like 512, 4K, 1M, or all)", args[1]);
	return 0;
}

static int take_operands(struct config *config, char **args, int n, struct err *e)
{
	if (n == 0)
		return usage(e, "a command is missing");
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
		if (!strcmp(args[0], commands[i].name))
			config->command = &commands[i];
	}
	if (!config->command)
		return usage(e, "'%s' is not a command", args[0]);
	if (n == 1)
		return usage(e, "%s: the disk is missing", args[0]);
	config->job.disk = args[1];
	if (n - 2 < config->command->operands)
		return usage(e, "%s: an operand is missing", args[0]);
	if (n - 2 > config->command->operands)
		return usage(e, "%s: too many operands", args[0]);
	return take_extent(&config->job, args + 2, n - 2, e);
}

/* A signal becomes readable on the descriptor returned; from then on it no longer kills. */
static int catch_signals(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN); /* a reader that left is a failed write; the frontend closes */
	return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

/* Take the signal that ended the command, so that it does not end the closing too. */
static int take_signal(int fd)
{
	struct signalfd_siginfo info;

	return read(fd, &info, sizeof(info)) == sizeof(info) ? (int)info.ssi_signo : 0;
}

static int run(struct config *config, int *stopped_by, struct err *e)
{
	struct front_job *job = &config->job;
	struct err closing = {0};
	int ret, closed;

	ret = front_address(job->disk, &config->vdev, e);
	if (!ret)
		ret = front_open(&job->front, config->vdev, &config->front, e);
	if (!ret)
		ret = config->command->run(job, e);
	progress_end(&job->progress);
	*stopped_by = take_signal(job->wake_fd);
	if (job->front && config->command->stop_is_end && (ret == -EINTR || !ret))
		*stopped_by = ret = 0;
	closed = front_close(job->front, &closing);
	if (!ret && closed)
		*e = closing;
	return ret ? ret : closed;
}

/* JSON is complete and valid however it went. */
static enum tap_exit report(struct front_job *job, int ret, const struct err *e)
{
	if (job->envelope) {
		if (ret)
			json_error(job->envelope, e);
		json_print(job->envelope, stdout);
	}
	if (!ret)
		return opt_finish(&tool, TAP_EXIT_DONE);
	return opt_finish(&tool, err_print(stderr, tool.name, job->disk, e));
}

/* Closed in order; now the caller is to see what ended it. */
static void die_by(int signal_number)
{
	sigset_t none;

	sigemptyset(&none);
	signal(signal_number, SIG_DFL);
	sigprocmask(SIG_SETMASK, &none, NULL);
	raise(signal_number);
}

int main(int argc, char **argv)
{
	struct config config = {
		.front = {.abi = RING_ABI_X86_64, .timeout_ns = 30000000000ull},
		.job = {.tool = tool.name,
			.length_bytes = UINT64_MAX,
			.iodepth = 32,
			.rw = RW_RANDREAD,
			.block_bytes = 4096,
			.ready_fd = -1},
	};
	struct err e = {0};
	int first, ret, status, stopped_by = 0;

	ret = opt_parse(&tool, argc, argv, false, take_option, &config, &first, &e);
	if (ret > 0)
		return opt_finish(&tool, TAP_EXIT_DONE);
	if (!ret && config.front.persistent && config.front.fresh_grants)
		ret = usage(&e, "--persistent and --fresh-grants exclude each other");
	if (!ret)
		ret = take_operands(&config, argv + first, argc - first, &e);
	if (ret < 0)
		return report(&config.job, ret, &e);
	config.job.wake_fd = config.front.wake_fd = catch_signals();
	config.job.progress.shown = isatty(STDERR_FILENO);
	ret = run(&config, &stopped_by, &e);
	status = report(&config.job, ret, &e);
	if (ret && stopped_by)
		die_by(stopped_by);
	return status;
}
