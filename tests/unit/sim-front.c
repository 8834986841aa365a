/* SPDX-License-Identifier: MIT */
/*
 * What a frontend thinks of a backend that misbehaves. This process is the backend, in domain 0;
 * tap-front runs in domain 1, and is judged by its exit status and by what it says.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#include "guest.h"

#include "channel.h"
#include "front.h"
#include "msg.h"
#include "num.h"
#include "ring.h"
#include "xenbus.h"

#define VDEV	     51712
#define SOON_NS	     20000000000ull /* a bound for what comes */
#define RSP_PROD     2		    /* its place among the 32-bit words of a ring */
#define REQUESTS_MAX 32

extern char **environ;

struct rogue {
	struct store *store;
	struct disk disk;
	xengnttab_handle *gnttab;
	struct ring ring, second; /* of queues 0 and, where there is one, 1 */
	struct channel *channel, *second_channel;
	pid_t pid;
	int err_fd;
	enum xenbus_state awaited;
	struct request request[REQUESTS_MAX];
};

static void put(struct rogue *rogue, const char *dir, const char *key, const char *value)
{
	assert_int_equal(store_write(rogue->store, XBT_NULL, dir, key, "%s", value), 0);
}

/* A directory's permissions are those of the nodes made in it later. */
static void put_dir(struct rogue *rogue, const char *dir, uint32_t owner, uint32_t reader)
{
	put(rogue, dir, NULL, "");
	assert_int_equal(store_permit(rogue->store, XBT_NULL, dir, owner, reader), 0);
}

static void attach(struct rogue *rogue)
{
	const char *back = rogue->disk.backend, *front = rogue->disk.frontend;

	put_dir(rogue, back, 0, 1);
	put(rogue, back, "frontend", front);
	put(rogue, back, "frontend-id", "1");
	put(rogue, back, "online", "1");
	put(rogue, back, "sectors", "2048");
	put(rogue, back, "sector-size", "512");
	put(rogue, back, "feature-flush-cache", "0");
	put(rogue, back, "feature-barrier", "1");
	put(rogue, back, "feature-max-indirect-segments", "32");
	put(rogue, back, "multi-queue-max-queues", "2");
	put(rogue, back, "state", "2");
	put_dir(rogue, front, 1, 0);
	put(rogue, front, "backend", back);
	put(rogue, front, "backend-id", "0");
	put(rogue, front, "state", "1");
}

static void spawn_front(struct rogue *rogue, const char *const *argv)
{
	posix_spawn_file_actions_t actions;
	int err[2];

	assert_int_equal(pipe2(err, O_CLOEXEC), 0);
	assert_int_equal(posix_spawn_file_actions_init(&actions), 0);
	assert_int_equal(posix_spawn_file_actions_adddup2(&actions, err[1], STDERR_FILENO), 0);
	assert_int_equal(
		posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0),
		0);
	enter_domain("1");
	assert_int_equal(
		posix_spawnp(&rogue->pid, argv[0], &actions, NULL, (char *const *)argv, environ),
		0);
	enter_domain("0");
	posix_spawn_file_actions_destroy(&actions);
	close(err[1]);
	rogue->err_fd = err[0];
}

static int front_is_there(struct store *store, void *opaque)
{
	struct rogue *rogue = opaque;
	enum xenbus_state state = xenbus_state(store, rogue->disk.frontend);

	if (rogue->awaited == XENBUS_CLOSING) /* it goes on at once where the backend is closed */
		return state == XENBUS_CLOSING || state == XENBUS_CLOSED ||
		       state == XENBUS_INITIALISING;
	return state == rogue->awaited;
}

static void await_front(struct rogue *rogue, enum xenbus_state state)
{
	rogue->awaited = state;
	assert_int_equal(store_wait(rogue->store, now_ns() + SOON_NS, front_is_there, rogue), 1);
}

/* Map a ring and bind its port as a good backend does, from the nodes in @dir. */
static void open_ring(struct rogue *rogue, const char *dir, struct ring *ring,
		      struct channel **channel)
{
	uint64_t ring_ref, port;
	void *page;

