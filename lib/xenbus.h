/* SPDX-License-Identifier: MIT */
/*
 * xenbus - the two ends of a disk in XenStore: where they are and what state each is in.
 */
#ifndef TAP_XENBUS_H
#define TAP_XENBUS_H

#include <stdbool.h>
#include <stdint.h>

#include "address.h"
#include "store.h"

/** Values of `state` nodes (xen/io/xenbus.h). XENBUS_GONE: there is no such node. */
enum xenbus_state {
	XENBUS_GONE = 0,
	XENBUS_INITIALISING = 1,
	XENBUS_INITWAIT = 2,
	XENBUS_INITIALISED = 3,
	XENBUS_CONNECTED = 4,
	XENBUS_CLOSING = 5,
	XENBUS_CLOSED = 6,
	XENBUS_RECONFIGURING = 7,
	XENBUS_RECONFIGURED = 8,
	XENBUS_INVALID = -1, /* a node that holds anything else */
};

/** "InitWait(2)", "none" for XENBUS_GONE, "invalid". A static string. */
const char *xenbus_state_text(enum xenbus_state state);

#define KIND_MAX 16 /* bytes of a backend's kind, NUL included */
#define KIND_DEFAULT \
	"tap" /* what tap-attach creates and tap-serve serves: no kernel driver binds it */

/** Everything that identifies a disk. All of it comes from the backend's side of XenStore
 * (XSA-175). */
struct disk {
	uint32_t domid; /* the frontend's domain */
	uint32_t vdev;	/* device number */
	uint32_t backend_domid;
	char kind[KIND_MAX];	       /* "tap", "vbd", "qdisk", ... */
	char name[ADDRESS_MAX];	       /* "web1/xvda" (the id where the domain has no name) */
	char backend[STORE_PATH_MAX];  /* /local/domain/0/backend/tap/1/51712 */
	char frontend[STORE_PATH_MAX]; /* /local/domain/1/device/vbd/51712 */
};

/** Fill in a disk's paths and name from its identity (the domain's name is read from XenStore). */
int disk_identify(struct store *store, uint32_t backend_domid, const char *kind, uint32_t domid,
		  uint32_t vdev, struct disk *out);

/**
 * A domain's id from what was typed: digits are an id (it must exist), else /local/domain/N/name is
 * searched. -ENOENT with exit 3 and the domain named.
 */
int domain_resolve(struct store *store, const char *dom, uint32_t *domid, struct err *e);

/** Does the domain exist? (Its /local/domain/N has a name, or a domid node.) */
bool domain_exists(struct store *store, uint32_t domid);

/**
 * Find a disk by address, in any backend of this domain's directory (any kind). -ENOENT: exit 3,
 * the domain or the disk named and, as a hint, what the domain has.
 */
int disk_resolve(struct store *store, const struct address *address, struct disk *out,
		 struct err *e);

/**
 * All disks whose backend is this domain: kinds vbd, tap, qdisk, vbd3 and any other below backend/
 * whose nodes look like a disk's. @kind NULL for all kinds. Calls @each in the order kind, domid,
 * vdev; stops at its first non-zero return and returns that.
 */
int disk_each(struct store *store, const char *kind,
	      int (*each)(const struct disk *disk, void *opaque), void *opaque);
/** The same inside a transaction. */
int disk_each_in(struct store *store, xs_transaction_t tx, const char *kind,
		 int (*each)(const struct disk *disk, void *opaque), void *opaque);

/** The state node in a directory (frontend or backend). Never fails: GONE and INVALID are answers.
 */
enum xenbus_state xenbus_state(struct store *store, const char *dir);
enum xenbus_state xenbus_state_in(struct store *store, xs_transaction_t tx, const char *dir);

/** The same, where no answer of XenStore is not to be taken for one: 0, or a negative errno. */
int xenbus_look(struct store *store, xs_transaction_t tx, const char *dir, enum xenbus_state *out);

/** Write the state node of a directory, unless it is gone: then -ENOENT (nothing is created). */
int xenbus_switch(struct store *store, const char *dir, enum xenbus_state state);

/**
 * Say why a backend goes no further, where Linux' backends do:
 * /local/domain/B/error/backend/KIND/DOM/VDEV/error. xenbus_clear_error() removes it;
 * xenbus_read_error() reads it for either end (dir = disk.backend or disk.frontend).
 */
int xenbus_set_error(struct store *store, const char *dir, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
int xenbus_clear_error(struct store *store, const char *dir);
int xenbus_read_error(struct store *store, const char *dir, char buf[static STORE_VALUE_MAX]);
/** The directory that holds the error node of either end. */
int xenbus_error_path(const char *dir, char path[static STORE_PATH_MAX]);

#endif
