/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <xenstore_lib.h>

#include "address.h"
#include "num.h"
#include "store.h"

#define UPSET_MAX 64  /* times a transaction is begun again that could not reach its end */
#define DRAIN_MAX 256 /* events taken before the nodes are looked at again */

struct store {
	struct xs_handle *xs;
	uint32_t domid;
	int interrupt_fd; /* ends store_wait(), or -1 */
};

/* libxenstore reports by errno; a call that failed must never look like success. */
static int failure(void)
{
	return errno ? -errno : -EIO;
}

static int read_own_domid(struct store *store, struct err *e)
{
	uint64_t domid;
	/* A relative path starts at /local/domain/OWN. */
	char value[STORE_VALUE_MAX];
	int length = store_read(store, XBT_NULL, "domid", value);

	if (length < 0 || num_parse(value, 0, DOMID_MAX, &domid)) {
		err_set(e, -EIO, TAP_EXIT_SYSTEM,
			"cannot read this domain's own id from XenStore: %s",
			length < 0 ? strerror(-length) : "not a number");
		err_hint(e, "xen-init-dom0 writes it when dom0 starts");
		return length < 0 ? length : -EINVAL;
	}
	store->domid = (uint32_t)domid;
	return 0;
}

int store_open(struct store **out, struct err *e)
{
	struct store *store = calloc(1, sizeof(*store));
	int ret;

	*out = NULL;
	if (!store)
		return err_set(e, -ENOMEM, TAP_EXIT_SYSTEM, "out of memory");
	store->interrupt_fd = -1;
	errno = 0;
	store->xs = xs_open(0);
	if (!store->xs) {
		ret = err_set(e, failure(), TAP_EXIT_DENIED, "cannot connect to XenStore: %s",
			      strerror(errno));
		err_hint(e, "without Xen, run it in a simulated dom0: tap-sim COMMAND");
		free(store);
		return ret;
	}
	ret = read_own_domid(store, e);
	if (ret) {
		store_close(store);
		return ret;
	}
	*out = store;
	return 0;
}

void store_close(struct store *store)
{
	if (!store)
		return;
	xs_close(store->xs);
	free(store);
}

int store_lifeline(void)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	const char *path = xs_daemon_socket();
	int fd, ret;

	if (!path || strlen(path) >= sizeof(address.sun_path))
		return -ENAMETOOLONG;
	memcpy(address.sun_path, path, strlen(path));
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	if (!connect(fd, (struct sockaddr *)&address, sizeof(address)))
		return fd;
	ret = -errno;
	close(fd);
	return ret;
}

uint32_t store_domid(const struct store *store)
{
	return store->domid;
}

struct xs_handle *store_handle(struct store *store)
{
	return store->xs;
}

int store_path(char buf[static STORE_PATH_MAX], const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(buf, STORE_PATH_MAX, fmt, ap);
	va_end(ap);
	return n >= 0 && n < STORE_PATH_MAX ? 0 : -ENAMETOOLONG;
}

int store_read(struct store *store, xs_transaction_t tx, const char *path,
	       char buf[static STORE_VALUE_MAX])
{
	unsigned int length = 0;
	char *value;

	buf[0] = '\0';
	errno = 0;
	value = xs_read(store->xs, tx, path, &length);
	if (!value)
		return failure();
	if (length >= STORE_VALUE_MAX) {
		free(value);
		return -EMSGSIZE;
	}
	memcpy(buf, value, length);
	buf[length] = '\0';
	free(value);
	return (int)strlen(buf);
}

int store_read_in(struct store *store, xs_transaction_t tx, const char *dir, const char *key,
		  char buf[static STORE_VALUE_MAX])
{
	char path[STORE_PATH_MAX];
	int ret = store_path(path, "%s/%s", dir, key);

	buf[0] = '\0';
	return ret ? ret : store_read(store, tx, path, buf);
}

int store_look(struct store *store, xs_transaction_t tx, const char *dir, const char *key,
	       char buf[static STORE_VALUE_MAX])
{
	int ret = store_read_in(store, tx, dir, key, buf);

	return ret == -EINVAL ? -ECONNRESET : ret;
}