	assert_int_equal(store_read_number(rogue->store, XBT_NULL, dir, "ring-ref", 1, UINT32_MAX,
					   &ring_ref),
			 0);
	assert_int_equal(store_read_number(rogue->store, XBT_NULL, dir, "event-channel", 1,
					   UINT32_MAX, &port),
			 0);
	page = xengnttab_map_grant_ref(rogue->gnttab, 1, (uint32_t)ring_ref,
				       PROT_READ | PROT_WRITE);
	assert_non_null(page);
	assert_int_equal(ring_setup(ring, page, RING_ABI_X86_64, 0), 0);
	assert_int_equal(channel_bind(channel, 1, (uint32_t)port), 0);
}

static void prepare(struct rogue *rogue)
{
	*rogue = (struct rogue){0};
	enter_domain("0");
	assert_int_equal(store_open(&rogue->store, NULL), 0);
	assert_int_equal(disk_identify(rogue->store, 0, "rogue", 1, VDEV, &rogue->disk), 0);
	attach(rogue);
	assert_int_equal(store_watch(rogue->store, rogue->disk.frontend, "front"), 0);
	rogue->gnttab = xengnttab_open(xenquiet(), 0);
	assert_non_null(rogue->gnttab);
}

static void connect_rogue(struct rogue *rogue)
{
	char dir[STORE_PATH_MAX];

	await_front(rogue, XENBUS_INITIALISED);
	assert_int_equal(store_path(dir, "%s/queue-1", rogue->disk.frontend), 0);
	if (store_exists(rogue->store, XBT_NULL, dir)) {
		open_ring(rogue, dir, &rogue->second, &rogue->second_channel);
		assert_int_equal(store_path(dir, "%s/queue-0", rogue->disk.frontend), 0);
		open_ring(rogue, dir, &rogue->ring, &rogue->channel);
	} else {
		open_ring(rogue, rogue->disk.frontend, &rogue->ring, &rogue->channel);
	}
	assert_int_equal(xenbus_switch(rogue->store, rogue->disk.backend, XENBUS_CONNECTED), 0);
}

/* @argv is the frontend's command. */
static void begin(struct rogue *rogue, const char *const *argv)
{
	prepare(rogue);
	spawn_front(rogue, argv);
	connect_rogue(rogue);
}

/* The first @n requests. */
static void fetch(struct rogue *rogue, unsigned n)
{
	struct pollfd event = {.fd = channel_fd(rogue->channel), .events = POLLIN};

	for (unsigned i = 0; i < n; i++) {
		while (ring_back_rest(&rogue->ring) == 0) {
			assert_int_equal(poll(&event, 1, (int)(SOON_NS / 1000000)), 1);
			if (channel_take(rogue->channel) > 0)
				assert_int_equal(channel_rearm(rogue->channel), 0);
		}
		ring_back_fetch(&rogue->ring, &rogue->request[i]);
	}
}

static void answer(struct rogue *rogue, uint64_t id, uint8_t operation, int16_t status)
{
	ring_back_respond(&rogue->ring, id, operation, status);
}

static void push(struct rogue *rogue)
{
	ring_back_push(&rogue->ring);
	assert_int_equal(channel_notify(rogue->channel), 0);
}

/* Let the frontend go, as a good backend does; it must end with @status, having said @words. */
static void end(struct rogue *rogue, int status, const char *words)
{
	char said[4096] = "";
	size_t length = 0;
	ssize_t n;
	int ended;

	await_front(rogue, XENBUS_CLOSING);
	channel_close(rogue->channel);
	assert_int_equal(xengnttab_unmap(rogue->gnttab, rogue->ring.shared, 1), 0);
	if (rogue->second.shared) {
		channel_close(rogue->second_channel);
		assert_int_equal(xengnttab_unmap(rogue->gnttab, rogue->second.shared, 1), 0);
	}
	xenbus_switch(rogue->store, rogue->disk.backend, XENBUS_CLOSED);
	while ((n = read(rogue->err_fd, said + length, sizeof(said) - 1 - length)) > 0)
		length += (size_t)n;
	close(rogue->err_fd);
	assert_int_equal(waitpid(rogue->pid, &ended, 0), rogue->pid);
	if (!strstr(said, words))
		fail_msg("it said '%s', not '%s'", said, words);
	assert_true(WIFEXITED(ended));
	assert_int_equal(WEXITSTATUS(ended), status);
	xengnttab_close(rogue->gnttab);
	assert_int_equal(store_remove(rogue->store, XBT_NULL, rogue->disk.backend), 0);
	assert_int_equal(store_remove(rogue->store, XBT_NULL, rogue->disk.frontend), 0);
	store_close(rogue->store);
}

