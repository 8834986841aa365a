/* SPDX-License-Identifier: MIT */
/*
 * Reading and writing a stretch of the disk, many requests at once. Chunks go round in a window:
 * submitted in order, finished in any order, read ones written out in order.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "front-job.h"
#include "num.h"

struct chunk {
	struct front_op op;
	bool in_flight;
};

struct transfer {
	struct front_job *job;
	enum request_operation operation;
	int fd; /* the other side: a file or a standard stream */
	const char *fd_name;
	struct chunk *chunks;
	char *memory;
	uint64_t n_chunks, chunk_bytes; /* what fits one request; a multiple of every sector size */
	uint64_t head, next;		/* chunks: oldest not yet done with, next to be submitted */
	uint64_t offset_bytes, end_bytes; /* of the disk: next to be submitted, end */
	uint64_t done_bytes;
	bool input_ended;
};

static int open_transfer(struct transfer *transfer, struct err *e)
{
	transfer->chunk_bytes =
		(uint64_t)front_facts(transfer->job->front)->max_segments * RING_PAGE_BYTES;
	transfer->n_chunks = 2 * (uint64_t)transfer->job->iodepth;
	transfer->chunks = calloc(transfer->n_chunks, sizeof(*transfer->chunks));
	transfer->memory = malloc(transfer->n_chunks * transfer->chunk_bytes);
	if (!transfer->chunks || !transfer->memory)
		return err_set(e, -ENOMEM, TAP_EXIT_SYSTEM, "no memory");
	for (uint64_t i = 0; i < transfer->n_chunks; i++) {
		transfer->chunks[i].op.data = transfer->memory + i * transfer->chunk_bytes;
		transfer->chunks[i].op.owner = &transfer->chunks[i];
		transfer->chunks[i].op.operation = transfer->operation;
	}
	return 0;
}

static void close_transfer(struct transfer *transfer)
{
	front_forget(transfer->job->front);
	free(transfer->chunks);
	free(transfer->memory);
}

static struct chunk *chunk_at(struct transfer *transfer, uint64_t index)
{
	return &transfer->chunks[index % transfer->n_chunks];
}

static int submit_chunk(struct transfer *transfer, uint64_t length_bytes, struct err *e)
{
	struct chunk *chunk = chunk_at(transfer, transfer->next);
	int ret;

	chunk->op.offset_bytes = transfer->offset_bytes;
	chunk->op.length_bytes = length_bytes;
	ret = front_submit(transfer->job->front, &chunk->op);
	if (ret)
		return err_set(e, ret, TAP_EXIT_SYSTEM, "cannot submit: %s", strerror(-ret));
	chunk->in_flight = true;
	transfer->next++;
	transfer->offset_bytes += length_bytes;
	return 0;
}

static int poll_chunks(struct transfer *transfer, struct err *e)
{
	struct front_op *done;
	int ret = front_poll(transfer->job->front, UINT64_MAX, &done, e);

	for (; !ret && done; done = done->next) {
		struct chunk *chunk = done->owner;

		chunk->in_flight = false;
		ret = front_op_error(done, e);
	}
	return ret;
}

static int write_all(struct transfer *transfer, const char *data, uint64_t length_bytes,
		     struct err *e)
{
	while (length_bytes) {
		ssize_t n = write(transfer->fd, data, length_bytes);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_set(e, -errno, TAP_EXIT_SYSTEM, "cannot write to %s: %s",
				       transfer->fd_name, strerror(errno));
		data += n;
		length_bytes -= (uint64_t)n;
	}
	return 0;
}

/* What finished at the head leaves the window. */
static int retire_chunks(struct transfer *transfer, uint64_t total, struct err *e)
{
	int ret = 0;

	while (!ret && transfer->head < transfer->next) {
		struct chunk *chunk = chunk_at(transfer, transfer->head);

		if (chunk->in_flight)
			break;
		if (transfer->operation == REQUEST_READ)
			ret = write_all(transfer, chunk->op.data, chunk->op.length_bytes, e);
		transfer->head++;
		transfer->done_bytes += chunk->op.length_bytes;
	}
	progress_show(&transfer->job->progress, transfer->done_bytes, total, NULL);
	return ret;
}

static int read_disk(struct transfer *transfer, struct err *e)
{
	uint64_t total = transfer->end_bytes - transfer->offset_bytes;
	int ret = 0;

	while (!ret && transfer->done_bytes < total) {
		while (!ret && transfer->offset_bytes < transfer->end_bytes &&
		       transfer->next - transfer->head < transfer->n_chunks) {
			uint64_t left = transfer->end_bytes - transfer->offset_bytes;

			ret = submit_chunk(
				transfer,
				left < transfer->chunk_bytes ? left : transfer->chunk_bytes, e);
		}
		if (!ret)
			ret = poll_chunks(transfer, e);
		if (!ret)
			ret = retire_chunks(transfer, total, e);
	}
	return ret;
}

/* A signal must end the wait for a slow pipe. */
static int wait_input(struct transfer *transfer)
{
	struct pollfd fds[] = {
		{.fd = transfer->fd, .events = POLLIN},
		{.fd = transfer->job->wake_fd, .events = POLLIN},
	};

	if (poll(fds, ARRAY_SIZE(fds), -1) < 0)
		return -errno;
	return fds[1].revents ? -EINTR : 0;
}

