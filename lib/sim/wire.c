/* SPDX-License-Identifier: MIT */
#include "wire.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

/* Both heads have one layout: a word, the payload's size, the arguments. */
_Static_assert(sizeof(struct sim_request) == sizeof(struct sim_reply), "heads differ");
_Static_assert(offsetof(struct sim_request, payload_bytes) ==
		       offsetof(struct sim_reply, payload_bytes),
	       "heads differ");

struct fd_box {
	_Alignas(struct cmsghdr) char bytes[CMSG_SPACE(sizeof(int))];
};

static int send_parts(int socket, struct iovec *parts, size_t count, int fd)
{
	struct fd_box box = {0};
	struct msghdr m = {.msg_iov = parts, .msg_iovlen = count};

	if (fd >= 0) {
		m.msg_control = box.bytes;
		m.msg_controllen = sizeof(box.bytes);
		struct cmsghdr *c = CMSG_FIRSTHDR(&m);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(c), &fd, sizeof(fd));
	}
	for (;;) {
		if (sendmsg(socket, &m, MSG_NOSIGNAL) >= 0)
			return 0;
		if (errno != EINTR)
			return -errno;
	}
}

/* A payload too large for a message: into a memfd. Returns it or a negative errno. */
static int payload_file(const void *payload, size_t bytes)
{
	int fd = memfd_create("tap-sim-payload", MFD_CLOEXEC);
	const char *from = payload;

	if (fd < 0)
		return -errno;
	for (size_t done = 0; done < bytes;) {
		ssize_t n = write(fd, from + done, bytes - done);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			int ret = n < 0 ? -errno : -EIO;
			close(fd);
			return ret;
		}
		done += (size_t)n;
	}
	return fd;
}

static int send_head(int socket, void *head, const void *payload, size_t bytes, int fd)
{
	struct iovec parts[2] = {
		{.iov_base = head, .iov_len = sizeof(struct sim_request)},
		{.iov_base = (void *)payload, .iov_len = bytes},
	};
	int file, ret;

	if (bytes <= SIM_INLINE_MAX)
		return send_parts(socket, parts, bytes ? 2 : 1, fd);
	if (fd >= 0)
		return -EINVAL;
	file = payload_file(payload, bytes);
	if (file < 0)
		return file;
	ret = send_parts(socket, parts, 1, file);
	close(file);
	return ret;
}

int wire_send_request(int socket, struct sim_request *request, const void *payload, size_t bytes)
{
	request->payload_bytes = (uint32_t)bytes;
	return send_head(socket, request, payload, bytes, -1);
}

int wire_send_reply(int socket, struct sim_reply *reply, const void *payload, size_t bytes, int fd)
{
	reply->payload_bytes = (uint32_t)bytes;
	return send_head(socket, reply, payload, bytes, fd);
}

static int fd_beside(struct msghdr *m)
{
	int fd = -1;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c))
		if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS)
			memcpy(&fd, CMSG_DATA(c), sizeof(fd));
	return fd;
}

/* Fetch a payload that came as a file. Takes the descriptor. */
static int read_payload_file(struct wire_message *message, size_t bytes)
{
	char *to = malloc(bytes);
	int fd = message->fd;
	size_t done = 0;

	message->fd = -1;
	while (to && done < bytes) {
		ssize_t n = pread(fd, to + done, bytes - done, (off_t)done);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		done += (size_t)n;
	}
	close(fd);
	message->owned = to;
	message->payload = to;
	if (!to)
		return -ENOMEM;
	return done == bytes ? 1 : -EPROTO;
}

int wire_receive(int socket, struct wire_message *message)
{
	struct fd_box box = {0};
	_Alignas(8) char buf[SIM_INLINE_MAX];
	struct iovec parts[2] = {
		{.iov_base = &message->head, .iov_len = sizeof(message->head)},
		{.iov_base = buf, .iov_len = sizeof(buf)},
	};
	struct msghdr m = {.msg_iov = parts,
			   .msg_iovlen = 2,
			   .msg_control = box.bytes,
			   .msg_controllen = sizeof(box.bytes)};
	size_t payload, inlined;
	ssize_t n;

	*message = (struct wire_message){.fd = -1};
	do
		n = recvmsg(socket, &m, MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	if (n <= 0)
		return n < 0 ? -errno : 0;
	message->fd = fd_beside(&m);
	if ((size_t)n < sizeof(message->head) || m.msg_flags & MSG_TRUNC)
		return -EPROTO;
	payload = message->head.request.payload_bytes;
	inlined = (size_t)n - sizeof(message->head);
	if (payload > SIM_INLINE_MAX)
		return message->fd < 0 ? -EPROTO : read_payload_file(message, payload);
	if (inlined != payload)
		return -EPROTO;
	if (!payload)
		return 1;
	message->owned = malloc(payload);
	if (!message->owned)
		return -ENOMEM;
	memcpy(message->owned, buf, payload);
	message->payload = message->owned;
	return 1;
}

void wire_message_free(struct wire_message *message)
{
	free(message->owned);
	if (message->fd >= 0)
		close(message->fd);
	*message = (struct wire_message){.fd = -1};
}