static const char *const read_page[] = {"tap-front", "read", "xvda", "0", "4096", NULL};
/* Three requests at once. */
static const char *const read_more[] = {"tap-front", "read", "xvda", "0", "132K", NULL};
static const char *const read_fresh[] = {"tap-front", "--fresh-grants", "read", "xvda",
					 "0",	      "4096",		NULL};
static const char *const flush[] = {"tap-front", "flush", "xvda", NULL};

static void good_answer(void **state)
{
	struct rogue rogue;

	begin(&rogue, read_page);
	fetch(&rogue, 1);
	assert_int_equal(rogue.request[0].operation, REQUEST_READ);
	assert_int_equal(rogue.request[0].nr_segments, 1);
	assert_int_equal(rogue.request[0].sector, 0);
	answer(&rogue, rogue.request[0].id, REQUEST_READ, RESPONSE_OKAY);
	push(&rogue);
	end(&rogue, TAP_EXIT_DONE, "");
}

static void unknown_id(void **state)
{
	struct rogue rogue;

	begin(&rogue, read_page);
	fetch(&rogue, 1);
	answer(&rogue, rogue.request[0].id + 1, REQUEST_READ, RESPONSE_OKAY);
	push(&rogue);
	end(&rogue, TAP_EXIT_SYSTEM, "which is not pending");
}

/* The slot that is pending, but of another time. */
static void stale_id(void **state)
{
	struct rogue rogue;

	begin(&rogue, read_page);
	fetch(&rogue, 1);
	answer(&rogue, rogue.request[0].id ^ 1ull << 40, REQUEST_READ, RESPONSE_OKAY);
	push(&rogue);
	end(&rogue, TAP_EXIT_SYSTEM, "which is not pending");
}

static void huge_id(void **state)
{
	struct rogue rogue;

	begin(&rogue, read_page);
	fetch(&rogue, 1);
	answer(&rogue, UINT64_MAX, REQUEST_READ, RESPONSE_OKAY);
	push(&rogue);
	end(&rogue, TAP_EXIT_SYSTEM, "answered id 0xffffffffffffffff, which is not pending");
}

static void answered_twice(void **state)
{
	struct rogue rogue;

	begin(&rogue, read_more);
	fetch(&rogue, 3);
	answer(&rogue, rogue.request[1].id, REQUEST_READ, RESPONSE_OKAY);
	answer(&rogue, rogue.request[1].id, REQUEST_READ, RESPONSE_OKAY);
	push(&rogue);
	end(&rogue, TAP_EXIT_SYSTEM, "which is not pending");
}

static void wrong_operation(void **state)
{
	struct rogue rogue;

	begin(&rogue, read_page);
	fetch(&rogue, 1);
	answer(&rogue, rogue.request[0].id, REQUEST_WRITE, RESPONSE_OKAY);
	push(&rogue);
	end(&rogue, TAP_EXIT_SYSTEM, "answered a READ as a WRITE");
}

static void more_answers_than_requests(void **state)
{
	struct rogue rogue;

	begin(&rogue, read_page);
	fetch(&rogue, 1);
	((volatile uint32_t *)rogue.ring.shared)[RSP_PROD] = 2;
	assert_int_equal(channel_notify(rogue.channel), 0);
	end(&rogue, TAP_EXIT_SYSTEM, "response index is beyond what was asked");
}