int store_read_number(struct store *store, xs_transaction_t tx, const char *dir, const char *key,
		      uint64_t min, uint64_t max, uint64_t *out)
{
	char value[STORE_VALUE_MAX];
	int length = store_read_in(store, tx, dir, key, value);

	return length < 0 ? length : num_parse(value, min, max, out);
}

int store_write(struct store *store, xs_transaction_t tx, const char *dir, const char *key,
		const char *fmt, ...)
{
	char path[STORE_PATH_MAX], value[STORE_VALUE_MAX];
	va_list ap;
	int n, ret;

	ret = store_path(path, key ? "%s/%s" : "%s", dir, key);
	if (ret)
		return ret;
	va_start(ap, fmt);
	n = vsnprintf(value, sizeof(value), fmt, ap);
	va_end(ap);
	if (n < 0 || n >= (int)sizeof(value))
		return -EMSGSIZE;
	errno = 0;
	return xs_write(store->xs, tx, path, value, (unsigned)n) ? 0 : failure();
}

int store_remove(struct store *store, xs_transaction_t tx, const char *path)
{
	errno = 0;
	if (xs_rm(store->xs, tx, path) || errno == ENOENT)
		return 0;
	/*
	 * A transaction is no snapshot: xenstored lists a node's children, somebody removes one,
	 * and its removal by us fails. The end of the transaction would say EAGAIN.
	 */
	return tx != XBT_NULL && errno == EIO ? -EAGAIN : failure();
}

int store_prune(struct store *store, xs_transaction_t tx, const char *path, const char *stop)
{
	char parent[STORE_PATH_MAX];
	int ret = store_path(parent, "%s", path);

	if (!ret)
		ret = xs_path_is_subpath(stop, path) ? store_remove(store, tx, path) : -EINVAL;
	while (!ret) {
		char **names = NULL;

		*strrchr(parent, '/') = '\0';
		if (!xs_path_is_subpath(stop, parent) || !strcmp(parent, stop))
			return 0;
		ret = store_list(store, tx, parent, &names);
		free(names);
		if (ret)
			return ret < 0 ? ret : 0;
		ret = store_remove(store, tx, parent);
	}
	return ret;
}

bool store_exists(struct store *store, xs_transaction_t tx, const char *path)
{
	unsigned int length;
	void *value = xs_read(store->xs, tx, path, &length);
	bool exists = value || errno != ENOENT;

	free(value);
	return exists;
}

int store_list(struct store *store, xs_transaction_t tx, const char *path, char ***names)
{
	unsigned int n = 0;

	*names = NULL;
	errno = 0;
	*names = xs_directory(store->xs, tx, path, &n);
	if (!*names)
		return errno == ENOENT ? 0 : failure();
	if (!n) {
		free(*names);
		*names = NULL;
	}
	return n < STORE_LIST_MAX ? (int)n : STORE_LIST_MAX;
}

static int by_number(const void *a, const void *b)
{
	uint32_t left = *(const uint32_t *)a, right = *(const uint32_t *)b;

	return (left > right) - (left < right);
}

int store_list_numbers(struct store *store, xs_transaction_t tx, const char *path, uint64_t max,
		       uint32_t **out)
{
	uint32_t *numbers = NULL;
	char **names;
	int count = 0;
	int n = store_list(store, tx, path, &names);

	*out = NULL;
	if (n <= 0)
		return n;
	numbers = calloc((size_t)n, sizeof(*numbers));
	if (!numbers) {
		free(names);
		return -ENOMEM;
	}
	for (int i = 0; i < n; i++) {
		uint64_t number;

		if (!num_parse(names[i], 0, max, &number))
			numbers[count++] = (uint32_t)number;
	}
	free(names);
	qsort(numbers, (size_t)count, sizeof(*numbers), by_number);
	*out = numbers;
	return count;
}

int store_permit(struct store *store, xs_transaction_t tx, const char *path, uint32_t owner,
		 uint32_t reader)
{
	/* The first entry's permission is everybody else's; its owner may do all. */
	struct xs_permissions permissions[] = {
		{.id = owner, .perms = XS_PERM_NONE},
		{.id = reader, .perms = XS_PERM_READ},
	};
	unsigned n = reader == UINT32_MAX || reader == owner ? 1 : 2;

	errno = 0;
	return xs_set_permissions(store->xs, tx, path, permissions, n) ? 0 : failure();
}

