/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>
#ifdef HAVE_SYSTEMD
#include <systemd/sd-daemon.h>
#endif

#include "json.h"
#include "opt.h"
#include "server.h"

extern char **environ;

enum {
	KEY_KIND = 256,
	KEY_DATA_PATH,
	KEY_PERSISTENT_IDLE,
	KEY_PERSISTENT_PAGES,
	KEY_READY_FD,
	KEY_RUN,
	KEY_PIDFILE,
	KEY_BUFFERED,
	KEY_THREADS
};

static const struct option_row options[] = {
	{'a', "all", NULL,
	 "Serve every disk of the kind (see --kind), those attached now and each that appears "
	 "later."},
	{KEY_KIND, "kind", "KIND",
	 "The kind of backend that --all serves: the name below backend/ in XenStore. Default: "
	 "tap."},
	{KEY_DATA_PATH, "data-path", "PATH",
	 "How the guest's pages are reached: 'map' maps them and runs direct I/O on them, 'copy' "
	 "copies through the hypervisor, 'persistent' maps and keeps them where the guest's grants "
	 "stay the same, else maps them; 'auto' does so too, but copies else. Default: auto.",
	 OPT_COMPLETE_WORDS, DATA_PATH_WORDS},
	{KEY_PERSISTENT_IDLE, "persistent-idle", "TIME",
	 "Release a page that is kept mapped when it was not used for TIME. Default: 60s."},
	{KEY_PERSISTENT_PAGES, "persistent-pages", "N",
	 "Keep up to N pages mapped for each queue. Default: 1024."},
	{KEY_BUFFERED, "buffered", NULL,
	 "Go through the page cache, also where the file system could do direct I/O."},
	{KEY_THREADS, "threads", "N",
	 "Serve the queues of all disks in N threads, in turn. With 1, the default, the thread "
	 "that "
	 "watches XenStore serves them as well."},
	{KEY_READY_FD, "ready-fd", "N",
	 "Write a newline to descriptor N and close it, once all disks named are offered to their "
	 "guests."},
	{KEY_RUN, "run", "COMMAND",
	 "Run COMMAND with sh once ready, stop serving when it ends, and exit with its status.",
	 OPT_COMPLETE_COMMAND},
	{KEY_PIDFILE, "pidfile", "FILE",
	 "Write the process id to FILE once ready, and remove FILE at the end.", OPT_COMPLETE_FILE},
	{'J', "json", NULL, "Print what is served as one JSON object once ready."},
	{'q', "quiet", NULL, "Log errors only."},
	{0},
};

static const struct operand_row operands[] = {{"DOM/VDEV ...", OPT_COMPLETE_DISK, NULL}, {0}};

static const struct exit_row exits[] = {
	{TAP_EXIT_DONE, "All disks ended, or the server was stopped in order (SIGTERM, SIGINT)."},
	{TAP_EXIT_USAGE, NULL},
	{TAP_EXIT_NONE, "No such domain or disk, or its image is missing."},
	{TAP_EXIT_BUSY,
	 "The disk is served already (the message has the pid), or its image is in use."},
	{TAP_EXIT_DENIED, NULL},
	{TAP_EXIT_IMAGE, NULL},
	{TAP_EXIT_REFUSED, "The disk's last server died with requests in flight."},
	{TAP_EXIT_SYSTEM, NULL},
	{0},
};

static const char *const synopses[] = {"[options] DOM/VDEV ...", "[options] --all", NULL};

static const struct tool tool = {
	.name = "tap-serve",
	.section = "8",
	.summary = "serve attached disks to their guests",
	.synopses = synopses,
	.options = options,
	.operands = operands,
	.exits = exits,
};

struct config {
	struct server_options server;
	bool all, json, quiet;
	int ready_fd;
	const char *run, *pidfile;
};

struct serve {
	struct config config;
	struct server *server;
	struct loop_source signals;
	sigset_t old_mask;
	pid_t child; /* of --run */
	int child_status;
	bool wrote_pidfile;
};

