/* SPDX-License-Identifier: MIT */
/* Connections from libtapsim.so: one per open handle. */
#include "hv-state.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

int conn_reply(const struct conn *conn, uint32_t arg, const void *payload, size_t bytes, int fd)
{
	struct sim_reply reply = {.arg = {arg}};

	return wire_send_reply(conn->source.fd, &reply, payload, bytes, fd);
}

static int reply_ret(const struct conn *conn, int ret)
{
	struct sim_reply reply = {.ret = ret};

	return wire_send_reply(conn->source.fd, &reply, NULL, 0, -1);
}

/* A bind returns a port or an error. */
static int reply_port(const struct conn *conn, int port)
{
	return port < 0 ? port : conn_reply(conn, (uint32_t)port, NULL, 0, -1);
}

static void release(struct hv *hv, struct conn *conn)
{
	if (conn->kind == SIM_KIND_GNTTAB)
		map_release(hv, conn);
	if (conn->kind == SIM_KIND_GNTSHR)
		share_release(hv, conn);
	if (conn->kind == SIM_KIND_EVTCHN)
		port_release(hv, conn);
}

void conn_end(struct hv *hv, struct conn *conn)
{
	struct conn **at = &hv->conns;

	release(hv, conn);
	while (*at != conn)
		at = &(*at)->next;
	*at = conn->next;
	hv_unwatch(hv, &conn->source);
	if (conn->events >= 0)
		close(conn->events);
	free(conn);
}

static int hello_events(struct conn *conn)
{
	int pipes[2], ret;

	if (pipe2(pipes, O_CLOEXEC) < 0)
		return -errno;
	conn->events = pipes[1];
	fcntl(pipes[1], F_SETFL, O_NONBLOCK);
	ret = conn_reply(conn, 0, NULL, 0, pipes[0]);
	close(pipes[0]);
	return ret;
}

static int hello(struct hv *hv, struct conn *conn, const struct wire_message *m)
{
	const struct sim_request *r = &m->head.request;
	const struct domain *d = domain_get(hv, r->arg[1]);
	size_t length = r->payload_bytes;

	if (!d || d->dying)
		return -ESRCH;
	if (length >= sizeof(conn->command))
		return -EINVAL;
	memcpy(conn->command, m->payload ? m->payload : "", length);
	conn->domid = r->arg[1];
	switch (r->arg[0]) {
	case SIM_KIND_GNTTAB:
	case SIM_KIND_GNTSHR:
		conn->kind = r->arg[0];
		return conn_reply(conn, 0, NULL, 0, hv->memory_fd);
	case SIM_KIND_EVTCHN:
		conn->kind = SIM_KIND_EVTCHN;
		return hello_events(conn);
	case SIM_KIND_CONTROL:
		if (conn->domid)
			return -EPERM;
		conn->kind = SIM_KIND_CONTROL;
		return conn_reply(conn, 0, NULL, 0, -1);
	}
	return -EINVAL;
}

static int serve_gnttab(struct hv *hv, struct conn *conn, const struct wire_message *m)
{
	const struct sim_request *r = &m->head.request;

	switch (r->op) {
	case SIM_MAP:
		return map_refs(hv, conn, m);
	case SIM_UNMAP:
		return reply_ret(conn, map_unmap(hv, conn, r->arg[0]));
	case SIM_COPY:
		return map_copy(hv, conn, m);
	case SIM_COPY_DONE:
		return reply_ret(conn, map_unmap(hv, conn, r->arg[0]));
	case SIM_LIMIT:
		if (conn->mapped_pages > r->arg[0])
			return -EINVAL;
		conn->limit_pages = r->arg[0];
		return reply_ret(conn, 0);
	}
	return -ENOSYS;
}

static int serve_gntshr(struct hv *hv, struct conn *conn, const struct wire_message *m)
{
	switch (m->head.request.op) {
	case SIM_SHARE:
		return share_pages(hv, conn, m);
	case SIM_UNSHARE:
		return reply_ret(conn, share_end(hv, conn, m->head.request.arg[0]));
	}
	return -ENOSYS;
}

/* Notify, unmask and unbind name a port that this very handle has bound. */
static int serve_port(struct hv *hv, struct conn *conn, enum sim_op op, uint32_t port)
{
	struct domain *d = &hv->domains[conn->domid];
	int ret = port_check(d, conn, port);

	/* The evtchn driver takes an unmask of a foreign port in silence. */
	if (ret < 0)
		return op == SIM_UNMASK ? 0 : ret;
	if (op == SIM_NOTIFY)
		port_notify(hv, d, port);
	if (op == SIM_UNMASK)
		port_unmask(hv, d, port);
	if (op == SIM_UNBIND)
		port_close(hv, d, port);
	return 0;
}

