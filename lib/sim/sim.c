/* SPDX-License-Identifier: MIT */
/*
 * Three processes watch each other, so that none can die and leave the rest: this one sees the end
 * of the hypervisor, the hypervisor sees the end of this one, and either can find all that runs
 * below.
 */
#include "sim/sim.h"

#include <errno.h>
#include <glob.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sim/descendants.h"
#include "sim/folder.h"
#include "sim/guests.h"
#include "sim/hv.h"
#include "version.h"

struct run {
	struct sim_config config;
	int control; /* to the hypervisor */
	int signals;
	pid_t hypervisor;
	bool asked;	  /* to start COMMAND */
	pid_t command;	  /* known once it has started */
	int early_signal; /* came between the two */
	bool ended;
	int wait_status;
};

/* The folder that this program is in. */
static int own_folder(char dir[static PATH_MAX])
{
	ssize_t n = readlink("/proc/self/exe", dir, PATH_MAX - 1);

	if (n < 0)
		return -errno;
	dir[n] = 0;
	*strrchr(dir, '/') = 0;
	return 0;
}

static int find_library(struct sim_config *config, const char *dir, struct err *e)
{
	const char *const folders[] = {dir, TAP_LIBDIR};

	for (size_t i = 0; i < sizeof(folders) / sizeof(folders[0]); i++) {
		int n = snprintf(config->library, sizeof(config->library), "%s/libtapsim.so",
				 folders[i]);
		if (n > 0 && (size_t)n < sizeof(config->library) &&
		    access(config->library, R_OK) == 0)
			return 0;
	}
	return err_set(e, -ENOENT, TAP_EXIT_SYSTEM, "cannot find libtapsim.so in '%s' or '%s'", dir,
		       TAP_LIBDIR);
}

/* The last of the matches: a newer Xen's name sorts behind an older one's. */
static bool last_match(const char *pattern, char *out, size_t out_bytes)
{
	glob_t found;
	bool yes = glob(pattern, 0, NULL, &found) == 0 && found.gl_pathc;

	if (yes)
		snprintf(out, out_bytes, "%s", found.gl_pathv[found.gl_pathc - 1]);
	globfree(&found);
	return yes;
}

static int find_xenstored(struct sim_config *config, const char *dir, struct err *e)
{
	static const char below[] = "usr/lib/xen-*/bin/xenstored";
	const char *chosen = getenv("TAP_SIM_XENSTORED");
	char pattern[PATH_MAX + sizeof(below) + 8];
	int ret;

	if (chosen && *chosen) {
		snprintf(config->xenstored, sizeof(config->xenstored), "%s", chosen);
		return 0;
	}
	snprintf(pattern, sizeof(pattern), "%s/xen/%s", dir, below);
	if (last_match(pattern, config->xenstored, sizeof(config->xenstored)))
		return 0;
	snprintf(pattern, sizeof(pattern), "/%s", below);
	if (last_match(pattern, config->xenstored, sizeof(config->xenstored)))
		return 0;
	ret = err_set(e, -ENOENT, TAP_EXIT_NONE, "cannot find xenstored as '%s'", pattern);
	err_hint(e, "install xen-utils-4.*, or name the program in TAP_SIM_XENSTORED");
	return ret;
}

/* The signals that ask to end are handed on to COMMAND; those of a terminal's keys reach it anyway.
 */
static int watch_signals(struct run *run)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGQUIT);
	if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
		return -errno;
	run->signals = signalfd(-1, &set, SFD_CLOEXEC);
	return run->signals < 0 ? -errno : 0;
}

