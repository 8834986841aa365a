/* SPDX-License-Identifier: MIT */
/*
 * The XenStore device of a guest's kernel: many clients of a socket share the guest's one ring.
 * What a client leaves behind (watches, transactions) is ended for it.
 */
#include "hv-state.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "xenbus-ring.h"

#define CLIENT_OUT_MAX (4u << 20) /* a client that does not read its answers is let go */

/** A watch or a transaction of a client: ended when the client goes. */
struct lasting {
	struct lasting *next;
	uint32_t transaction; /* 0: a watch */
	uint32_t length_bytes;
	char watch[]; /* "path\0token\0" as xenstored knows it */
};

struct client {
	struct source source;
	struct client *next;
	struct xenbus *xenbus;
	uint32_t id;
	struct buffer in, out;
	struct lasting *lasting;
};

/** A request that xenstored has not answered. */
struct inflight {
	struct inflight *next;
	uint32_t id;
	uint32_t client_id; /* which may be gone by the time of the answer */
	uint32_t client_req_id;
	struct lasting *watch; /* of a watch or unwatch request */
};

struct xenbus {
	struct source listener;
	struct hv *hv;
	struct domain *domain;
	struct xenbus_ring ring;
	struct client *clients;
	struct inflight *inflight;
	uint32_t last_client;
	uint32_t last_request;
};

static void client_end(struct client *c);

static struct client *client_by_id(const struct xenbus *x, uint32_t id)
{
	struct client *c = x->clients;

	while (c && c->id != id)
		c = c->next;
	return c;
}

static void kick(struct xenbus *x)
{
	if (xenbus_ring_push(&x->ring))
		port_notify(x->hv, x->domain, SIM_XENSTORE_PORT);
}

/* A client is read only while the ring keeps up. */
static void client_rewatch(struct client *c)
{
	bool read = c->xenbus->ring.out.length_bytes < XENSTORE_PAYLOAD_MAX;

	hv_rewatch(c->xenbus->hv, &c->source,
		   (read ? EPOLLIN : 0u) | (c->out.length_bytes ? EPOLLOUT : 0u));
}

static int request(struct xenbus *x, const struct xsd_sockmsg *head, const void *body,
		   uint32_t client_id, struct lasting *watch)
{
	struct inflight *f = malloc(sizeof(*f));
	struct xsd_sockmsg h = *head;

	if (!f)
		return -ENOMEM;
	*f = (struct inflight){x->inflight, ++x->last_request, client_id, head->req_id, watch};
	h.req_id = f->id;
	if (buffer_add(&x->ring.out, &h, sizeof(h)) < 0 ||
	    buffer_add(&x->ring.out, body, h.len) < 0) {
		free(f);
		return -ENOMEM;
	}
	x->inflight = f;
	kick(x);
	return 0;
}

/* Requests of the kernel itself, whose answers nobody waits for. */
static void end_lasting(struct xenbus *x, struct lasting *l)
{
	struct xsd_sockmsg unwatch = {.type = XS_UNWATCH, .len = l->length_bytes};
	struct xsd_sockmsg end = {.type = XS_TRANSACTION_END, .tx_id = l->transaction, .len = 2};

	if (l->transaction)
		request(x, &end, "F", 0, NULL);
	else
		request(x, &unwatch, l->watch, 0, NULL);
	free(l);
}

static int client_flush(struct client *c)
{
	struct buffer *out = &c->out;

	while (out->length_bytes) {
		ssize_t n = send(c->source.fd, out->bytes, out->length_bytes,
				 MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n < 0 && errno == EAGAIN)
			break;
		if (n < 0)
			return -errno;
		buffer_drop(out, (size_t)n);
	}
	client_rewatch(c);
	return 0;
}

static void client_answer(struct client *c, const struct xsd_sockmsg *head, const void *body)
{
	if (c->out.length_bytes > CLIENT_OUT_MAX || buffer_add(&c->out, head, sizeof(*head)) < 0 ||
	    buffer_add(&c->out, body, head->len) < 0 || client_flush(c) < 0)
		client_end(c);
}

static void client_refuse(struct client *c, const struct xsd_sockmsg *to, const char *error)
{
	struct xsd_sockmsg head = *to;

	head.type = XS_ERROR;
	head.len = (uint32_t)strlen(error) + 1;
	client_answer(c, &head, error);
}

static struct lasting **find_transaction(struct client *c, uint32_t id)
{
	struct lasting **at = &c->lasting;

	while (*at && (*at)->transaction != id)
		at = &(*at)->next;
	return at;
}

