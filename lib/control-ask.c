/* SPDX-License-Identifier: MIT */
/*
 * The asking end of the control socket.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "control.h"
#include "control-path.h"
#include "num.h"

#define NS_PER_S 1000000000u

static bool forever(uint64_t deadline_ns)
{
	return deadline_ns == UINT64_MAX;
}

static uint64_t left_ns(uint64_t deadline_ns)
{
	uint64_t now = now_ns();

	return deadline_ns > now ? deadline_ns - now : 0;
}

/* A server that is stopped leaves the queue of those who connect full: that wait ends, too. */
static int connect_until(int fd, const struct control_path *path, uint64_t deadline_ns)
{
	uint64_t left = left_ns(deadline_ns);
	struct timeval wait = {
		.tv_sec = (time_t)(left / NS_PER_S),
		.tv_usec = (suseconds_t)(left % NS_PER_S / 1000),
	};

	if (!left)
		return -ETIMEDOUT;
	if (!wait.tv_sec && !wait.tv_usec)
		wait.tv_usec = 1; /* 0 would mean for ever */
	if (!forever(deadline_ns) && setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof(wait)))
		return -errno;
	if (!connect(fd, (const struct sockaddr *)&path->address, sizeof(path->address)))
		return 0;
	return errno == EAGAIN ? -ETIMEDOUT : -errno;
}

/* Wait for the answer; returns its length, 0 when the server hung up. */
static ssize_t receive_until(int fd, char *buf, size_t buf_bytes, uint64_t deadline_ns)
{
	struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
	ssize_t n;
	int ready;

	do {
		uint64_t left = left_ns(deadline_ns);
		struct timespec wait = {
			.tv_sec = (time_t)(left / NS_PER_S),
			.tv_nsec = (long)(left % NS_PER_S),
		};

		ready = ppoll(&poll_fd, 1, forever(deadline_ns) ? NULL : &wait, NULL);
	} while (ready < 0 && errno == EINTR);
	if (ready < 0)
		return -errno;
	if (!ready)
		return -ETIMEDOUT;
	n = recv(fd, buf, buf_bytes, MSG_DONTWAIT);
	return n < 0 ? -errno : n;
}

static int errno_of_exit(enum tap_exit status)
{
	switch (status) {
	case TAP_EXIT_USAGE:
		return -EINVAL;
	case TAP_EXIT_NONE:
		return -ENOENT;
	case TAP_EXIT_BUSY:
		return -EBUSY;
	case TAP_EXIT_TIMEOUT:
		return -ETIMEDOUT;
	case TAP_EXIT_DENIED:
		return -EPERM;
	case TAP_EXIT_REFUSED:
		return -ECANCELED;
	default:
		return -EIO;
	}
}

static int parse_answer(const char *answer, char text[static CONTROL_LINE_MAX], struct err *e)
{
	const char *rest;
	uint64_t status;

	if (!strcmp(answer, "ok") || !strncmp(answer, "ok ", 3)) {
		snprintf(text, CONTROL_LINE_MAX, "%s", answer[2] ? answer + 3 : "");
		return 0;
	}
	rest = strncmp(answer, "error ", 6) ? NULL : strchr(answer + 6, ' ');
	if (!rest || num_parse_bytes(answer + 6, (size_t)(rest - answer - 6), TAP_EXIT_FOUND,
				     TAP_EXIT_SYSTEM, &status))
		return err_set(e, -EPROTO, TAP_EXIT_SYSTEM,
			       "cannot understand the server's answer '%.64s'", answer);
	return err_set(e, errno_of_exit((enum tap_exit)status), (enum tap_exit)status, "%s",
		       rest + 1);
}

static int ask_failed(const struct disk *disk, int ret, struct err *e)
{
	switch (ret) {
	case -ENOENT:
	case -ECONNREFUSED:
		err_set(e, -ENOENT, TAP_EXIT_NONE, "cannot ask the server: nobody serves %s",
			disk->name);
		err_hint(e, "tap-serve %s", disk->name);
		return -ENOENT;
	case -ETIMEDOUT:
		return err_set(e, ret, TAP_EXIT_TIMEOUT,
			       "cannot ask the server: no answer in time");
	default:
		return err_set(e, ret, err_exit_of(ret), "cannot ask the server: %s",
			       strerror(-ret));
	}
}

static int ask(int fd, const struct control_path *path, const char *command, uint64_t deadline_ns,
	       char answer[static CONTROL_LINE_MAX])
{
	ssize_t n;
	int ret = connect_until(fd, path, deadline_ns);

	if (ret)
		return ret;
	if (send(fd, command, strlen(command), MSG_NOSIGNAL) < 0)
		return errno == EAGAIN ? -ETIMEDOUT : -errno;
	n = receive_until(fd, answer, CONTROL_LINE_MAX - 1, deadline_ns);
	if (n <= 0)
		return n < 0 ? (int)n : -ECONNRESET;
	answer[n] = '\0';
	return 0;
}

int control_ask(const struct disk *disk, const char *command, uint64_t deadline_ns,
		char text[static CONTROL_LINE_MAX], struct err *e)
{
	struct control_path path;
	char answer[CONTROL_LINE_MAX];
	int ret = control_path_open(&path, disk), fd;

	if (ret)
		return ask_failed(disk, ret, e);
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	ret = fd < 0 ? -errno : ask(fd, &path, command, deadline_ns, answer);
	if (fd >= 0)
		close(fd);
	control_path_close(&path);
	return ret ? ask_failed(disk, ret, e) : parse_answer(answer, text, e);
}
