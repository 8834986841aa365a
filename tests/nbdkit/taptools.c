/* SPDX-License-Identifier: MIT */
/*
 * An nbdkit plugin over lib/front.h: any NBD client drives a ring.
 *
 *   nbdkit build/nbdkit-taptools-plugin.so disk=1/xvda [fresh-grants=true] [abi=x86_32]
 *	[queues=N|max] [ring-order=N|max] [indirect=N|max] --run ...
 *
 * A front belongs to one thread. Requests of nbdkit's threads are handed over to it, many at a
 * time, so that clients with several connections or requests in flight fill the one ring.
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdint.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define NBDKIT_API_VERSION 2
#include <nbdkit-plugin.h>

#include "front.h"
#include "num.h"

#define THREAD_MODEL NBDKIT_THREAD_MODEL_PARALLEL

/* One request of a client, on the stack of the thread that waits for it. */
struct call {
	struct front_op op;
	bool finished;
	pthread_cond_t wake;
};

static const char *disk;
static struct front_options options = {
	.abi = RING_ABI_X86_64, .timeout_ns = 30000000000ull, .wake_fd = -1};

static struct front *front;
static pthread_t thread;
static int hand_over = -1; /* eventfd: inbox has something, or it is time to stop */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
/* Under the lock. */
static struct front_op *inbox, **inbox_tail = &inbox;
static bool stopping;
static int broken; /* negative errno: the front is at its end */

static void finish(struct front_op *op, int result)
{
	struct call *call = op->owner;

	op->result = result;
	call->finished = true;
	pthread_cond_signal(&call->wake);
}

/* Under the lock: calls that the front does not know yet. */
static void fail_inbox(int result)
{
	struct front_op *op;

	while ((op = inbox)) {
		inbox = op->next;
		finish(op, result);
	}
	inbox_tail = &inbox;
}

static struct front_op *take_inbox(void)
{
	struct front_op *list;

	pthread_mutex_lock(&lock);
	list = inbox;
	inbox = NULL;
	inbox_tail = &inbox;
	pthread_mutex_unlock(&lock);
	return list;
}

/* Operations the front has accepted and not finished; known to its thread alone. */
static struct front_op *accepted[4096];
static unsigned n_accepted;

static void submit(struct front_op *op)
{
	int ret = n_accepted < ARRAY_SIZE(accepted) ? front_submit(front, op) : -EBUSY;

	if (!ret) {
		accepted[n_accepted++] = op;
		return;
	}
	pthread_mutex_lock(&lock);
	finish(op, ret);
	pthread_mutex_unlock(&lock);
}

static void finish_list(struct front_op *done)
{
	struct front_op *next;

	pthread_mutex_lock(&lock);
	for (; done; done = next) {
		next = done->next; /* the caller's stack may be gone after finish() */
		for (unsigned i = 0; i < n_accepted; i++) {
			if (accepted[i] == done) {
				accepted[i] = accepted[--n_accepted];
				break;
			}
		}
		finish(done, done->result);
	}
	pthread_mutex_unlock(&lock);
}

static void fail_all(int ret, const struct err *e)
{
	nbdkit_error("%s", e->what);
	front_forget(front);
	pthread_mutex_lock(&lock);
	broken = ret;
	fail_inbox(ret);
	while (n_accepted)
		finish(accepted[--n_accepted], ret);
	pthread_mutex_unlock(&lock);
}

/* Hand in what came, hand out what finished, until there is nothing of either: then wait. */
static int turn(struct err *e)
{
	struct front_op *op, *next, *done;
	int ret;

	do {
		for (op = take_inbox(); op; op = next) {
			next = op->next;
			submit(op);
		}
		ret = front_poll(front, 0, &done, e);
		if (!ret)
			finish_list(done);
	} while (!ret);
	return ret == -ETIMEDOUT ? 0 : ret;
}