static int fork_hypervisor(struct run *run)
{
	int pair[2];

	/* Orphans of COMMAND come here when the hypervisor is killed. */
	if (prctl(PR_SET_CHILD_SUBREAPER, 1) < 0 ||
	    socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	run->hypervisor = fork();
	if (run->hypervisor < 0)
		return -errno;
	if (!run->hypervisor) {
		close(pair[0]);
		close(run->signals);
		_exit(hv_main(&run->config, pair[1]));
	}
	close(pair[1]);
	run->control = pair[0];
	return 0;
}

static int hand_on_signal(struct run *run)
{
	struct signalfd_siginfo si;

	if (read(run->signals, &si, sizeof(si)) != sizeof(si))
		return -EIO;
	if (!run->asked)
		return -EINTR;
	if (si.ssi_signo != SIGTERM && si.ssi_signo != SIGHUP)
		return 0;
	if (run->command)
		kill(run->command, (int)si.ssi_signo);
	else
		run->early_signal = (int)si.ssi_signo;
	return 0;
}

/* Returns 1 with a note, 0 when the hypervisor is gone, or a negative errno. */
static int next_note(struct run *run, struct hv_note *note)
{
	struct pollfd fds[] = {{run->control, POLLIN, 0}, {run->signals, POLLIN, 0}};
	ssize_t n;

	for (;;) {
		int ret = 0;

		if (poll(fds, 2, -1) < 0 && errno != EINTR)
			return -errno;
		if (fds[0].revents)
			break;
		if (fds[1].revents)
			ret = hand_on_signal(run);
		if (ret < 0)
			return ret;
	}
	n = recv(run->control, note, sizeof(*note), 0);
	if (n < 0)
		return -errno;
	return n == sizeof(*note);
}

static int command_failed(struct run *run, int error, struct err *e)
{
	const char *name = run->config.command[0];

	return err_set(e, -error, error == ENOENT ? TAP_EXIT_NONE : err_exit_of(-error),
		       "cannot run '%s': %s", name, strerror(error));
}

static int introduce(struct run *run, struct err *e)
{
	struct hv_note go = {HV_RUN, 0};
	char path[256];
	int ret;

	snprintf(path, sizeof(path), "%s/xenstored/socket", run->config.dir);
	setenv("XENSTORED_PATH", path, 1);
	ret = guests_introduce(run->config.domains, e);
	if (ret < 0)
		return ret;
	run->asked = true;
	if (send(run->control, &go, sizeof(go), MSG_NOSIGNAL) < 0)
		return err_set(e, -errno, TAP_EXIT_SYSTEM, "the simulated hypervisor was killed");
	return 0;
}

/* From the start of xenstored to the end of COMMAND. */
static int follow(struct run *run, struct err *e)
{
	while (!run->ended) {
		struct hv_note note = {0};
		int ret = next_note(run, &note);

		if (ret == -EINTR)
			return err_set(e, ret, TAP_EXIT_SYSTEM, "stopped by a signal");
		if (ret <= 0)
			return err_set(e, -EPIPE, TAP_EXIT_SYSTEM,
				       "the simulated hypervisor was killed");
		if (note.word == HV_READY) {
			ret = introduce(run, e);
			if (ret < 0)
				return ret;
		} else if (note.word == HV_STARTED) {
			run->command = note.value;
			if (run->early_signal)
				kill(run->command, run->early_signal);
		} else if (note.word == HV_ENDED) {
			run->ended = true;
			run->wait_status = note.value;
		} else if (note.word == HV_FAILED && run->asked) {
			return command_failed(run, note.value, e);
		} else if (note.word == HV_FAILED) {
			return err_set(e, -note.value, err_exit_of(-note.value),
				       "cannot start '%s': %s", run->config.xenstored,
				       strerror(note.value));
		} else if (note.word == HV_XENSTORED_GONE && !run->asked) {
			return err_set(e, -ECHILD, TAP_EXIT_SYSTEM,
				       "'%s' ended with wait status %#x before it was ready",
				       run->config.xenstored, note.value);
		} /* later on, COMMAND is the one to notice */
	}
	return 0;
}

/* Whatever happened: the hypervisor ends at the end of the socket, and if it cannot, this does. */
static void clean_up(struct run *run)
{
	close(run->control);
	while (waitpid(run->hypervisor, NULL, 0) < 0 && errno == EINTR)
		;
	while (descendants_signal(SIGKILL, 0) > 0)
		(void)waitpid(-1, NULL, 0);
	while (waitpid(-1, NULL, 0) > 0)
		;
	folder_remove(run->config.dir);
}

static int exit_status(int wait_status)
{
	if (WIFSIGNALED(wait_status))
		return 128 + WTERMSIG(wait_status);
	return WEXITSTATUS(wait_status);
}

int sim_run(unsigned domains, char *const *command, int *status, struct err *e)
{
	struct run run = {
		.config = {.domains = domains, .command = command, .process_group = getpgrp()}};
	char dir[PATH_MAX];
	int ret = own_folder(dir);

	if (ret < 0)
		return err_set(e, ret, TAP_EXIT_SYSTEM, "cannot read /proc/self/exe: %s",
			       strerror(-ret));
	ret = find_library(&run.config, dir, e);
	if (ret >= 0)
		ret = find_xenstored(&run.config, dir, e);
	if (ret < 0)
		return ret;
	ret = folder_make(run.config.dir, sizeof(run.config.dir));
	if (ret < 0)
		return err_set(e, ret, TAP_EXIT_SYSTEM, "cannot make a private folder: %s",
			       strerror(-ret));
	ret = watch_signals(&run);
	if (ret >= 0)
		ret = fork_hypervisor(&run);
	if (ret < 0) {
		folder_remove(run.config.dir);
		return err_set(e, ret, TAP_EXIT_SYSTEM, "cannot start the hypervisor: %s",
			       strerror(-ret));
	}
	ret = follow(&run, e);
	clean_up(&run);
	if (ret >= 0)
		*status = exit_status(run.wait_status);
	return ret;
}