static void page_still_mapped(void **state)
{
	struct rogue rogue;
	void *page;

	begin(&rogue, read_fresh);
	fetch(&rogue, 1);
	page = xengnttab_map_grant_ref(rogue.gnttab, 1, rogue.request[0].segment[0].gref,
				       PROT_READ | PROT_WRITE);
	assert_non_null(page);
	answer(&rogue, rogue.request[0].id, REQUEST_READ, RESPONSE_OKAY);
	push(&rogue);
	await_front(&rogue, XENBUS_CLOSING);
	assert_int_equal(xengnttab_unmap(rogue.gnttab, page, 1), 0);
	end(&rogue, TAP_EXIT_SYSTEM, "answered a READ whose pages it still holds");
}

static void error_answer(void **state)
{
	struct rogue rogue;

	begin(&rogue, read_page);
	fetch(&rogue, 1);
	answer(&rogue, rogue.request[0].id, REQUEST_READ, RESPONSE_ERROR);
	push(&rogue);
	end(&rogue, TAP_EXIT_IMAGE, "cannot read 4096 bytes at 0: Input/output error");
}

static void no_flush_offered(void **state)
{
	struct rogue rogue;

	begin(&rogue, flush);
	end(&rogue, TAP_EXIT_IMAGE, "the backend offers no flush");
}

static void backend_closes_in_the_middle(void **state)
{
	struct rogue rogue;

	begin(&rogue, read_page);
	fetch(&rogue, 1);
	assert_int_equal(xenbus_switch(rogue.store, rogue.disk.backend, XENBUS_CLOSED), 0);
	end(&rogue, TAP_EXIT_SYSTEM, "the backend went away: it is Closed(6)");
}

static void backend_vanishes(void **state)
{
	struct rogue rogue;

	begin(&rogue, read_page);
	fetch(&rogue, 1);
	assert_int_equal(store_remove(rogue.store, XBT_NULL, rogue.disk.backend), 0);
	end(&rogue, TAP_EXIT_SYSTEM, "the backend went away: it is none");
}

/* Asked for the disk while it is used, a frontend finishes what it does. */
static void closing_waits_for_the_command(void **state)
{
	struct rogue rogue;

	begin(&rogue, read_more);
	fetch(&rogue, 3);
	assert_int_equal(xenbus_switch(rogue.store, rogue.disk.backend, XENBUS_CLOSING), 0);
	for (unsigned i = 3; i-- > 0;)
		answer(&rogue, rogue.request[i].id, REQUEST_READ, RESPONSE_OKAY);
	push(&rogue);
	end(&rogue, TAP_EXIT_DONE, "");
}

/* --- more than one ring page and 11 segments ----------------------------------------------------
 */

static const char *const read_indirect[] = {"tap-front", "--indirect", "32",   "read",
					    "xvda",	 "0",	       "128K", NULL};
static const char *const read_twice[] = {"tap-front", "--queues", "2",	 "read",
					 "xvda",      "0",	  "88K", NULL};

static void indirect_answered_as_what_it_is(void **state)
{
	struct rogue rogue;

	begin(&rogue, read_indirect);
	fetch(&rogue, 1);
	assert_int_equal(rogue.request[0].operation, REQUEST_INDIRECT);
	assert_int_equal(rogue.request[0].indirect_operation, REQUEST_READ);
	assert_int_equal(rogue.request[0].indirect_segments, 32);
	answer(&rogue, rogue.request[0].id, REQUEST_READ, RESPONSE_OKAY);
	push(&rogue);
	end(&rogue, TAP_EXIT_DONE, "");
}

static void indirect_answered_as_indirect(void **state)
{
	struct rogue rogue;

	begin(&rogue, read_indirect);
	fetch(&rogue, 1);
	answer(&rogue, rogue.request[0].id, REQUEST_INDIRECT, RESPONSE_OKAY);
	push(&rogue);
	end(&rogue, TAP_EXIT_SYSTEM, "answered a READ as a INDIRECT");
}