static struct lasting **find_watch(struct client *c, const struct lasting *like)
{
	struct lasting **at = &c->lasting;

	while (*at && ((*at)->transaction || (*at)->length_bytes != like->length_bytes ||
		       memcmp((*at)->watch, like->watch, like->length_bytes)))
		at = &(*at)->next;
	return at;
}

static void unlink_free(struct lasting **at)
{
	struct lasting *l = *at;

	if (!l)
		return;
	*at = l->next;
	free(l);
}

/* "path\0token\0" becomes "path\0CLIENT:token\0": tokens of several clients may be alike. */
static struct lasting *own_watch(const struct client *c, const char *body, uint32_t length)
{
	const char *token = memchr(body, 0, length);
	struct lasting *l;
	int n;

	if (!token || !length || body[length - 1])
		return NULL;
	token++;
	if (token == body + length || strlen(token) + 1 != (size_t)(body + length - token))
		return NULL;
	l = calloc(1, sizeof(*l) + length + 16);
	if (!l)
		return NULL;
	memcpy(l->watch, body, (size_t)(token - body));
	n = sprintf(l->watch + (token - body), "%u:%s", c->id, token);
	l->length_bytes = (uint32_t)(token - body) + (uint32_t)n + 1;
	if (l->length_bytes <= XENSTORE_PAYLOAD_MAX)
		return l;
	free(l);
	return NULL;
}

static void client_watch(struct client *c, const struct xsd_sockmsg *head, const char *body)
{
	struct lasting *watch = own_watch(c, body, head->len);
	struct xsd_sockmsg h = *head;

	if (!watch) {
		client_refuse(c, head, "EINVAL");
		return;
	}
	h.len = watch->length_bytes;
	if (request(c->xenbus, &h, watch->watch, c->id, watch) == 0)
		return;
	free(watch);
	client_refuse(c, head, "ENOMEM");
}

static void client_request(struct client *c, const struct xsd_sockmsg *head, const char *body)
{
	struct lasting **transaction = head->tx_id ? find_transaction(c, head->tx_id) : NULL;

	if (head->type == XS_WATCH || head->type == XS_UNWATCH) {
		client_watch(c, head, body);
		return;
	}
	/* It would end the watches of all clients. */
	if (head->type == XS_RESET_WATCHES) {
		client_refuse(c, head, "EPERM");
		return;
	}
	if (transaction && !*transaction) {
		client_refuse(c, head, "ENOENT");
		return;
	}
	if (request(c->xenbus, head, body, c->id, NULL) < 0) {
		client_refuse(c, head, "ENOMEM");
		return;
	}
	if (head->type == XS_TRANSACTION_END && transaction)
		unlink_free(transaction);
}

/* One whole message from the buffer. Returns false if there is none, or the client is gone. */
static bool client_step(struct client *c)
{
	struct xsd_sockmsg head;
	uint32_t id = c->id;
	struct xenbus *x = c->xenbus;
	char body[XENSTORE_PAYLOAD_MAX];

	if (c->in.length_bytes < sizeof(head))
		return false;
	memcpy(&head, c->in.bytes, sizeof(head));
	if (head.len > XENSTORE_PAYLOAD_MAX) {
		client_end(c);
		return false;
	}
	if (c->in.length_bytes < sizeof(head) + head.len)
		return false;
	memcpy(body, c->in.bytes + sizeof(head), head.len);
	buffer_drop(&c->in, sizeof(head) + head.len);
	client_request(c, &head, body);
	return client_by_id(x, id);
}

static void client_ready(struct hv *hv, struct source *source, uint32_t events)
{
	struct client *c = (struct client *)source;
	char bytes[XENSTORE_PAYLOAD_MAX];
	ssize_t n;

	if (events & EPOLLOUT && client_flush(c) < 0) {
		client_end(c);
		return;
	}
	if (!(events & (EPOLLIN | EPOLLHUP | EPOLLERR)))
		return;
	n = recv(source->fd, bytes, sizeof(bytes), MSG_DONTWAIT);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0 || buffer_add(&c->in, bytes, (size_t)n) < 0) {
		client_end(c);
		return;
	}
	while (client_step(c))
		;
}

static void client_end(struct client *c)
{
	struct xenbus *x = c->xenbus;
	struct client **at = &x->clients;

	while (*at != c)
		at = &(*at)->next;
	*at = c->next;
	while (c->lasting) {
		struct lasting *l = c->lasting;

		c->lasting = l->next;
		end_lasting(x, l);
	}
	hv_unwatch(x->hv, &c->source);
	buffer_free(&c->in);
	buffer_free(&c->out);
	free(c);
}

