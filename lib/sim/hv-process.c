/* SPDX-License-Identifier: MIT */
/* The processes of a simulator: xenstored, COMMAND, and whatever COMMAND leaves behind. */
#include "hv-state.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "calls.h"
#include "descendants.h"

#define GRACE_S 2 /* for daemons that COMMAND has left, between SIGTERM and SIGKILL */

/* Add a word to a list in the environment: LD_PRELOAD, ASAN_OPTIONS. */
static void env_append(const char *name, const char *word, const char *separator)
{
	const char *old = getenv(name);
	char *joined;

	if (!old || !*old) {
		setenv(name, word, 1);
		return;
	}
	if (asprintf(&joined, "%s%s%s", word, separator, old) < 0)
		_exit(127);
	setenv(name, joined, 1);
	free(joined);
}

static void env_below(const char *dir, const char *name, const char *sub)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/%s", dir, sub);
	setenv(name, path, 1);
}

/* In a new child, before its exec. */
static void child_environment(const struct sim_config *config)
{
	setenv("TAP_SIM_DIR", config->dir, 1);
	env_below(config->dir, "XENSTORED_PATH", "xenstored/socket");
	env_below(config->dir, "XENSTORED_RUNDIR", "xenstored");
	env_below(config->dir, "XENSTORED_ROOTDIR", "xenstored");
	env_below(config->dir, "TAPTOOLS_RUNDIR", "run");
	env_append("LD_PRELOAD", config->library, ":");
	/* AddressSanitizer wants to stand first in that list, and can do without. */
	env_append("ASAN_OPTIONS", "verify_asan_link_order=0", ":");
}

static void child_signals(pid_t parent)
{
	sigset_t none;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(127);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	for (int s = 1; s < NSIG; s++)
		signal(s, SIG_DFL);
}

/* An exec that fails tells its errno through a pipe that a successful one closes. */
static void child_exec(const char *path, char *const *argv, int failed)
{
	int error;

	execvp(path, argv);
	error = errno;
	(void)!write(failed, &error, sizeof(error));
	_exit(127);
}

static int await_exec(int failed)
{
	int error = 0;
	ssize_t n;

	do
		n = read(failed, &error, sizeof(error));
	while (n < 0 && errno == EINTR);
	close(failed);
	return n == (ssize_t)sizeof(error) ? -error : 0;
}

static int make_dirs(const struct sim_config *config)
{
	static const char *const names[] = {"xenstored", "run", SIM_CALLS_DIR};
	char path[256];

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		snprintf(path, sizeof(path), "%s/%s", config->dir, names[i]);
		if (mkdir(path, 0700) < 0)
			return -errno;
	}
	return 0;
}

static void xenstored_ready(struct hv *hv, struct source *source, uint32_t events)
{
	char byte;
	ssize_t n = read(source->fd, &byte, 1);

	hv_unwatch(hv, source);
	/* Without the byte it has died: its wait status tells. */
	if (n == 1)
		hv_tell(hv, HV_READY, hv->xenstored);
}

static void exec_xenstored(const struct sim_config *config, pid_t parent, int ready, int failed)
{
	char *argv[] = {"xenstored", "--no-fork", NULL};
	char number[16];
	int null = open("/dev/null", O_RDWR);

	setpgid(0, 0); /* out of the way of the terminal's signals */
	child_signals(parent);
	child_environment(config);
	unsetenv("TAP_SIM_FAIL");
	unsetenv("TAP_SIM_DOMID");
	fcntl(ready, F_SETFD, 0);
	snprintf(number, sizeof(number), "%d", ready);
	setenv("TAP_SIM_READY_FD", number, 1);
	dup2(null, STDIN_FILENO);
	dup2(null, STDOUT_FILENO);
	child_exec(config->xenstored, argv, failed);
}