int store_transaction(struct store *store,
		      int (*body)(struct store *store, xs_transaction_t tx, void *opaque),
		      void *opaque)
{
	for (unsigned upset = 0;;) {
		xs_transaction_t tx;
		int ret;

		errno = 0;
		tx = xs_transaction_start(store->xs);
		if (tx == XBT_NULL)
			return failure();
		ret = body(store, tx, opaque);
		if (ret) {
			xs_transaction_end(store->xs, tx, true);
			if (ret != -EAGAIN || ++upset == UPSET_MAX)
				return ret;
			continue;
		}
		errno = 0;
		if (xs_transaction_end(store->xs, tx, false))
			return 0;
		if (errno != EAGAIN)
			return failure();
	}
}

int store_watch(struct store *store, const char *path, const char *token)
{
	errno = 0;
	return xs_watch(store->xs, path, token) ? 0 : failure();
}

int store_unwatch(struct store *store, const char *path, const char *token)
{
	errno = 0;
	return xs_unwatch(store->xs, path, token) ? 0 : failure();
}

int store_fd(struct store *store)
{
	return xs_fileno(store->xs);
}

int store_next_event(struct store *store, char path[static STORE_PATH_MAX],
		     char token[static STORE_PATH_MAX])
{
	for (;;) {
		char **event;
		int ret;

		errno = 0;
		event = xs_check_watch(store->xs);
		if (!event) {
			if (errno == EAGAIN)
				return 0;
			/* libxenstore says EINVAL once its connection is gone. */
			return errno == EINVAL ? -ECONNRESET : failure();
		}
		ret = store_path(path, "%s", event[XS_WATCH_PATH]);
		if (!ret)
			ret = store_path(token, "%s", event[XS_WATCH_TOKEN]);
		free(event);
		/* A guest can make nodes with longer paths than any of the block protocol: no news.
		 */
		if (!ret)
			return 1;
	}
}

void store_set_interrupt(struct store *store, int fd)
{
	store->interrupt_fd = fd;
}

int store_interrupt(const struct store *store)
{
	return store->interrupt_fd;
}

/* Sleep until a watch event may wait or the deadline passes. */
static int wait_readable(struct store *store, uint64_t deadline_ns)
{
	/* poll() passes over a descriptor below 0. */
	struct pollfd fds[] = {
		{.fd = store_fd(store), .events = POLLIN},
		{.fd = store->interrupt_fd, .events = POLLIN},
	};
	struct timespec left, *timeout = NULL;

	if (deadline_ns != UINT64_MAX) {
		uint64_t now = now_ns();

		/* Asked before the descriptor is: a stream of events must not put the end off. */
		if (now >= deadline_ns)
			return -ETIMEDOUT;
		left.tv_sec = (time_t)((deadline_ns - now) / 1000000000u);
		left.tv_nsec = (long)((deadline_ns - now) % 1000000000u);
		timeout = &left;
	}
	if (ppoll(fds, ARRAY_SIZE(fds), timeout, NULL) < 0)
		return errno == EINTR ? 0 : -errno;
	return fds[1].revents ? -EINTR : 0;
}

/* Many events of one change, or a guest's storm of them: look at the nodes once for all of them. */
static int drain_events(struct store *store)
{
	char path[STORE_PATH_MAX], token[STORE_PATH_MAX];

	for (unsigned n = 0; n < DRAIN_MAX; n++) {
		int ret = store_next_event(store, path, token);

		if (ret <= 0)
			return ret;
	}
	return 0;
}

int store_wait(struct store *store, uint64_t deadline_ns,
	       int (*ready)(struct store *store, void *opaque), void *opaque)
{
	for (;;) {
		int ret = ready(store, opaque);

		if (!ret)
			ret = wait_readable(store, deadline_ns);
		if (!ret)
			ret = drain_events(store);
		if (ret)
			return ret;
	}
}