/* Up to a chunk of input into @data; less only at its end. */
static int64_t read_chunk(struct transfer *transfer, char *data, struct err *e)
{
	uint64_t got = 0;

	while (got < transfer->chunk_bytes) {
		ssize_t n;
		int ret = wait_input(transfer);

		if (ret < 0)
			return err_set(e, ret, err_exit_of(ret), "cannot wait for %s: %s",
				       transfer->fd_name, strerror(-ret));
		n = read(transfer->fd, data + got, transfer->chunk_bytes - got);
		if (n < 0)
			return err_set(e, -errno, TAP_EXIT_SYSTEM, "cannot read %s: %s",
				       transfer->fd_name, strerror(errno));
		if (!n)
			break;
		got += (uint64_t)n;
	}
	return (int64_t)got;
}

/* Read the next chunk of input and submit it. */
static int feed_chunk(struct transfer *transfer, struct err *e)
{
	uint32_t unit = front_facts(transfer->job->front)->sector_bytes;
	int64_t n = read_chunk(transfer, chunk_at(transfer, transfer->next)->op.data, e);

	if (n < 0)
		return (int)n;
	transfer->input_ended = (uint64_t)n < transfer->chunk_bytes;
	if (!n)
		return 0;
	if (n % unit)
		return err_set(e, -EINVAL, TAP_EXIT_USAGE,
			       "%s ends in the middle of a sector of %" PRIu32 " bytes; %" PRIu64
			       " bytes before that were written",
			       transfer->fd_name, unit, transfer->done_bytes);
	if ((uint64_t)n > transfer->end_bytes - transfer->offset_bytes)
		return err_set(e, -ENOSPC, TAP_EXIT_USAGE,
			       "%s is longer than the disk has room: it ends at %" PRIu64
			       "; what came before was written",
			       transfer->fd_name, transfer->end_bytes);
	return submit_chunk(transfer, (uint64_t)n, e);
}

static int write_disk(struct transfer *transfer, uint64_t total, struct err *e)
{
	int ret = 0;

	for (;;) {
		while (!ret && !transfer->input_ended &&
		       transfer->next - transfer->head < transfer->n_chunks) {
			ret = feed_chunk(transfer, e);
			if (!ret)
				ret = front_kick(transfer->job->front);
		}
		if (ret || transfer->head == transfer->next)
			return ret;
		ret = poll_chunks(transfer, e);
		if (!ret)
			ret = retire_chunks(transfer, total, e);
		if (ret)
			return ret;
	}
}

int front_read(struct front_job *job, struct err *e)
{
	struct transfer transfer = {
		.job = job,
		.operation = REQUEST_READ,
		.fd = STDOUT_FILENO,
		.fd_name = job->output ? job->output : "standard output",
	};
	int ret = front_extent(job, e);

	if (ret)
		return ret;
	if (job->output)
		transfer.fd = open(job->output, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
	if (transfer.fd < 0)
		return err_set(e, -errno, err_exit_of(-errno), "cannot open '%s': %s", job->output,
			       strerror(errno));
	transfer.offset_bytes = job->offset_bytes;
	transfer.end_bytes = job->offset_bytes + job->length_bytes;
	progress_start(&job->progress, "read");
	ret = open_transfer(&transfer, e);
	if (!ret)
		ret = read_disk(&transfer, e);
	close_transfer(&transfer);
	if (job->output && close(transfer.fd) && !ret)
		ret = err_set(e, -errno, TAP_EXIT_SYSTEM, "cannot write to %s: %s", job->output,
			      strerror(errno));
	return ret;
}

/* How much input there is, where that can be known before. */
static int check_input(struct front_job *job, int fd, const char *name, uint64_t *total_bytes,
		       struct err *e)
{
	struct stat st;
	off_t at = lseek(fd, 0, SEEK_CUR);

	*total_bytes = 0;
	if (at < 0 || fstat(fd, &st) || !S_ISREG(st.st_mode))
		return 0;
	*total_bytes = at < st.st_size ? (uint64_t)(st.st_size - at) : 0;
	if (*total_bytes % front_facts(job->front)->sector_bytes)
		return err_set(e, -EINVAL, TAP_EXIT_USAGE,
			       "%s: %" PRIu64 " bytes are no multiple of the sector size, %" PRIu32,
			       name, *total_bytes, front_facts(job->front)->sector_bytes);
	if (*total_bytes > front_disk_bytes(job) - job->offset_bytes)
		return err_set(e, -ENOSPC, TAP_EXIT_USAGE,
			       "%s: %" PRIu64 " bytes at %" PRIu64
			       " reach behind the end of the disk, %" PRIu64,
			       name, *total_bytes, job->offset_bytes, front_disk_bytes(job));
	return 0;
}

int front_write(struct front_job *job, struct err *e)
{
	struct transfer transfer = {
		.job = job,
		.operation = REQUEST_WRITE,
		.fd = STDIN_FILENO,
		.fd_name = job->input ? job->input : "standard input",
	};
	uint64_t total_bytes;
	int ret = front_extent(job, e);

	if (!ret)
		ret = front_may_write(job, e);
	if (ret)
		return ret;
	if (job->input)
		transfer.fd = open(job->input, O_RDONLY | O_CLOEXEC);
	if (transfer.fd < 0)
		return err_set(e, -errno, err_exit_of(-errno), "cannot open '%s': %s", job->input,
			       strerror(errno));
	transfer.offset_bytes = job->offset_bytes;
	transfer.end_bytes = front_disk_bytes(job);
	ret = check_input(job, transfer.fd, transfer.fd_name, &total_bytes, e);
	if (!ret)
		ret = open_transfer(&transfer, e);
	progress_start(&job->progress, "write");
	if (!ret)
		ret = write_disk(&transfer, total_bytes, e);
	close_transfer(&transfer);
	/* Done means durable, where the disk can say so. */
	if (!ret && front_facts(job->front)->flush)
		ret = front_flush(job, e);
	if (job->input)
		close(transfer.fd);
	return ret;
}
