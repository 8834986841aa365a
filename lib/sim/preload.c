/* SPDX-License-Identifier: MIT */
#include "preload.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <fcntl.h>
#include <unistd.h>

const char *sim_dir(void)
{
	return getenv("TAP_SIM_DIR");
}

uint32_t sim_domid(void)
{
	const char *text = getenv("TAP_SIM_DOMID");
	uint32_t domid = 0;

	if (!text || !*text)
		return 0;
	for (; *text; text++) {
		if (*text < '0' || *text > '9' || domid >= SIM_DOMAINS)
			return SIM_NONE;
		domid = domid * 10 + (uint32_t)(*text - '0');
	}
	return domid;
}

/* A process finds the XenStore of the domain it is in: xenstored's own socket, or the guest's ring.
 */
__attribute__((constructor)) static void choose_xenstore(void)
{
	const char *dir = sim_dir();
	uint32_t domid = sim_domid();
	char path[sizeof(((struct sockaddr_un *)0)->sun_path)];

	if (!dir)
		return;
	if (domid)
		snprintf(path, sizeof(path), "%s/xenbus-%u", dir, domid);
	else
		snprintf(path, sizeof(path), "%s/xenstored/socket", dir);
	setenv("XENSTORED_PATH", path, 1);
}

static int connect_hypervisor(void)
{
	struct sockaddr_un to = {.sun_family = AF_UNIX};
	const char *dir = sim_dir();
	int fd, n;

	if (!dir) {
		errno = ENOENT;
		return -1;
	}
	n = snprintf(to.sun_path, sizeof(to.sun_path), "%s/" SIM_SOCKET, dir);
	if (n < 0 || (size_t)n >= sizeof(to.sun_path)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -1;
	if (connect(fd, (struct sockaddr *)&to, sizeof(to)) < 0) {
		close(fd);
		return -1;
	}
	return fd;
}

int sim_open(struct sim_handle *h, enum sim_kind kind, bool close_on_exec)
{
	const char *command = program_invocation_short_name;
	struct sim_request hello = {.op = SIM_HELLO, .arg = {kind, sim_domid()}};
	struct wire_message reply;

	*h = (struct sim_handle){.fd = -1, .pid = getpid()};
	h->socket = connect_hypervisor();
	if (h->socket < 0)
		return -1;
	pthread_mutex_init(&h->lock, NULL);
	if (sim_call(h, &hello, command, strnlen(command, 15), &reply) < 0) {
		int saved = errno;
		close(h->socket);
		errno = saved;
		return -1;
	}
	h->fd = reply.fd;
	reply.fd = -1;
	wire_message_free(&reply);
	if (!close_on_exec) {
		fcntl(h->socket, F_SETFD, 0);
		fcntl(h->fd, F_SETFD, 0);
	}
	return 0;
}

void sim_close(struct sim_handle *h)
{
	struct sim_request release = {.op = SIM_RELEASE};
	struct sim_range *r;

	if (h->pid == getpid()) {
		while ((r = h->ranges)) {
			h->ranges = r->next;
			munmap(r->start, (size_t)r->count_pages * SIM_PAGE_BYTES);
			free(r);
		}
		if (h->memory)
			munmap(h->memory, (size_t)SIM_FRAMES * SIM_PAGE_BYTES);
		sim_call(h, &release, NULL, 0, NULL);
		pthread_mutex_destroy(&h->lock);
	}
	close(h->socket);
	if (h->fd >= 0)
		close(h->fd);
}

static int exchange(struct sim_handle *h, struct sim_request *request, const void *payload,
		    size_t bytes, struct wire_message *reply)
{
	int ret = wire_send_request(h->socket, request, payload, bytes);

	if (ret < 0)
		return ret;
	ret = wire_receive(h->socket, reply);
	if (ret == 0)
		return -EIO; /* the hypervisor is gone */
	return ret < 0 ? ret : reply->head.reply.ret;
}

int sim_call(struct sim_handle *h, struct sim_request *request, const void *payload, size_t bytes,
	     struct wire_message *reply)
{
	struct wire_message own = {.fd = -1};
	struct wire_message *to = reply ? reply : &own;
	int ret;

	*to = own;
	pthread_mutex_lock(&h->lock);
	ret = exchange(h, request, payload, bytes, to);
	pthread_mutex_unlock(&h->lock);
	if (ret < 0 || !reply)
		wire_message_free(to);
	if (ret >= 0)
		return 0;
	errno = -ret;
	return -1;
}

/* How many of the frames from @i on are neighbours: one mmap() serves them. */
static uint32_t run_length(const uint32_t *frames, uint32_t stride, uint32_t i, uint32_t count)
{
	uint32_t n = 1;

	while (i + n < count && frames[(size_t)(i + n) * stride] == frames[(size_t)i * stride] + n)
		n++;
	return n;
}

char *sim_map_frames(const struct sim_handle *h, const uint32_t *frames, uint32_t stride,
		     uint32_t count, int prot)
{
	size_t bytes = (size_t)count * SIM_PAGE_BYTES;
	char *start = mmap(NULL, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (start == MAP_FAILED)
		return NULL;
	for (uint32_t i = 0, n; i < count; i += n) {
		off_t offset = (off_t)frames[(size_t)i * stride] * SIM_PAGE_BYTES;

		n = run_length(frames, stride, i, count);
		if (mmap(start + (size_t)i * SIM_PAGE_BYTES, (size_t)n * SIM_PAGE_BYTES, prot,
			 MAP_SHARED | MAP_FIXED, h->fd, offset) == MAP_FAILED) {
			int saved = errno;
			munmap(start, bytes);
			errno = saved;
			return NULL;
		}
	}
	return start;
}

int sim_range_add(struct sim_handle *h, char *start, uint32_t count_pages, uint32_t id)
{
	struct sim_range *r = malloc(sizeof(*r));

	if (!r)
		return -1;
	pthread_mutex_lock(&h->lock);
	*r = (struct sim_range){h->ranges, start, count_pages, id};
	h->ranges = r;
	pthread_mutex_unlock(&h->lock);
	return 0;
}

bool sim_range_find(struct sim_handle *h, const void *start, uint32_t count_pages, uint32_t *id)
{
	struct sim_range *r;

	pthread_mutex_lock(&h->lock);
	for (r = h->ranges; r; r = r->next)
		if (r->start == start && r->count_pages == count_pages)
			break;
	if (r)
		*id = r->id;
	pthread_mutex_unlock(&h->lock);
	return r;
}

void sim_range_drop(struct sim_handle *h, uint32_t id)
{
	struct sim_range **at, *r;

	pthread_mutex_lock(&h->lock);
	for (at = &h->ranges; *at && (*at)->id != id;)
		at = &(*at)->next;
	r = *at;
	if (r)
		*at = r->next;
	pthread_mutex_unlock(&h->lock);
	free(r);
}