static void answered_on_another_queue(void **state)
{
	struct rogue rogue;

	begin(&rogue, read_twice);
	fetch(&rogue, 1);
	ring_back_respond(&rogue.second, rogue.request[0].id, REQUEST_READ, RESPONSE_OKAY);
	ring_back_push(&rogue.second);
	assert_int_equal(channel_notify(rogue.second_channel), 0);
	end(&rogue, TAP_EXIT_SYSTEM, "which is not pending");
}

/* A write, a barrier, a write, all sent before anything is answered. */
static int write_around_barrier(struct err *e)
{
	static char data[512];
	const struct front_options options = {
		.abi = RING_ABI_X86_64, .timeout_ns = SOON_NS, .wake_fd = -1};
	struct front_op ops[3] = {{.operation = REQUEST_WRITE, .length_bytes = 512, .data = data},
				  {.operation = REQUEST_WRITE_BARRIER},
				  {.operation = REQUEST_WRITE, .length_bytes = 512, .data = data}};
	struct front_op *done;
	struct front *front;
	int ret, finished = 0;

	ret = front_open(&front, VDEV, &options, e);
	for (int i = 0; !ret && i < 3; i++)
		ret = front_submit(front, &ops[i]);
	while (!ret && finished < 3) {
		ret = front_poll(front, now_ns() + SOON_NS, &done, e);
		for (; !ret && done; done = done->next)
			finished++;
	}
	if (ret)
		front_close(front, NULL);
	else
		ret = front_close(front, e);
	return ret;
}

/* This program again, in the guest. */
static const char *const around_barrier[] = {"/proc/self/exe", "around-barrier", NULL};

static int be_the_front(void)
{
	struct err e = {0};

	if (!write_around_barrier(&e))
		return 0;
	fprintf(stderr, "%s\n", e.what);
	return (int)e.exit;
}

static void answer_in_order(struct rogue *rogue, const unsigned *order, unsigned n)
{
	fetch(rogue, 3);
	assert_int_equal(rogue->request[1].operation, REQUEST_WRITE_BARRIER);
	for (unsigned i = 0; i < n; i++)
		answer(rogue, rogue->request[order[i]].id, rogue->request[order[i]].operation,
		       RESPONSE_OKAY);
	push(rogue);
}

static void barrier_in_order(void **state)
{
	struct rogue rogue;

	begin(&rogue, around_barrier);
	answer_in_order(&rogue, (const unsigned[]){0, 1, 2}, 3);
	end(&rogue, TAP_EXIT_DONE, "");
}

static void write_overtakes_barrier(void **state)
{
	struct rogue rogue;

	begin(&rogue, around_barrier);
	answer_in_order(&rogue, (const unsigned[]){0, 2}, 2);
	end(&rogue, TAP_EXIT_SYSTEM, "did a WRITE before the barrier ahead of it");
}

static void barrier_overtakes_write(void **state)
{
	struct rogue rogue;

	begin(&rogue, around_barrier);
	answer_in_order(&rogue, (const unsigned[]){1}, 1);
	end(&rogue, TAP_EXIT_SYSTEM, "did a barrier before a WRITE ahead of it");
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(good_answer),
		cmocka_unit_test(unknown_id),
		cmocka_unit_test(stale_id),
		cmocka_unit_test(huge_id),
		cmocka_unit_test(answered_twice),
		cmocka_unit_test(wrong_operation),
		cmocka_unit_test(more_answers_than_requests),
		cmocka_unit_test(page_still_mapped),
		cmocka_unit_test(error_answer),
		cmocka_unit_test(no_flush_offered),
		cmocka_unit_test(backend_closes_in_the_middle),
		cmocka_unit_test(backend_vanishes),
		cmocka_unit_test(closing_waits_for_the_command),
		cmocka_unit_test(indirect_answered_as_what_it_is),
		cmocka_unit_test(indirect_answered_as_indirect),
		cmocka_unit_test(answered_on_another_queue),
		cmocka_unit_test(barrier_in_order),
		cmocka_unit_test(write_overtakes_barrier),
		cmocka_unit_test(barrier_overtakes_write),
	};

	if (argc == 2 && !strcmp(argv[1], around_barrier[1]))
		return be_the_front();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