static int take_option(int key, const char *arg, void *opaque, struct err *e)
{
	struct config *config = opaque;
	uint64_t number;

	switch (key) {
	case 'a':
		config->all = true;
		return 0;
	case 'J':
		config->json = true;
		return 0;
	case 'q':
		config->quiet = true;
		return 0;
	case KEY_BUFFERED:
		config->server.buffered = true;
		return 0;
	case KEY_RUN:
		config->run = arg;
		return 0;
	case KEY_PIDFILE:
		config->pidfile = arg;
		return 0;
	case KEY_KIND:
		if (!*arg || strchr(arg, '/') || strlen(arg) >= KIND_MAX)
			return err_set(e, -EINVAL, TAP_EXIT_USAGE, "--kind: '%s' is no kind", arg);
		config->server.kind = arg;
		return 0;
	case KEY_DATA_PATH:
		if (data_path_parse(arg, &config->server.data_path))
			return err_set(e, -EINVAL, TAP_EXIT_USAGE,
				       "--data-path: '%s' is none of " DATA_PATH_WORDS, arg);
		return 0;
	case KEY_PERSISTENT_IDLE:
		return opt_time("persistent-idle", arg, 1, INT64_MAX, &config->server.keep_idle_ns,
				e);
	case KEY_PERSISTENT_PAGES:
		if (opt_number("persistent-pages", arg, 1, PAGES_KEEP_MAX, &number, e) < 0)
			return -EINVAL;
		config->server.keep_pages = (unsigned)number;
		return 0;
	case KEY_THREADS:
		if (opt_number("threads", arg, 1, SERVER_THREADS_MAX, &number, e) < 0)
			return -EINVAL;
		config->server.threads = (unsigned)number;
		return 0;
	case KEY_READY_FD:
		if (opt_number("ready-fd", arg, 0, INT16_MAX, &number, e) < 0)
			return -EINVAL;
		config->ready_fd = (int)number;
		if (fcntl(config->ready_fd, F_SETFD, FD_CLOEXEC) < 0)
			return err_set(e, -errno, TAP_EXIT_USAGE,
				       "--ready-fd: descriptor %s is not open", arg);
		return 0;
	}
	return -EINVAL;
}

static void log_to_stderr(void *opaque, enum log_level level, const char *disk, const char *text)
{
	const struct config *config = opaque;

	if (config->quiet && level != LOG_ERROR)
		return;
	fprintf(stderr, "tap-serve: %s%s%s\n", disk ? disk : "", disk ? ": " : "", text);
}

static int start_child(struct serve *serve, struct err *e)
{
	char *argv[] = {"sh", "-c", (char *)serve->config.run, NULL};
	posix_spawnattr_t attr;
	int ret;

	posix_spawnattr_init(&attr);
	posix_spawnattr_setsigmask(&attr, &serve->old_mask);
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK);
	ret = posix_spawn(&serve->child, "/bin/sh", NULL, &attr, argv, environ);
	posix_spawnattr_destroy(&attr);
	if (ret)
		return err_set(e, -ret, TAP_EXIT_SYSTEM, "cannot run '%s': %s", serve->config.run,
			       strerror(ret));
	return 0;
}

static void child_ended(struct serve *serve)
{
	int status;

	if (serve->child <= 0 || waitpid(serve->child, &status, WNOHANG) != serve->child)
		return;
	serve->child = 0;
	serve->child_status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
	server_stop(serve->server);
}

static void signal_ready(struct loop_source *source, uint32_t events)
{
	struct serve *serve = source->owner;
	struct signalfd_siginfo info;

	while (read(source->fd, &info, sizeof(info)) == sizeof(info)) {
		if (info.ssi_signo == SIGCHLD)
			child_ended(serve);
		else
			server_stop(serve->server);
	}
}

/* Before libxenstore makes its thread: signals come by descriptor, in every thread. */
static int block_signals(struct serve *serve, struct err *e)
{
	sigset_t mask;

	sigemptyset(&mask);
	sigaddset(&mask, SIGTERM);
	sigaddset(&mask, SIGINT);
	sigaddset(&mask, SIGCHLD);
	signal(SIGPIPE, SIG_IGN);
	pthread_sigmask(SIG_BLOCK, &mask, &serve->old_mask);
	serve->signals.fd = signalfd(-1, &mask, SFD_NONBLOCK | SFD_CLOEXEC);
	if (serve->signals.fd < 0)
		return err_set(e, -errno, TAP_EXIT_SYSTEM, "cannot take signals: %s",
			       strerror(errno));
	return 0;
}

static int write_pidfile(const char *path, struct err *e)
{
	FILE *file = fopen(path, "we");
	bool failed = !file || fprintf(file, "%d\n", (int)getpid()) < 0;

	if (file && fclose(file))
		failed = true;
	if (failed)
		return err_set(e, -errno, TAP_EXIT_SYSTEM, "cannot write '%s': %s", path,
			       strerror(errno));
	return 0;
}

