/* SPDX-License-Identifier: MIT */
/* libaio and libxenstore, which are the real ones: calls of the program's pass through here. */
#include "preload.h"

#include <errno.h>
#include <libaio.h>
#include <xenstore.h>

/* libaio returns its errors. */

SIM_EXPORT int io_setup(int depth, io_context_t *context)
{
	return SIM_OWN_FAILS(io_setup) ? -errno : SIM_NEXT(io_setup)(depth, context);
}

SIM_EXPORT int io_submit(io_context_t context, long count, struct iocb *batch[])
{
	return SIM_OWN_FAILS(io_submit) ? -errno : SIM_NEXT(io_submit)(context, count, batch);
}

SIM_EXPORT int io_getevents(io_context_t context, long min, long max, struct io_event *events,
			    struct timespec *timeout)
{
	return SIM_OWN_FAILS(io_getevents)
		       ? -errno
		       : SIM_NEXT(io_getevents)(context, min, max, events, timeout);
}

SIM_EXPORT struct xs_handle *xs_open(unsigned long flags)
{
	return SIM_OWN_FAILS(xs_open) ? NULL : SIM_NEXT(xs_open)(flags);
}

SIM_EXPORT xs_transaction_t xs_transaction_start(struct xs_handle *xs)
{
	return SIM_OWN_FAILS(xs_transaction_start) ? XBT_NULL : SIM_NEXT(xs_transaction_start)(xs);
}

/* One that fails is over all the same. */
SIM_EXPORT bool xs_transaction_end(struct xs_handle *xs, xs_transaction_t tx, bool abort)
{
	int error;

	if (!SIM_OWN_FAILS(xs_transaction_end))
		return SIM_NEXT(xs_transaction_end)(xs, tx, abort);
	error = errno;
	SIM_NEXT(xs_transaction_end)(xs, tx, true);
	errno = error;
	return false;
}

SIM_EXPORT void *xs_read(struct xs_handle *xs, xs_transaction_t tx, const char *path,
			 unsigned int *length)
{
	return SIM_OWN_FAILS(xs_read) ? NULL : SIM_NEXT(xs_read)(xs, tx, path, length);
}

SIM_EXPORT bool xs_write(struct xs_handle *xs, xs_transaction_t tx, const char *path,
			 const void *data, unsigned int length)
{
	return !SIM_OWN_FAILS(xs_write) && SIM_NEXT(xs_write)(xs, tx, path, data, length);
}

SIM_EXPORT bool xs_rm(struct xs_handle *xs, xs_transaction_t tx, const char *path)
{
	return !SIM_OWN_FAILS(xs_rm) && SIM_NEXT(xs_rm)(xs, tx, path);
}

SIM_EXPORT char **xs_directory(struct xs_handle *xs, xs_transaction_t tx, const char *path,
			       unsigned int *count)
{
	return SIM_OWN_FAILS(xs_directory) ? NULL : SIM_NEXT(xs_directory)(xs, tx, path, count);
}

SIM_EXPORT bool xs_set_permissions(struct xs_handle *xs, xs_transaction_t tx, const char *path,
				   struct xs_permissions *permissions, unsigned int count)
{
	return !SIM_OWN_FAILS(xs_set_permissions) &&
	       SIM_NEXT(xs_set_permissions)(xs, tx, path, permissions, count);
}

SIM_EXPORT bool xs_watch(struct xs_handle *xs, const char *path, const char *token)
{
	return !SIM_OWN_FAILS(xs_watch) && SIM_NEXT(xs_watch)(xs, path, token);
}

SIM_EXPORT bool xs_unwatch(struct xs_handle *xs, const char *path, const char *token)
{
	return !SIM_OWN_FAILS(xs_unwatch) && SIM_NEXT(xs_unwatch)(xs, path, token);
}

SIM_EXPORT char **xs_check_watch(struct xs_handle *xs)
{
	return SIM_OWN_FAILS(xs_check_watch) ? NULL : SIM_NEXT(xs_check_watch)(xs);
}