int process_start_xenstored(struct hv *hv)
{
	int ready[2], failed[2], ret = make_dirs(hv->config);
	pid_t self = getpid();

	if (ret < 0)
		return ret;
	if (pipe2(ready, O_CLOEXEC) < 0 || pipe2(failed, O_CLOEXEC) < 0)
		return -errno;
	hv->xenstored = fork();
	if (hv->xenstored < 0)
		return -errno;
	if (!hv->xenstored)
		exec_xenstored(hv->config, self, ready[1], failed[1]);
	close(ready[1]);
	close(failed[1]);
	hv->xenstored_ready = (struct source){ready[0], xenstored_ready};
	ret = hv_watch(hv, &hv->xenstored_ready, EPOLLIN);
	return ret < 0 ? ret : await_exec(failed[0]);
}

int process_start_command(struct hv *hv)
{
	pid_t self = getpid();
	int failed[2], ret;

	if (pipe2(failed, O_CLOEXEC) < 0)
		return -errno;
	hv->command = fork();
	if (hv->command < 0)
		return -errno;
	if (!hv->command) {
		setpgid(0, hv->config->process_group);
		child_signals(self);
		child_environment(hv->config);
		child_exec(hv->config->command[0], hv->config->command, failed[1]);
	}
	close(failed[1]);
	ret = await_exec(failed[0]);
	if (ret == 0)
		hv_tell(hv, HV_STARTED, hv->command);
	return ret;
}

/* One step towards the end: each child that goes, and the end of the grace, call it again. */
static void end_step(struct hv *hv, int signal)
{
	if (descendants_signal(signal, hv->xenstored) > 0)
		return;
	if (hv->xenstored) {
		kill(hv->xenstored, SIGKILL);
		return;
	}
	hv->done = true;
}

static void grace_over(struct hv *hv, struct source *source, uint32_t events)
{
	hv_unwatch(hv, source);
	end_step(hv, SIGKILL);
}

void process_end_all(struct hv *hv, bool at_once)
{
	struct itimerspec grace = {.it_value.tv_sec = GRACE_S};
	bool before = hv->ending;

	hv->ending = true;
	if (!at_once && !before) {
		hv->grace =
			(struct source){timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC), grace_over};
		if (hv->grace.fd >= 0) {
			timerfd_settime(hv->grace.fd, 0, &grace, NULL);
			hv_watch(hv, &hv->grace, EPOLLIN);
		}
	} else if (hv->grace.fd >= 0) {
		hv_unwatch(hv, &hv->grace);
	}
	end_step(hv, at_once ? SIGKILL : SIGTERM);
}

static void xenstored_gone(struct hv *hv, int status)
{
	hv->xenstored = 0;
	for (uint32_t domid = 1; domid < SIM_DOMAINS; domid++)
		if (hv->domains[domid].xenbus)
			xenbus_close(hv, &hv->domains[domid]);
	if (!hv->ending)
		hv_tell(hv, HV_XENSTORED_GONE, status);
}

static void child_gone(struct hv *hv, struct source *source, uint32_t events)
{
	struct signalfd_siginfo drained;
	int status;
	pid_t pid;

	(void)!read(source->fd, &drained, sizeof(drained));
	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		if (pid == hv->xenstored)
			xenstored_gone(hv, status);
		if (pid == hv->command) {
			hv->command = 0;
			hv->command_status = status;
			process_end_all(hv, false);
		}
	}
	/* Nothing is asked twice while the grace lasts: only look whether it is over early. */
	if (hv->ending)
		end_step(hv, hv->grace.fd >= 0 ? 0 : SIGKILL);
}

int process_signals(struct hv *hv)
{
	sigset_t set;
	int fd;

	prctl(PR_SET_CHILD_SUBREAPER, 1);
	setpgid(0, 0);
	for (int s = 1; s < NSIG; s++)
		signal(s, SIG_IGN);
	signal(SIGCHLD, SIG_DFL);
	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigprocmask(SIG_SETMASK, &set, NULL);
	fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (fd < 0)
		return -errno;
	hv->signals = (struct source){fd, child_gone};
	return hv_watch(hv, &hv->signals, EPOLLIN);
}