static int say_ready(struct serve *serve, struct err *e)
{
	const struct config *config = &serve->config;

	if (config->pidfile && write_pidfile(config->pidfile, e) < 0)
		return -EIO;
	serve->wrote_pidfile = config->pidfile;
	if (config->ready_fd >= 0) {
		if (write(config->ready_fd, "\n", 1) != 1)
			return err_set(e, -errno, TAP_EXIT_SYSTEM,
				       "cannot write to descriptor %d: %s", config->ready_fd,
				       strerror(errno));
		close(config->ready_fd);
	}
#ifdef HAVE_SYSTEMD
	sd_notify(0, "READY=1");
#endif
	return config->run ? start_child(serve, e) : 0;
}

struct json_list {
	struct json_object *envelope;
	const struct config *config;
};

static int json_disk(const struct disk *disk, void *opaque)
{
	const struct json_list *list = opaque;
	struct json_object *item = json_object_new_object();

	if (!item)
		return -ENOMEM;
	json_set_text(item, "disk", disk->name);
	json_set_number(item, "domid", disk->domid);
	json_set_number(item, "vdev", disk->vdev);
	json_set_text(item, "kind", disk->kind);
	json_set_number(item, "pid", (uint64_t)getpid());
	json_set_text(item, "data_path", data_path_name(list->config->server.data_path));
	return json_item(list->envelope, item);
}

static int print_json(struct serve *serve, const struct err *e)
{
	struct json_list list = {json_envelope(tool.name), &serve->config};

	if (!list.envelope)
		return -ENOMEM;
	if (serve->server)
		server_each(serve->server, json_disk, &list);
	if (e)
		json_error(list.envelope, e);
	return json_print(list.envelope, stdout);
}

/* On failure *disk is what the message is about, if about one. */
static int add_disks(struct serve *serve, char **names, const char **disk, struct err *e)
{
	if (serve->config.all)
		return server_add_all(serve->server, e);
	for (; *names; names++) {
		struct address address;
		struct disk found;
		int ret;

		*disk = *names;
		ret = address_parse(*names, &address, e);
		if (!ret)
			ret = disk_resolve(server_store(serve->server), &address, &found, e);
		if (!ret)
			ret = server_add(serve->server, &found, e);
		if (ret < 0)
			return ret;
	}
	*disk = NULL;
	return 0;
}

static int serve_all(struct serve *serve, char **names, const char **disk, struct err *e)
{
	int ret = block_signals(serve, e);

	if (!ret)
		ret = server_open(&serve->server, &serve->config.server, e);
	if (!ret) {
		serve->signals.ready = signal_ready;
		serve->signals.owner = serve;
		ret = loop_add(server_loop(serve->server), &serve->signals, EPOLLIN);
		if (ret < 0)
			err_set(e, ret, TAP_EXIT_SYSTEM, "cannot wait for signals: %s",
				strerror(-ret));
	}
	if (!ret)
		ret = add_disks(serve, names, disk, e);
	if (!ret && serve->config.json)
		ret = print_json(serve, NULL);
	if (!ret)
		ret = say_ready(serve, e);
	if (!ret)
		ret = server_run(serve->server, e);
	return ret;
}

int main(int argc, char **argv)
{
	struct serve serve = {.config = {.ready_fd = -1}};
	struct log log = {.line = log_to_stderr, .opaque = &serve.config};
	const char *disk = NULL;
	struct err e = {0};
	int first, ret, status;

	serve.config.server = (struct server_options){.kind = KIND_DEFAULT,
						      .data_path = DATA_PATH_AUTO,
						      .keep_pages = PAGES_KEEP_DEFAULT,
						      .keep_idle_ns = PAGES_KEEP_IDLE_DEFAULT,
						      .log = &log};
	ret = opt_parse(&tool, argc, argv, false, take_option, &serve.config, &first, &e);
	if (ret > 0)
		return opt_finish(&tool, 0);
	if (!ret && serve.config.all == (first < argc)) {
		ret = err_set(&e, -EINVAL, TAP_EXIT_USAGE,
			      serve.config.all ? "--all takes no disks" : "no disk named");
		err_hint(&e, "try 'tap-serve --help'");
	}
	if (ret < 0) {
		if (serve.config.json)
			print_json(&serve, &e);
		return err_print(stderr, tool.name, NULL, &e);
	}

	ret = serve_all(&serve, argv + first, &disk, &e);
	status = serve.child_status;
	if (ret < 0) {
		if (serve.config.json)
			print_json(&serve, &e);
		status = err_print(stderr, tool.name, disk, &e);
	}
	if (serve.server) {
		loop_remove(server_loop(serve.server), &serve.signals);
		server_close(serve.server);
	}
	if (serve.wrote_pidfile)
		unlink(serve.config.pidfile);
	return opt_finish(&tool, status);
}