static void *serve(void *unused)
{
	struct pollfd fds[] = {
		{.fd = front_fd(front), .events = POLLIN},
		{.fd = hand_over, .events = POLLIN},
	};
	struct err e = {0};
	bool stop = false;
	int ret = 0;

	while (!stop) {
		uint64_t count;

		if (!ret)
			ret = turn(&e);
		if (ret && fds[0].fd >= 0) {
			fail_all(ret, &e);
			fds[0].fd = -1;
		}
		if (poll(fds, ARRAY_SIZE(fds), -1) > 0 && fds[1].revents &&
		    read(hand_over, &count, sizeof(count)) < 0)
			nbdkit_debug("eventfd: %s", strerror(errno));
		pthread_mutex_lock(&lock);
		stop = stopping;
		pthread_mutex_unlock(&lock);
	}
	return NULL;
}

static void wake_thread(void)
{
	uint64_t one = 1;

	if (write(hand_over, &one, sizeof(one)) != sizeof(one))
		nbdkit_error("eventfd: %s", strerror(errno));
}

static int do_op(enum request_operation operation, void *data, uint64_t length_bytes,
		 uint64_t offset_bytes)
{
	struct call call = {
		.op = {.operation = operation,
		       .data = data,
		       .length_bytes = length_bytes,
		       .offset_bytes = offset_bytes},
		.wake = PTHREAD_COND_INITIALIZER,
	};
	int ret;

	call.op.owner = &call;
	pthread_mutex_lock(&lock);
	ret = broken;
	if (!ret) {
		*inbox_tail = &call.op;
		inbox_tail = &call.op.next;
		wake_thread();
		while (!call.finished)
			pthread_cond_wait(&call.wake, &lock);
		ret = call.op.result;
	}
	pthread_mutex_unlock(&lock);
	pthread_cond_destroy(&call.wake);
	if (!ret)
		return 0;
	nbdkit_error("%s at %llu: %s", request_operation_name((uint8_t)operation),
		     (unsigned long long)offset_bytes, strerror(-ret));
	nbdkit_set_error(-ret);
	return -1;
}

static int take_most(const char *key, const char *value, uint64_t min, uint64_t max, unsigned *out)
{
	uint64_t number = FRONT_MAX;

	if (strcmp(value, "max") && num_parse(value, min, max, &number)) {
		nbdkit_error("%s=%s is neither max nor a number from %llu to %llu", key, value,
			     (unsigned long long)min, (unsigned long long)max);
		return -1;
	}
	*out = (unsigned)number;
	return 0;
}

static int take_abi(const char *value)
{
	if (!strcmp(value, "x86_64")) {
		options.abi = RING_ABI_X86_64;
	} else if (!strcmp(value, "x86_32")) {
		options.abi = RING_ABI_X86_32;
	} else {
		nbdkit_error("abi=%s is neither x86_64 nor x86_32", value);
		return -1;
	}
	return 0;
}

static int tap_config(const char *key, const char *value)
{
	int flag;

	if (!strcmp(key, "disk")) {
		disk = value;
		return 0;
	}
	if (!strcmp(key, "fresh-grants")) {
		flag = nbdkit_parse_bool(value);
		options.fresh_grants = flag > 0;
		return flag < 0 ? -1 : 0;
	}
	if (!strcmp(key, "abi"))
		return take_abi(value);
	if (!strcmp(key, "queues"))
		return take_most(key, value, 1, FRONT_QUEUES_MAX, &options.queues);
	if (!strcmp(key, "ring-order"))
		return take_most(key, value, 0, RING_ORDER_MAX, &options.ring_order);
	if (!strcmp(key, "indirect"))
		return take_most(key, value, 0, REQUEST_SEGMENTS_MAX, &options.indirect_segments);
	nbdkit_error("unknown parameter %s=%s", key, value);
	return -1;
}

static int tap_config_complete(void)
{
	if (disk)
		return 0;
	nbdkit_error("disk=[DOM/]VDEV is missing");
	return -1;
}

