/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "rundir.h"
#include "stats.h"

/* Blocks of counters are gone through as words, whatever their members are. */
typedef uint64_t __attribute__((may_alias)) word;

#define WORDS(bytes) ((bytes) / sizeof(word))

_Static_assert(sizeof(struct stats_file) % sizeof(uint64_t) == 0, "copied word by word");

static int map_new(const char *path, struct stats_file **out)
{
	void *memory = MAP_FAILED;
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0644), ret = 0;

	if (fd < 0)
		return -errno;
	/* Real blocks: a full file system must fail here, not with SIGBUS while serving. */
	if (fchmod(fd, 0644))
		ret = -errno;
	if (!ret)
		ret = -posix_fallocate(fd, 0, sizeof(struct stats_file));
	if (!ret) {
		memory = mmap(NULL, sizeof(struct stats_file), PROT_READ | PROT_WRITE, MAP_SHARED,
			      fd, 0);
		ret = memory == MAP_FAILED ? -errno : 0;
	}
	close(fd);
	if (ret) {
		unlink(path);
		return ret;
	}
	*out = memory;
	return 0;
}

static void copy_stop(struct stats_file *stats, const struct stats_file *stopped)
{
	stats->stopped_clean = 1;
	stats->queues = stopped->queues;
	for (unsigned i = 0; i < STATS_QUEUES; i++)
		stats->queue[i].rsp_prod = stopped->queue[i].rsp_prod;
}

int stats_create(struct stats_file **out, const struct disk *disk, const struct stats_file *stopped)
{
	char path[PATH_MAX], new_path[PATH_MAX];
	struct stats_file *stats = NULL;
	int ret = rundir_make(disk);

	if (!ret)
		ret = rundir_path(disk, "stat", path);
	if (!ret)
		ret = rundir_path(disk, "stat.new", new_path);
	if (!ret)
		ret = map_new(new_path, &stats);
	if (ret)
		return ret;
	stats->magic = STATS_MAGIC;
	stats->version = STATS_VERSION;
	stats->size_bytes = sizeof(*stats);
	stats->start_ns = now_ns();
	stats->pid = (uint32_t)getpid();
	stats->domid = disk->domid;
	stats->vdev = disk->vdev;
	snprintf(stats->disk, sizeof(stats->disk), "%s", disk->name);
	if (stopped)
		copy_stop(stats, stopped);
	/* A reader sees the old file or this one, whole. */
	if (rename(new_path, path)) {
		ret = -errno;
		unlink(new_path);
		stats_unmap(stats);
		return ret;
	}
	*out = stats;
	return 0;
}

void stats_unmap(struct stats_file *stats)
{
	if (stats)
		munmap(stats, sizeof(*stats));
}

static int check_copy(struct stats_file *stats)
{
	if (stats->magic != STATS_MAGIC || stats->version != STATS_VERSION ||
	    stats->size_bytes != sizeof(*stats) || stats->queues > STATS_QUEUES)
		return -EPROTO;
	stats->data_path[sizeof(stats->data_path) - 1] = '\0';
	stats->disk[sizeof(stats->disk) - 1] = '\0';
	stats->image[sizeof(stats->image) - 1] = '\0';
	return 0;
}

/* Word by word: a counter is never seen half written. */
static void copy_live(const struct stats_file *from, struct stats_file *to)
{
	const word *source = (const word *)from;
	word *target = (word *)to;

	for (size_t i = 0; i < WORDS(sizeof(*to)); i++)
		target[i] = __atomic_load_n(&source[i], __ATOMIC_RELAXED);
}

int stats_read(const struct disk *disk, struct stats_file *out)
{
	char path[PATH_MAX];
	struct stat st;
	void *memory = MAP_FAILED;
	int fd, ret = rundir_path(disk, "stat", path);

	if (ret)
		return ret;
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (fd < 0)
		return -errno;
	if (fstat(fd, &st))
		ret = -errno;
	else if (!S_ISREG(st.st_mode) || st.st_size != (off_t)sizeof(*out))
		ret = -EPROTO;
	if (!ret) {
		memory = mmap(NULL, sizeof(*out), PROT_READ, MAP_SHARED, fd, 0);
		ret = memory == MAP_FAILED ? -errno : 0;
	}
	close(fd);
	if (ret)
		return ret;
	copy_live(memory, out);
	munmap(memory, sizeof(*out));
	return check_copy(out);
}

static unsigned bucket_of(uint64_t latency_ns)
{
	unsigned bucket = 63u - (unsigned)__builtin_clzll(latency_ns | 1);

	return bucket < STATS_BUCKETS ? bucket : STATS_BUCKETS - 1;
}

void stats_count(struct stats_queue *queue, enum stats_op op, int ok, uint64_t sectors,
		 uint64_t latency_ns)
{
	struct stats_op_counters *counters = &queue->op[op];

	if (ok) {
		counters->done++;
		counters->sectors += sectors;
	} else {
		counters->failed++;
	}
	counters->total_ns += latency_ns;
	counters->bucket[bucket_of(latency_ns)]++;
}

uint64_t stats_percentile_ns(const struct stats_op_counters *counters, unsigned permille)
{
	uint64_t total = 0, above, seen = 0;
	unsigned bucket;

	for (bucket = 0; bucket < STATS_BUCKETS; bucket++)
		total += counters->bucket[bucket];
	if (!total)
		return 0;
	/* How many may lie above; split, so that nothing wraps. */
	permille = permille < 1000 ? permille : 1000;
	above = total / 1000 * (1000 - permille) + total % 1000 * (1000 - permille) / 1000;
	for (bucket = 0; bucket < STATS_BUCKETS - 1; bucket++) {
		seen += counters->bucket[bucket];
		if (seen && total - seen <= above)
			break;
	}
	return 1ull << (bucket + 1);
}

/* All counters of a queue from its start up to the gauge that is a time. */
#define SUMMED_WORDS WORDS(offsetof(struct stats_queue, oldest_ns))
_Static_assert(sizeof(struct pages_counters) % sizeof(uint64_t) == 0, "summed word by word");
_Static_assert(offsetof(struct stats_queue, oldest_ns) + sizeof(uint64_t) ==
		       offsetof(struct stats_queue, req_cons),
	       "what is no counter comes last");

void stats_sum(const struct stats_file *stats, struct stats_queue *out)
{
	word *sum = (word *)out;

	*out = (struct stats_queue){0};
	/* Counters only grow: those of queues of earlier connections are part of the sum. */
	for (uint32_t q = 0; q < STATS_QUEUES; q++) {
		const word *counter = (const word *)&stats->queue[q];

		for (size_t i = 0; i < SUMMED_WORDS; i++)
			sum[i] += counter[i];
	}
	for (uint32_t q = 0; q < stats->queues && q < STATS_QUEUES; q++) {
		const struct stats_queue *queue = &stats->queue[q];

		if (queue->oldest_ns && (!out->oldest_ns || queue->oldest_ns < out->oldest_ns))
			out->oldest_ns = queue->oldest_ns;
		out->req_cons += queue->req_cons;
		out->rsp_prod += queue->rsp_prod;
	}
}

unsigned stats_stopped(const struct stats_file *stats)
{
	unsigned stopped = 0;

	for (uint32_t q = 0; stats->connected && q < stats->queues && q < STATS_QUEUES; q++)
		stopped += stats->queue[q].stopped != 0;
	return stopped;
}
