/* SPDX-License-Identifier: MIT */
/*
 * The file engine's way to the kernel: a batch is one io_submit, completions come by an eventfd.
 * Discards take another way: image-discard.c.
 */
#include <errno.h>
#include <libaio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "image-engine.h"
#include "num.h"

struct aio_io {
	struct image_io base;
	const struct image_aio_target *target;
	io_context_t context;
	unsigned depth;
	unsigned in_flight;		   /* the kernel has them */
	struct image_op_list waiting;	   /* to be started, in order */
	struct image_op_list finished;	   /* known without the kernel's event */
	struct iocb **batch;		   /* depth of them */
	struct io_event *events;	   /* depth of them */
	struct image_discarder *discarder; /* from the first discard on */
};

_Static_assert(sizeof(struct iocb) <= sizeof(((struct image_op *)0)->space),
	       "an iocb must fit into image_op.space");

static struct iocb *iocb_of(struct image_op *op)
{
	return (struct iocb *)op->space;
}

/* The unit of direct I/O may be larger than a guest's segment need be. */
static int fd_for(const struct image_aio_target *target, const struct iovec *iov, int iovcnt)
{
	uintptr_t odd = 0;

	if (target->unit_bytes <= SECTOR_BYTES)
		return target->fd;
	for (int i = 0; i < iovcnt; i++)
		odd |= (uintptr_t)iov[i].iov_base | iov[i].iov_len;
	return odd % target->unit_bytes ? target->odd_fd : target->fd;
}

static void prepare(const struct aio_io *io, struct image_op *op)
{
	struct iocb *iocb = iocb_of(op);
	long long offset = (long long)(op->offset_bytes + op->done_bytes);
	struct iovec *iov = op->iov;
	int iovcnt = (int)op->iovcnt;

	for (; iovcnt && !iov->iov_len; iovcnt--)
		iov++;
	if (op->operation == IMAGE_READ)
		io_prep_preadv(iocb, fd_for(io->target, iov, iovcnt), iov, iovcnt, offset);
	else if (op->operation == IMAGE_WRITE)
		io_prep_pwritev(iocb, fd_for(io->target, iov, iovcnt), iov, iovcnt, offset);
	else
		io_prep_fdsync(iocb, io->target->fd);
	iocb->data = op;
	io_set_eventfd(iocb, io->base.event_fd);
}

/* Give @op to the discarder. 0, or a negative errno why not. */
static int discard(struct aio_io *io, struct image_op *op)
{
	int ret = 0;

	if (io->target->read_only)
		return -EROFS;
	if (io->target->discard == DISCARD_NONE ||
	    (op->secure && io->target->discard != DISCARD_DEVICE))
		return -EOPNOTSUPP;
	if (!io->discarder)
		ret = image_discarder_open(&io->discarder, io->target, &io->base);
	if (!ret)
		image_discarder_submit(io->discarder, op);
	return ret;
}

/* Is the result known without asking libaio? */
static bool settled_at_once(const struct aio_io *io, struct image_op *op)
{
	if (op->operation == IMAGE_WRITE && io->target->read_only) {
		op->result = -EROFS;
		return true;
	}
	if (op->operation != IMAGE_FLUSH || io->target->flush == FLUSH_AIO)
		return false;
	if (io->target->flush == FLUSH_NONE)
		op->result = -EOPNOTSUPP;
	else
		op->result = fdatasync(io->target->fd) ? -errno : 0;
	return true;
}

static void start_waiting(struct aio_io *io, uint64_t *calls)
{
	while (io->waiting.first) {
		struct image_op *op = io->waiting.first;
		unsigned n = 0;
		int taken;

		for (; op && n < io->depth - io->in_flight; op = op->next)
			io->batch[n++] = iocb_of(op);
		if (!n)
			return;
		taken = io_submit(io->context, n, io->batch);
		++*calls;
		/* Short of something that a completion gives back: reap comes here again. */
		if (taken == -EAGAIN && io->in_flight)
			return;
		if (taken <= 0) {
			op = image_list_take(&io->waiting);
			op->result = taken ? taken : -EIO;
			image_list_append(&io->finished, op);
			continue;
		}
		io->in_flight += (unsigned)taken;
		while (taken--)
			image_list_take(&io->waiting);
	}
}

void image_aio_submit(struct image_io *base, struct image_op **ops, unsigned n, uint64_t *calls)
{
	struct aio_io *io = (struct aio_io *)base;
	bool silent = !io->finished.first;

	for (unsigned i = 0; i < n; i++) {
		if (ops[i]->operation == IMAGE_DISCARD) {
			int ret = discard(io, ops[i]);

			if (ret) {
				ops[i]->result = ret;
				image_list_append(&io->finished, ops[i]);
			}
			continue;
		}
		if (settled_at_once(io, ops[i])) {
			image_list_append(&io->finished, ops[i]);
			continue;
		}
		prepare(io, ops[i]);
		image_list_append(&io->waiting, ops[i]);
	}
	start_waiting(io, calls);
	if (silent && io->finished.first)
		image_io_signal(base);
}