/* Not before: threads and descriptors of a parent are no use to a child. */
static int tap_after_fork(void)
{
	struct err e = {0};
	uint32_t vdev;
	int ret;

	ret = front_address(disk, &vdev, &e);
	if (!ret)
		ret = front_open(&front, vdev, &options, &e);
	if (ret) {
		nbdkit_error("%s: %s", disk, e.what);
		return -1;
	}
	hand_over = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	ret = hand_over < 0 ? errno : pthread_create(&thread, NULL, serve, NULL);
	if (!ret)
		return 0;
	nbdkit_error("cannot start: %s", strerror(ret));
	front_close(front, NULL);
	front = NULL;
	return -1;
}

static void tap_cleanup(void)
{
	struct err e = {0};

	if (!front)
		return;
	pthread_mutex_lock(&lock);
	stopping = true;
	wake_thread();
	pthread_mutex_unlock(&lock);
	pthread_join(thread, NULL);
	if (front_close(front, &e))
		nbdkit_error("%s: %s", disk, e.what);
	front = NULL;
	close(hand_over);
}

static void *tap_open(int readonly)
{
	return NBDKIT_HANDLE_NOT_NEEDED;
}

static int64_t tap_get_size(void *handle)
{
	return (int64_t)(front_facts(front)->sectors * SECTOR_BYTES);
}

static int tap_block_size(void *handle, uint32_t *minimum, uint32_t *preferred, uint32_t *maximum)
{
	*minimum = front_facts(front)->sector_bytes;
	*preferred = 4096;
	*maximum = 0xffffffff;
	return 0;
}

static int tap_can_write(void *handle)
{
	return !front_facts(front)->read_only;
}

static int tap_can_flush(void *handle)
{
	return front_facts(front)->flush;
}

static int tap_can_trim(void *handle)
{
	return front_facts(front)->discard;
}

/* A flush holds for the disk, whichever connection it came by. */
static int tap_can_multi_conn(void *handle)
{
	return 1;
}

static int tap_pread(void *handle, void *buf, uint32_t count, uint64_t offset, uint32_t flags)
{
	return do_op(REQUEST_READ, buf, count, offset);
}

static int tap_pwrite(void *handle, const void *buf, uint32_t count, uint64_t offset,
		      uint32_t flags)
{
	return do_op(REQUEST_WRITE, (void *)buf, count, offset);
}

static int tap_flush(void *handle, uint32_t flags)
{
	return do_op(REQUEST_FLUSH_DISKCACHE, NULL, 0, 0);
}

static int tap_trim(void *handle, uint32_t count, uint64_t offset, uint32_t flags)
{
	return do_op(REQUEST_DISCARD, NULL, count, offset);
}

static struct nbdkit_plugin plugin = {
	.name = "taptools",
	.longname = "a disk behind a Xen block ring",
	.description = "Serves what a frontend of taptools sees of a disk.",
	.config_help = "disk=[DOM/]VDEV      the disk (required)\n"
		       "fresh-grants=BOOL    grant pages anew for each request\n"
		       "abi=x86_64|x86_32    layout of the ring\n"
		       "queues=N|max         queues\n"
		       "ring-order=N|max     2^N pages a ring\n"
		       "indirect=N|max       segments of a request",
	.config = tap_config,
	.config_complete = tap_config_complete,
	.magic_config_key = "disk",
	.after_fork = tap_after_fork,
	.cleanup = tap_cleanup,
	.open = tap_open,
	.get_size = tap_get_size,
	.block_size = tap_block_size,
	.can_write = tap_can_write,
	.can_flush = tap_can_flush,
	.can_trim = tap_can_trim,
	.can_multi_conn = tap_can_multi_conn,
	.pread = tap_pread,
	.pwrite = tap_pwrite,
	.flush = tap_flush,
	.trim = tap_trim,
};

struct nbdkit_plugin *plugin_init(void); /* nbdkit's header has no prototype */
NBDKIT_REGISTER_PLUGIN(plugin)
