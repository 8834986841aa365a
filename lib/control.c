/* SPDX-License-Identifier: MIT */
/*
 * The server's end of the control socket. Nothing here waits: a client is read when it has said
 * something, answered in one message that fits any socket buffer, and let go.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "control.h"
#include "control-path.h"
#include "num.h"

#define CLIENTS_MAX 8

struct client {
	struct loop_source source; /* fd -1: free */
	uint64_t arrival;	   /* who is the oldest */
};

struct control {
	struct loop *loop;
	struct loop_source listener;
	struct control_path path;
	control_fn *answer;
	void *opaque;
	uint64_t arrivals;
	struct client client[CLIENTS_MAX];
};

static void dismiss(struct control *control, struct client *client)
{
	if (client->source.fd < 0)
		return;
	loop_remove(control->loop, &client->source);
	close(client->source.fd);
	client->source.fd = -1;
}

static bool is_line(const char *text, size_t length)
{
	for (size_t i = 0; i < length; i++) {
		unsigned char c = (unsigned char)text[i];

		if (c < 0x20 || c >= 0x7f)
			return false;
	}
	return length > 0;
}

static void answer_command(struct control *control, int fd, char *command, size_t length)
{
	char answer[CONTROL_LINE_MAX] = "";

	if (length < CONTROL_LINE_MAX && is_line(command, length)) {
		command[length] = '\0';
		control->answer(control->opaque, command, answer);
	} else {
		snprintf(answer, sizeof(answer), "error %d not a command", TAP_EXIT_USAGE);
	}
	/* A client that is gone, or takes nothing, goes without. */
	(void)!send(fd, answer, strnlen(answer, sizeof(answer) - 1), MSG_DONTWAIT | MSG_NOSIGNAL);
}

static void client_ready(struct loop_source *source, uint32_t events)
{
	struct control *control = source->owner;
	struct client *client = (struct client *)source;
	char command[CONTROL_LINE_MAX];
	/* MSG_TRUNC: the length it had, though only the buffer's worth is kept. */
	ssize_t n = recv(source->fd, command, sizeof(command), MSG_DONTWAIT | MSG_TRUNC);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n > 0)
		answer_command(control, source->fd, command, (size_t)n);
	dismiss(control, client);
}

/* A free place; when there is none, that of the client who has been silent longest. */
static struct client *make_place(struct control *control)
{
	struct client *oldest = &control->client[0];

	for (size_t i = 0; i < CLIENTS_MAX; i++) {
		struct client *client = &control->client[i];

		if (client->source.fd < 0)
			return client;
		if (client->arrival < oldest->arrival)
			oldest = client;
	}
	dismiss(control, oldest);
	return oldest;
}

static void listener_ready(struct loop_source *source, uint32_t events)
{
	struct control *control = source->owner;
	int fd = accept4(source->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	struct client *client;

	if (fd < 0)
		return;
	client = make_place(control);
	client->arrival = ++control->arrivals;
	client->source = (struct loop_source){.fd = fd, .ready = client_ready, .owner = control};
	if (loop_add(control->loop, &client->source, EPOLLIN)) {
		close(fd);
		client->source.fd = -1;
	}
}

static int listen_at(struct control *control)
{
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -errno;
	control->listener = (struct loop_source){
		.fd = fd,
		.ready = listener_ready,
		.owner = control,
	};
	/* The claim is ours, so a socket that is there belonged to a server that is gone. */
	if (unlink(control->path.file) && errno != ENOENT)
		return -errno;
	/* Before bind(), so that there is no moment in which others may connect. */
	if (fchmod(fd, 0600))
		return -errno;
	if (bind(fd, (struct sockaddr *)&control->path.address, sizeof(control->path.address)))
		return -errno;
	return listen(fd, CLIENTS_MAX) ? -errno : 0;
}

int control_open(struct control **out, const struct disk *disk, struct loop *loop,
		 control_fn *answer, void *opaque)
{
	struct control *control = calloc(1, sizeof(*control));
	int ret;

	if (!control)
		return -ENOMEM;
	control->loop = loop;
	control->answer = answer;
	control->opaque = opaque;
	control->listener.fd = -1;
	for (size_t i = 0; i < CLIENTS_MAX; i++)
		control->client[i].source.fd = -1;
	ret = control_path_open(&control->path, disk);
	if (!ret)
		ret = listen_at(control);
	if (!ret)
		ret = loop_add(loop, &control->listener, EPOLLIN);
	control_path_close(&control->path);
	if (ret) {
		if (control->listener.fd >= 0)
			close(control->listener.fd);
		free(control);
		return ret;
	}
	*out = control;
	return 0;
}

void control_close(struct control *control)
{
	if (!control)
		return;
	for (size_t i = 0; i < CLIENTS_MAX; i++)
		dismiss(control, &control->client[i]);
	loop_remove(control->loop, &control->listener);
	close(control->listener.fd);
	unlink(control->path.file);
	free(control);
}