static int serve_evtchn(struct hv *hv, struct conn *conn, const struct wire_message *m)
{
	const struct sim_request *r = &m->head.request;
	struct domain *d = &hv->domains[conn->domid];

	switch (r->op) {
	case SIM_BIND_UNBOUND:
		return reply_port(conn, port_bind_unbound(d, conn, r->arg[0]));
	case SIM_BIND_INTERDOMAIN:
		return reply_port(conn, port_bind_interdomain(hv, d, conn, r->arg[0], r->arg[1]));
	case SIM_BIND_VIRQ:
		return reply_port(conn, port_bind_virq(hv, d, conn, r->arg[0]));
	case SIM_NOTIFY:
	case SIM_UNMASK:
	case SIM_UNBIND:
		return reply_ret(conn, serve_port(hv, conn, r->op, r->arg[0]));
	case SIM_RESTRICT:
		return reply_ret(conn, port_restrict(conn, r->arg[0]));
	}
	return -ENOSYS;
}

static int reply_domain(struct hv *hv, struct conn *conn, uint32_t first)
{
	for (uint32_t i = first; i < SIM_DOMAINS; i++) {
		struct sim_reply reply = {.arg = {i, 0}};

		if (!hv->domains[i].exists)
			continue;
		reply.arg[1] = hv->domains[i].dying ? SIM_DOMAIN_DYING : 0;
		return wire_send_reply(conn->source.fd, &reply, NULL, 0, -1);
	}
	return -ESRCH;
}

static int serve_control(struct hv *hv, struct conn *conn, const struct wire_message *m)
{
	const struct sim_request *r = &m->head.request;

	switch (r->op) {
	case SIM_DOMAIN:
		return reply_domain(hv, conn, r->arg[0]);
	case SIM_HELD:
		return held_list(hv, conn);
	case SIM_DESTROY:
		return reply_ret(conn, domain_destroy(hv, r->arg[0]));
	}
	return -ENOSYS;
}

/* Returns 0 when the request was answered; what fails is answered by the caller. */
static int serve(struct hv *hv, struct conn *conn, const struct wire_message *m)
{
	if (m->head.request.op == SIM_HELLO)
		return conn->kind ? -EINVAL : hello(hv, conn, m);
	if (m->head.request.op == SIM_RELEASE) {
		release(hv, conn);
		return reply_ret(conn, 0);
	}
	switch (conn->kind) {
	case SIM_KIND_GNTTAB:
		return serve_gnttab(hv, conn, m);
	case SIM_KIND_GNTSHR:
		return serve_gntshr(hv, conn, m);
	case SIM_KIND_EVTCHN:
		return serve_evtchn(hv, conn, m);
	case SIM_KIND_CONTROL:
		return serve_control(hv, conn, m);
	case SIM_KIND_NONE:
		break;
	}
	return -EPROTO;
}

/*
 * What a process held is free before a request that was made after its death is looked at. Returns
 * whether @conn still is.
 */
static bool end_the_dead(struct hv *hv, const struct conn *conn)
{
	struct epoll_event e;
	bool alive = true;

	while (epoll_wait(hv->ends, &e, 1, 0) == 1) {
		if (e.data.ptr == conn)
			alive = false;
		conn_end(hv, e.data.ptr);
	}
	return alive;
}

static void conn_ready(struct hv *hv, struct source *source, uint32_t events)
{
	struct conn *conn = (struct conn *)source;
	struct wire_message m;
	int ret = wire_receive(source->fd, &m);

	if (ret == -EAGAIN)
		return;
	if (!end_the_dead(hv, conn)) {
		wire_message_free(&m);
		return;
	}
	if (ret == 1)
		ret = serve(hv, conn, &m);
	else if (ret == 0)
		ret = -ECONNRESET;
	wire_message_free(&m);
	/* An answer that cannot be sent is as good as a process that is gone. */
	if (ret < 0 && reply_ret(conn, ret) < 0)
		conn_end(hv, conn);
}

void conn_accept(struct hv *hv, struct source *source, uint32_t events)
{
	int fd = accept4(source->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	struct ucred from = {0};
	socklen_t length = sizeof(from);
	struct conn *conn;

	if (fd < 0)
		return;
	conn = calloc(1, sizeof(*conn));
	if (!conn || getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &from, &length) < 0) {
		free(conn);
		close(fd);
		return;
	}
	*conn = (struct conn){
		.source = {.fd = fd, .ready = conn_ready},
		.pid = from.pid,
		.limit_pages = UINT32_MAX,
		.events = -1,
		.restricted = SIM_NONE,
	};
	if (epoll_ctl(hv->ends, EPOLL_CTL_ADD, fd, &(struct epoll_event){.data.ptr = conn}) < 0 ||
	    hv_watch(hv, &conn->source, EPOLLIN) < 0) {
		free(conn);
		close(fd);
		return;
	}
	conn->next = hv->conns;
	hv->conns = conn;
}
