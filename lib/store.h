/* SPDX-License-Identifier: MIT */
/*
 * store - XenStore, through libxenstore, with values that are bounded and errors that are numbers.
 *
 * A value read here may have been written by a guest: every read has a length limit, and numbers go
 * through num.h. Functions that take a transaction accept XBT_NULL for none.
 */
#ifndef TAP_STORE_H
#define TAP_STORE_H

#include <stdbool.h>
#include <stdint.h>
#include <xenstore.h>

#include "msg.h"

#define STORE_PATH_MAX	256  /* bytes, NUL included: room for every path of the block protocol */
#define STORE_VALUE_MAX 1024 /* bytes of a value, NUL included; longer ones read as -EMSGSIZE */
#define STORE_LIST_MAX	4096 /* children of a directory that are looked at */

struct store;

/**
 * Connect. Without a XenStore: -ENOENT or so, @e says exit 6 and its hint names tap-sim.
 * Close with store_close() (NULL is fine).
 */
int store_open(struct store **out, struct err *e);
void store_close(struct store *store);

/**
 * A descriptor that becomes readable once xenstored has gone: libxenstore tells of watch events
 * alone. To be closed. A negative errno where xenstored cannot be reached by a socket: it is gone,
 * or in another domain, whose end this one does not survive anyway.
 */
int store_lifeline(void);

/** The id of the domain this process runs in, as XenStore has it (read once, at store_open()). */
uint32_t store_domid(const struct store *store);

/** The handle itself, for calls this file does not wrap. */
struct xs_handle *store_handle(struct store *store);

/** Build a path; -ENAMETOOLONG when it does not fit. */
int store_path(char buf[static STORE_PATH_MAX], const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/**
 * Read into @buf, always NUL-terminated. Embedded NULs end the value. Returns its length in bytes,
 * or -ENOENT, -EACCES, -EMSGSIZE, ...
 */
int store_read(struct store *store, xs_transaction_t tx, const char *path,
	       char buf[static STORE_VALUE_MAX]);

/** "DIR/KEY" read. Same returns. */
int store_read_in(struct store *store, xs_transaction_t tx, const char *dir, const char *key,
		  char buf[static STORE_VALUE_MAX]);

/**
 * The same of a DIR that no guest named, so that its path is sound: the EINVAL that libxenstore
 * says once its connection is gone is -ECONNRESET here.
 */
int store_look(struct store *store, xs_transaction_t tx, const char *dir, const char *key,
	       char buf[static STORE_VALUE_MAX]);

/** "DIR/KEY" as a number in [min, max]: 0, -ENOENT, -EINVAL, -ERANGE, ... */
int store_read_number(struct store *store, xs_transaction_t tx, const char *dir, const char *key,
		      uint64_t min, uint64_t max, uint64_t *out);

/** Write "DIR/KEY" (@key may be NULL: DIR itself). 0 or a negative errno. */
int store_write(struct store *store, xs_transaction_t tx, const char *dir, const char *key,
		const char *fmt, ...) __attribute__((format(printf, 5, 6)));

/** Remove a node and all below it. A node that is not there is no error. -EAGAIN: what is below
 * changed under the transaction, which is to be done again. */
int store_remove(struct store *store, xs_transaction_t tx, const char *path);

/**
 * The same, and then its parents as long as they are empty; @stop, above @path, stays in any case.
 * -EINVAL when @path is not below @stop.
 */
int store_prune(struct store *store, xs_transaction_t tx, const char *path, const char *stop);

/** True unless XenStore says that there is no such node: no answer is not taken for one. */
bool store_exists(struct store *store, xs_transaction_t tx, const char *path);

/**
 * Children of a directory. Returns their number (0 also for -ENOENT) and an array that free() ends,
 * strings included (NULL without any); or a negative errno.
 */
int store_list(struct store *store, xs_transaction_t tx, const char *path, char ***names);

/**
 * Those children whose names are numbers up to @max (32 bits at most), in order. Returns their
 * count and an array that free() ends, or a negative errno.
 */
int store_list_numbers(struct store *store, xs_transaction_t tx, const char *path, uint64_t max,
		       uint32_t **out);

/**
 * Give a node its owner and who else may read it, as libxl does: owner has all rights, everybody
 * else none, @reader may read (UINT32_MAX for nobody).
 */
int store_permit(struct store *store, xs_transaction_t tx, const char *path, uint32_t owner,
		 uint32_t reader);

/**
 * Run @body in a transaction and commit it; when XenStore says it must be done again (EAGAIN), run
 * @body again: the protocol's own rule, since somebody else's change came between. @body returns 0
 * to commit; -EAGAIN when it met such a change itself; anything else ends the transaction without a
 * change and is returned.
 */
int store_transaction(struct store *store,
		      int (*body)(struct store *store, xs_transaction_t tx, void *opaque),
		      void *opaque);

/** Watch @path (and all below it); events carry @token. */
int store_watch(struct store *store, const char *path, const char *token);
int store_unwatch(struct store *store, const char *path, const char *token);

/** Readable when a watch event may wait. */
int store_fd(struct store *store);

/**
 * Take one watch event without blocking. Returns 1 with path and token copied, 0 when none waits
 * or -ECONNRESET/... when XenStore is gone. Drain until 0 whenever store_fd() is readable.
 */
int store_next_event(struct store *store, char path[static STORE_PATH_MAX],
		     char token[static STORE_PATH_MAX]);

/**
 * From now on store_wait() ends with -EINTR when @fd (a signalfd, say) is readable; -1 for none.
 * The descriptor stays the caller's.
 */
void store_set_interrupt(struct store *store, int fd);
/** That descriptor, or -1: for other waits of the same caller. */
int store_interrupt(const struct store *store);

/**
 * Wait for watch events until @ready returns non-zero, which is then returned; -ETIMEDOUT when
 * @deadline_ns (CLOCK_MONOTONIC, see now_ns(); UINT64_MAX for never) passes first. @ready is called
 * at once, and again after each batch of events. Set the watches before.
 */
int store_wait(struct store *store, uint64_t deadline_ns,
	       int (*ready)(struct store *store, void *opaque), void *opaque);

#endif
