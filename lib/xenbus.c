/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "num.h"
#include "xenbus.h"

const char *xenbus_state_text(enum xenbus_state state)
{
	static const char *const texts[] = {
		[XENBUS_GONE] = "none",
		[XENBUS_INITIALISING] = "Initialising(1)",
		[XENBUS_INITWAIT] = "InitWait(2)",
		[XENBUS_INITIALISED] = "Initialised(3)",
		[XENBUS_CONNECTED] = "Connected(4)",
		[XENBUS_CLOSING] = "Closing(5)",
		[XENBUS_CLOSED] = "Closed(6)",
		[XENBUS_RECONFIGURING] = "Reconfiguring(7)",
		[XENBUS_RECONFIGURED] = "Reconfigured(8)",
	};

	if (state < XENBUS_GONE || state > XENBUS_RECONFIGURED)
		return "invalid";
	return texts[state];
}

int xenbus_look(struct store *store, xs_transaction_t tx, const char *dir, enum xenbus_state *out)
{
	char value[STORE_VALUE_MAX];
	uint64_t state;
	int ret = store_look(store, tx, dir, "state", value);

	*out = XENBUS_INVALID;
	if (ret == -ENOENT)
		*out = XENBUS_GONE;
	if (ret == -ENOENT || ret == -EMSGSIZE)
		return 0;
	if (ret < 0)
		return ret;
	if (!num_parse(value, XENBUS_INITIALISING, XENBUS_RECONFIGURED, &state))
		*out = (enum xenbus_state)state;
	return 0;
}

enum xenbus_state xenbus_state_in(struct store *store, xs_transaction_t tx, const char *dir)
{
	enum xenbus_state state;

	(void)!xenbus_look(store, tx, dir, &state);
	return state;
}

enum xenbus_state xenbus_state(struct store *store, const char *dir)
{
	return xenbus_state_in(store, XBT_NULL, dir);
}

struct switching {
	const char *dir;
	enum xenbus_state state;
};

static int switch_existing(struct store *store, xs_transaction_t tx, void *opaque)
{
	const struct switching *to = opaque;

	if (xenbus_state_in(store, tx, to->dir) == XENBUS_GONE)
		return -ENOENT;
	return store_write(store, tx, to->dir, "state", "%d", (int)to->state);
}

int xenbus_switch(struct store *store, const char *dir, enum xenbus_state state)
{
	struct switching to = {.dir = dir, .state = state};

	return store_transaction(store, switch_existing, &to);
}

/* "/local/domain/N/REST" to "/local/domain/N/error" and "/local/domain/N/error/REST". */
static int error_paths(const char *dir, char root[static STORE_PATH_MAX],
		       char path[static STORE_PATH_MAX])
{
	const char *rest = dir;

	for (unsigned i = 0; rest && i < 3; i++)
		rest = strchr(rest + 1, '/');
	if (!rest)
		return -EINVAL;
	if (store_path(root, "%.*s/error", (int)(rest - dir), dir))
		return -ENAMETOOLONG;
	return store_path(path, "%s%s", root, rest);
}

int xenbus_error_path(const char *dir, char path[static STORE_PATH_MAX])
{
	char root[STORE_PATH_MAX];

	return error_paths(dir, root, path);
}

int xenbus_set_error(struct store *store, const char *dir, const char *fmt, ...)
{
	char root[STORE_PATH_MAX], path[STORE_PATH_MAX], text[STORE_VALUE_MAX];
	va_list ap;
	int ret = error_paths(dir, root, path);

	if (ret)
		return ret;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	return store_write(store, XBT_NULL, path, "error", "%s", text);
}

static int prune_error(struct store *store, xs_transaction_t tx, void *opaque)
{
	char root[STORE_PATH_MAX], path[STORE_PATH_MAX];
	int ret = error_paths(opaque, root, path);

	return ret ? ret : store_prune(store, tx, path, root);
}

int xenbus_clear_error(struct store *store, const char *dir)
{
	char name[STORE_PATH_MAX];
	int ret = store_path(name, "%s", dir);

	return ret ? ret : store_transaction(store, prune_error, name);
}

int xenbus_read_error(struct store *store, const char *dir, char buf[static STORE_VALUE_MAX])
{
	char root[STORE_PATH_MAX], path[STORE_PATH_MAX];
	int ret = error_paths(dir, root, path);

	buf[0] = '\0';
	return ret ? ret : store_read_in(store, XBT_NULL, path, "error", buf);
}