static void skip_done(struct image_op *op, uint64_t bytes)
{
	for (struct iovec *iov = op->iov; bytes; iov++) {
		size_t n = iov->iov_len < bytes ? iov->iov_len : bytes;

		iov->iov_base = (char *)iov->iov_base + n;
		iov->iov_len -= n;
		bytes -= n;
	}
}

/*
 * Take the kernel's answer. False when a part is still to be done: whole sectors only, since direct
 * I/O cannot go on in the middle of one. Less than a sector is no progress: the end of a file that
 * shrank.
 */
static bool settle(const struct aio_io *io, struct image_op *op, long result)
{
	uint64_t left = op->length_bytes - op->done_bytes, step;

	op->result = result < 0 ? (int)result : 0;
	if (result < 0 || op->operation == IMAGE_FLUSH || (uint64_t)result >= left)
		return true;
	step = (uint64_t)result - (uint64_t)result % io->target->unit_bytes;
	if (!step) {
		op->result = -EIO;
		return true;
	}
	op->done_bytes += step;
	skip_done(op, step);
	return false;
}

/* Events of the kernel, at most @max of them; finished operations go into @ops. */
static unsigned harvest(struct aio_io *io, struct image_op **ops, unsigned max, bool *more,
			uint64_t *calls)
{
	struct timespec at_once = {0};
	unsigned wanted = max < io->in_flight ? max : io->in_flight, n = 0;
	int got = 0;

	if (wanted) {
		got = io_getevents(io->context, 0, (long)wanted, io->events, &at_once);
		++*calls;
	}
	/* No answer, such as EINTR, is no word on events: they are asked for again. */
	*more = got < 0;
	if (got < 0)
		got = 0;
	io->in_flight -= (unsigned)got;
	*more |= (unsigned)got == wanted && io->in_flight;
	for (int i = 0; i < got; i++) {
		struct image_op *op = io->events[i].data;

		if (settle(io, op, (long)io->events[i].res)) {
			ops[n++] = op;
			continue;
		}
		prepare(io, op);
		image_list_prepend(&io->waiting, op);
	}
	return n;
}

unsigned image_aio_reap(struct image_io *base, struct image_op **ops, unsigned max, uint64_t *calls)
{
	struct aio_io *io = (struct aio_io *)base;
	unsigned n = 0;
	bool more, more_discards;

	/* Before the look at the events: one that comes after the look makes it readable again. */
	image_io_quiet(base);
	while (n < max && io->finished.first)
		ops[n++] = image_list_take(&io->finished);
	n += image_discarder_reap(io->discarder, ops + n, max - n, &more_discards);
	n += harvest(io, ops + n, max - n, &more, calls);
	start_waiting(io, calls);
	if (more || more_discards || io->finished.first)
		image_io_signal(base);
	return n;
}

int image_aio_open(struct image_io **out, const struct image_aio_target *target, unsigned depth)
{
	struct aio_io *io = calloc(1, sizeof(*io));
	int ret;

	if (!io)
		return -ENOMEM;
	io->target = target;
	io->depth = depth;
	io->base.event_fd = -1;
	io->batch = calloc(depth, sizeof(*io->batch));
	io->events = calloc(depth, sizeof(*io->events));
	ret = io->batch && io->events ? image_io_init(&io->base) : -ENOMEM;
	if (!ret)
		ret = io_setup((int)depth, &io->context);
	if (ret) {
		io->context = NULL;
		image_aio_close(&io->base);
		return ret;
	}
	*out = &io->base;
	return 0;
}

void image_aio_close(struct image_io *base)
{
	struct aio_io *io = (struct aio_io *)base;

	image_discarder_close(io->discarder);
	if (io->context)
		io_destroy(io->context);
	image_io_fini(base);
	free(io->batch);
	free(io->events);
	free(io);
}

static int flush_by_aio(int fd)
{
	struct iocb iocb, *batch[] = {&iocb};
	io_context_t context = NULL;
	struct io_event event;
	int ret = io_setup(1, &context);

	if (ret)
		return ret;
	io_prep_fdsync(&iocb, fd);
	ret = io_submit(context, 1, batch);
	if (ret == 1) {
		do {
			ret = io_getevents(context, 1, 1, &event, NULL);
		} while (ret == -EINTR);
		ret = ret == 1 ? (int)event.res : ret;
	}
	io_destroy(context);
	return ret;
}

static bool means_unable(int ret)
{
	return ret == -EINVAL || ret == -EOPNOTSUPP || ret == -ENOSYS || ret == -EROFS;
}

int image_aio_try_flush(int fd)
{
	int ret = flush_by_aio(fd);

	if (!ret)
		return FLUSH_AIO;
	if (!means_unable(ret))
		return ret;
	if (!fdatasync(fd))
		return FLUSH_CALL;
	return means_unable(-errno) ? FLUSH_NONE : -errno;
}
