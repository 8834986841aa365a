/* SPDX-License-Identifier: MIT */
#include "hv.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "folder.h"
#include "hv-state.h"

int hv_watch(struct hv *hv, struct source *source, uint32_t events)
{
	struct epoll_event e = {.events = events, .data.ptr = source};

	return epoll_ctl(hv->epoll, EPOLL_CTL_ADD, source->fd, &e) < 0 ? -errno : 0;
}

void hv_rewatch(struct hv *hv, struct source *source, uint32_t events)
{
	struct epoll_event e = {.events = events, .data.ptr = source};

	epoll_ctl(hv->epoll, EPOLL_CTL_MOD, source->fd, &e);
}

void hv_unwatch(struct hv *hv, struct source *source)
{
	epoll_ctl(hv->epoll, EPOLL_CTL_DEL, source->fd, NULL);
	close(source->fd);
	source->fd = -1;
}

int hv_listen(const struct hv *hv, const char *name, int type)
{
	struct sockaddr_un at = {.sun_family = AF_UNIX};
	int n = snprintf(at.sun_path, sizeof(at.sun_path), "%s/%s", hv->config->dir, name);
	int fd, ret;

	if (n < 0 || (size_t)n >= sizeof(at.sun_path))
		return -ENAMETOOLONG;
	fd = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	if (bind(fd, (struct sockaddr *)&at, sizeof(at)) == 0 && listen(fd, SOMAXCONN) == 0)
		return fd;
	ret = -errno;
	close(fd);
	return ret;
}

void hv_tell(const struct hv *hv, enum hv_word word, int value)
{
	struct hv_note note = {word, value};

	/* Nobody listens any more: the loop learns that from the socket's end. */
	(void)!send(hv->control.fd, &note, sizeof(note), MSG_NOSIGNAL);
}

static void control_ready(struct hv *hv, struct source *source, uint32_t events)
{
	struct hv_note note;
	ssize_t n = recv(source->fd, &note, sizeof(note), MSG_DONTWAIT);
	int ret;

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n != sizeof(note)) {
		/* tap-sim is gone. The descriptor stays open, out of the loop: hv_tell() may use
		 * it. */
		epoll_ctl(hv->epoll, EPOLL_CTL_DEL, source->fd, NULL);
		process_end_all(hv, true);
		return;
	}
	ret = note.word == HV_RUN ? process_start_command(hv) : -EPROTO;
	if (ret < 0)
		hv_tell(hv, HV_FAILED, -ret);
}

static int start(struct hv *hv, int control)
{
	int ret;

	hv->epoll = epoll_create1(EPOLL_CLOEXEC);
	hv->ends = epoll_create1(EPOLL_CLOEXEC);
	if (hv->epoll < 0 || hv->ends < 0)
		return -errno;
	hv->control = (struct source){control, control_ready};
	ret = hv_watch(hv, &hv->control, EPOLLIN);
	if (ret < 0)
		return ret;
	ret = process_signals(hv);
	if (ret < 0)
		return ret;
	ret = memory_open(hv);
	if (ret < 0)
		return ret;
	hv->listener = (struct source){hv_listen(hv, SIM_SOCKET, SOCK_SEQPACKET), conn_accept};
	if (hv->listener.fd < 0)
		return hv->listener.fd;
	ret = hv_watch(hv, &hv->listener, EPOLLIN);
	for (uint32_t domid = 0; ret >= 0 && domid <= hv->config->domains; domid++)
		ret = domain_create(hv, domid);
	return ret < 0 ? ret : process_start_xenstored(hv);
}

/* One event per turn: a handler may free the source of the next. */
static void loop(struct hv *hv)
{
	while (!hv->done) {
		struct epoll_event e;
		int n = epoll_wait(hv->epoll, &e, 1, -1);

		if (n == 1) {
			struct source *source = e.data.ptr;
			source->ready(hv, source, e.events);
		}
	}
}

int hv_main(const struct sim_config *config, int control)
{
	static struct hv hv;
	int ret;

	hv = (struct hv){.config = config, .grace.fd = -1};
	ret = start(&hv, control);
	if (ret < 0) {
		hv_tell(&hv, HV_FAILED, -ret);
		process_end_all(&hv, true);
	}
	loop(&hv);
	folder_remove(config->dir);
	hv_tell(&hv, HV_ENDED, hv.command_status);
	return ret < 0;
}