static void client_accept(struct hv *hv, struct source *source, uint32_t events)
{
	struct xenbus *x = (struct xenbus *)source;
	int fd = accept4(source->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	struct client *c = fd < 0 ? NULL : calloc(1, sizeof(*c));

	if (!c) {
		if (fd >= 0)
			close(fd);
		return;
	}
	*c = (struct client){.source = {fd, client_ready},
			     .xenbus = x,
			     .id = ++x->last_client,
			     .next = x->clients};
	if (hv_watch(hv, &c->source, EPOLLIN) < 0) {
		free(c);
		close(fd);
		return;
	}
	x->clients = c;
}

/* What a successful answer changes: a new watch or transaction, or the end of a watch. */
static void account(struct xenbus *x, struct client *c, struct inflight *f,
		    const struct xsd_sockmsg *head, const char *body)
{
	struct lasting *new = NULL;

	if (head->type == XS_WATCH) {
		new = f->watch;
		f->watch = NULL;
	}
	if (head->type == XS_TRANSACTION_START && f->client_id) {
		new = calloc(1, sizeof(*new));
		if (new)
			new->transaction = (uint32_t)strtoul(body, NULL, 10);
	}
	if (head->type == XS_UNWATCH && c && f->watch)
		unlink_free(find_watch(c, f->watch));
	if (!new)
		return;
	if (!c) {
		end_lasting(x, new);
		return;
	}
	new->next = c->lasting;
	c->lasting = new;
}

static void route_answer(struct xenbus *x, struct xsd_sockmsg *head, const char *body)
{
	struct inflight **at = &x->inflight, *f;
	struct client *c;

	while (*at && (*at)->id != head->req_id)
		at = &(*at)->next;
	f = *at;
	if (!f)
		return;
	*at = f->next;
	c = client_by_id(x, f->client_id);
	account(x, c, f, head, body);
	head->req_id = f->client_req_id;
	if (c)
		client_answer(c, head, body);
	free(f->watch);
	free(f);
}

/* "path\0CLIENT:token\0", and xenstored may append the watch's depth. */
static void route_event(struct xenbus *x, struct xsd_sockmsg *head, char *body)
{
	char *token = memchr(body, 0, head->len), *rest;
	struct client *c;
	uint32_t length;

	if (!token)
		return;
	token++;
	c = client_by_id(x, (uint32_t)strtoul(token, &rest, 10));
	if (!c || *rest != ':')
		return;
	rest++;
	length = (uint32_t)(body + head->len - rest);
	memmove(token, rest, length);
	head->len = (uint32_t)(token - body) + length;
	client_answer(c, head, body);
}

void xenbus_event(struct hv *hv, struct domain *d)
{
	struct xenbus *x = d->xenbus;
	struct xsd_sockmsg head;
	char body[XENSTORE_PAYLOAD_MAX + 1];

	if (xenbus_ring_pull(&x->ring))
		port_notify(hv, d, SIM_XENSTORE_PORT);
	while (xenbus_ring_message(&x->ring, &head, body)) {
		if (head.type == XS_WATCH_EVENT)
			route_event(x, &head, body);
		else
			route_answer(x, &head, body);
	}
	kick(x);
	for (struct client *c = x->clients; c; c = c->next)
		client_rewatch(c);
}

int xenbus_open(struct hv *hv, struct domain *d)
{
	struct xenbus *x = calloc(1, sizeof(*x));
	char name[32];
	int ret;

	if (!x)
		return -ENOMEM;
	snprintf(name, sizeof(name), "xenbus-%u", d->id);
	*x = (struct xenbus){.hv = hv, .domain = d};
	x->ring.page = (void *)frame_at(hv, d->grants[SIM_XENSTORE_REF].frame);
	x->listener = (struct source){hv_listen(hv, name, SOCK_STREAM), client_accept};
	ret = x->listener.fd < 0 ? x->listener.fd : hv_watch(hv, &x->listener, EPOLLIN);
	if (ret < 0) {
		free(x);
		return ret;
	}
	d->xenbus = x;
	return 0;
}

void xenbus_close(struct hv *hv, struct domain *d)
{
	struct xenbus *x = d->xenbus;
	struct inflight *f;

	while (x->clients)
		client_end(x->clients);
	d->xenbus = NULL;
	while ((f = x->inflight)) {
		x->inflight = f->next;
		free(f->watch);
		free(f);
	}
	hv_unwatch(hv, &x->listener);
	buffer_free(&x->ring.out);
	buffer_free(&x->ring.in);
	free(x);
}
