/* SPDX-License-Identifier: MIT */
/*
 * Discards of the file engine: a hole in a file, BLKDISCARD on a device. There is no asynchronous
 * call for either, and one may take long: a thread of each image_io makes them, one after the
 * other.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "image-engine.h"
#include "num.h"

struct image_discarder {
	const struct image_aio_target *target;
	struct image_io *io; /* whose event_fd tells of the end of one */
	pthread_t thread;
	pthread_mutex_t mutex; /* of all below */
	pthread_cond_t news;
	struct image_op_list waiting, finished;
	bool closing;
};

/* --- what an image can ------------------------------------------------------------------------ */

static uint32_t read_number(const struct stat *st, const char *key, uint32_t otherwise)
{
	unsigned long long number = 0;
	char path[96];
	FILE *file;
	int n = 0;

	snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/%s", major(st->st_rdev),
		 minor(st->st_rdev), key);
	file = fopen(path, "re");
	if (file) {
		n = fscanf(file, "%llu", &number);
		fclose(file);
	}
	return n == 1 && number && number <= UINT32_MAX ? (uint32_t)number : otherwise;
}

/* A partition has no queue of its own in sysfs; its disk's is one level up. */
static uint32_t device_granularity(const struct stat *st)
{
	return read_number(st, "queue/discard_granularity",
			   read_number(st, "../queue/discard_granularity", SECTOR_BYTES));
}

/*
 * A range that no device takes, since it does not begin at a sector: one that cannot discard at all
 * says so before it looks at the range. Nothing is discarded either way.
 */
static bool takes(int fd, unsigned long request)
{
	uint64_t range[2] = {1, 0};

	return !ioctl(fd, request, range) || errno == EINVAL;
}

/* Beyond the end of a file there is nothing that a hole could take away. */
static bool punches(int fd, const struct image_facts *facts)
{
	uint64_t end = (facts->size_bytes + 4095) & ~4095ull;

	return !fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)end, 4096);
}

enum image_discard_way image_try_discard(int fd, const struct stat *st, struct image_facts *facts)
{
	if (S_ISBLK(st->st_mode)) {
		if (!takes(fd, BLKDISCARD))
			return DISCARD_NONE;
		facts->can_discard = true;
		facts->can_discard_secure = takes(fd, BLKSECDISCARD);
		facts->discard_granularity_bytes = device_granularity(st);
		facts->discard_alignment_bytes = read_number(st, "discard_alignment", 0);
		return DISCARD_DEVICE;
	}
	if (!punches(fd, facts))
		return DISCARD_NONE;
	facts->can_discard = true;
	/* Less than a block is filled with zeros instead, which frees nothing. */
	facts->discard_granularity_bytes =
		st->st_blksize > 0 ? (uint32_t)st->st_blksize : SECTOR_BYTES;
	return DISCARD_PUNCH;
}

/* --- doing it --------------------------------------------------------------------------------- */

static int perform(const struct image_aio_target *target, const struct image_op *op)
{
	uint64_t range[2] = {op->offset_bytes, op->length_bytes};
	int ret;

	do {
		if (target->discard == DISCARD_DEVICE)
			ret = ioctl(target->fd, op->secure ? BLKSECDISCARD : BLKDISCARD, range);
		else
			ret = fallocate(target->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
					(off_t)op->offset_bytes, (off_t)op->length_bytes);
	} while (ret && errno == EINTR);
	if (!ret)
		return 0;
	/* Said in several ways: what looked able is not. */
	return errno == ENOSYS || errno == ENOTTY ? -EOPNOTSUPP : -errno;
}

static void finish(struct image_discarder *discarder, struct image_op *op)
{
	pthread_mutex_lock(&discarder->mutex);
	image_list_append(&discarder->finished, op);
	/* Before anybody can take it: an event that comes later would tell of nothing. */
	image_io_signal(discarder->io);
	pthread_mutex_unlock(&discarder->mutex);
}

/* The next one, waited for; NULL at the end. */
static struct image_op *next(struct image_discarder *discarder)
{
	struct image_op *op;

	pthread_mutex_lock(&discarder->mutex);
	while (!discarder->waiting.first && !discarder->closing)
		pthread_cond_wait(&discarder->news, &discarder->mutex);
	op = image_list_take(&discarder->waiting);
	pthread_mutex_unlock(&discarder->mutex);
	return op;
}

static void *work(void *opaque)
{
	struct image_discarder *discarder = opaque;
	struct image_op *op;

	while ((op = next(discarder))) {
		op->result = perform(discarder->target, op);
		finish(discarder, op);
	}
	return NULL;
}

/* Signals are for the threads that wait for them. */
static int start(struct image_discarder *discarder)
{
	sigset_t all, before;
	int ret;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	ret = pthread_create(&discarder->thread, NULL, work, discarder);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return -ret;
}

int image_discarder_open(struct image_discarder **out, const struct image_aio_target *target,
			 struct image_io *io)
{
	struct image_discarder *discarder = calloc(1, sizeof(*discarder));
	int ret;

	if (!discarder)
		return -ENOMEM;
	discarder->target = target;
	discarder->io = io;
	pthread_mutex_init(&discarder->mutex, NULL);
	pthread_cond_init(&discarder->news, NULL);
	ret = start(discarder);
	if (ret) {
		pthread_cond_destroy(&discarder->news);
		pthread_mutex_destroy(&discarder->mutex);
		free(discarder);
		return ret;
	}
	*out = discarder;
	return 0;
}

void image_discarder_close(struct image_discarder *discarder)
{
	if (!discarder)
		return;
	pthread_mutex_lock(&discarder->mutex);
	discarder->closing = true;
	pthread_cond_signal(&discarder->news);
	pthread_mutex_unlock(&discarder->mutex);
	pthread_join(discarder->thread, NULL);
	pthread_cond_destroy(&discarder->news);
	pthread_mutex_destroy(&discarder->mutex);
	free(discarder);
}

void image_discarder_submit(struct image_discarder *discarder, struct image_op *op)
{
	pthread_mutex_lock(&discarder->mutex);
	image_list_append(&discarder->waiting, op);
	pthread_cond_signal(&discarder->news);
	pthread_mutex_unlock(&discarder->mutex);
}

unsigned image_discarder_reap(struct image_discarder *discarder, struct image_op **ops,
			      unsigned max, bool *more)
{
	unsigned n = 0;

	*more = false;
	if (!discarder)
		return 0;
	pthread_mutex_lock(&discarder->mutex);
	while (n < max && discarder->finished.first)
		ops[n++] = image_list_take(&discarder->finished);
	*more = discarder->finished.first;
	pthread_mutex_unlock(&discarder->mutex);
	return n;
}
