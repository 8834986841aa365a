/* SPDX-License-Identifier: MIT */
/* The disk of a life, the server of it, the guest's memory. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "model.h"
#include "num.h"

extern char **environ;

#define DISK "1/51712"

/* --- tools ------------------------------------------------------------------------------------ */

static pid_t start_tool(char *const argv[], posix_spawn_file_actions_t *files)
{
	pid_t pid;
	int ret;

	hostile_enter(0);
	ret = posix_spawnp(&pid, argv[0], files, NULL, argv, environ);
	need(!ret, "cannot run %s: %s", argv[0], strerror(ret));
	return pid;
}

void run_tool(char *const argv[])
{
	posix_spawn_file_actions_t files;
	int status;

	posix_spawn_file_actions_init(&files);
	posix_spawn_file_actions_addopen(&files, 1, "/dev/null", O_WRONLY, 0);
	posix_spawn_file_actions_addopen(&files, 2, MODEL_TOOLS_LOG, O_WRONLY | O_CREAT | O_TRUNC,
					 0600);
	need(waitpid(start_tool(argv, &files), &status, 0) > 0, "waitpid: %m");
	posix_spawn_file_actions_destroy(&files);
	need(WIFEXITED(status) && !WEXITSTATUS(status), "%s %s: status %#x: " MODEL_TOOLS_LOG,
	     argv[0], argv[1], (unsigned)status);
}

struct arguments {
	char text[16][48];
	char *argv[17];
	unsigned n;
};

static void argument(struct arguments *arguments, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

static void argument(struct arguments *arguments, const char *fmt, ...)
{
	char *text = arguments->text[arguments->n];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(arguments->text[0]), fmt, ap);
	va_end(ap);
	arguments->argv[arguments->n++] = text;
}

/* --- the disk --------------------------------------------------------------------------------- */

static void pick_disk(struct model *m)
{
	static const unsigned segments[] = {REQUEST_SEGMENTS_DIRECT, 12, 32, 256};

	m->life.read_only = chance(m, 10);
	m->life.discard = chance(m, 80);
	m->life.sector_bytes = chance(m, 25) ? 4096 : 512;
	m->life.max_queues = 1 + dice(m, MODEL_QUEUES);
	m->life.max_ring_order = dice(m, RING_ORDER_MAX + 1);
	m->life.max_segments = segments[dice(m, ARRAY_SIZE(segments))];
}

static void attach(struct model *m)
{
	struct arguments arguments = {0};

	argument(&arguments, "tap-attach");
	if (m->life.read_only)
		argument(&arguments, "--read-only");
	if (!m->life.discard)
		argument(&arguments, "--no-discard");
	argument(&arguments, "--sector-size=%u", m->life.sector_bytes);
	argument(&arguments, "--max-queues=%u", m->life.max_queues);
	argument(&arguments, "--max-ring-order=%u", m->life.max_ring_order);
	argument(&arguments, "--max-segments=%u", m->life.max_segments);
	argument(&arguments, "%s", DISK);
	argument(&arguments, "%s", MODEL_IMAGE);
	run_tool(arguments.argv);
}

static void detach(void)
{
	char *argv[] = {"tap-attach", "-d", DISK, NULL};

	run_tool(argv);
}

/* --- the server ------------------------------------------------------------------------------- */

static void pick_server(struct model *m)
{
	static const char *const paths[] = {"auto", "map", "copy", "persistent"};
	static const unsigned keep[] = {1, 7, 64, 1024};

	m->life.data_path = paths[dice(m, ARRAY_SIZE(paths))];
	m->life.threads = 1 + dice(m, 3);
	m->life.keep_pages = keep[dice(m, ARRAY_SIZE(keep))];
}

static void serve(struct model *m)
{
	struct arguments arguments = {0};
	posix_spawn_file_actions_t files;
	int ready[2];
	char byte;

	pick_server(m);
	tell(m, "tap-serve --data-path=%s --threads=%u; ", m->life.data_path, m->life.threads);
	need(!pipe2(ready, O_CLOEXEC), "pipe: %m");
	posix_spawn_file_actions_init(&files);
	posix_spawn_file_actions_addopen(&files, 2, MODEL_LOG, O_WRONLY | O_CREAT | O_APPEND, 0600);
	posix_spawn_file_actions_adddup2(&files, ready[1], 9);
	argument(&arguments, "tap-serve");
	argument(&arguments, "--data-path=%s", m->life.data_path);
	argument(&arguments, "--threads=%u", m->life.threads);
	argument(&arguments, "--persistent-pages=%u", m->life.keep_pages);
	argument(&arguments, "--ready-fd=9");
	argument(&arguments, "%s", DISK);
	m->server = start_tool(arguments.argv, &files);
	posix_spawn_file_actions_destroy(&files);
	close(ready[1]);
	need(read(ready[0], &byte, 1) == 1, "tap-serve does not become ready");
	close(ready[0]);
}

static void await_server(struct model *m)
{
	int status;

	need(waitpid(m->server, &status, 0) == m->server, "waitpid: %m");
	m->server = 0;
	need(WIFEXITED(status) && !WEXITSTATUS(status), "the server ended with status %#x",
	     (unsigned)status);
}

/* A new server counts from 0. */
static void begin_counting(struct model *m)
{
	memset(m->fault, 0, sizeof(m->fault));
	m->answered = m->either = m->breaks = 0;
}

void server_restart(struct model *m)
{
	for (unsigned q = 0; q < m->queues; q++)
		guest_push(m, q);
	if (m->queues) /* what another server is to go by */
		guest_publish_again(m);
	need(!kill(m->server, SIGTERM), "kill: %m");
	await_server(m);
	/* It has answered all that it took. What else is in the rings is the next one's. */
	answers_take(m);
	check_counters(m);
	begin_counting(m);
	serve(m);
	/* Stopped, resumed; and each server counts what a guest may cause anew. */
	m->log_lines_free += 2 + 2 * LOG_LIMIT_LINES;
	answers_settle(m);
}

/* --- memory ----------------------------------------------------------------------------------- */

static void *share(struct model *m, unsigned pages, uint32_t *refs)
{
	void *at = xengntshr_share_pages(m->h.gntshr, 0, (int)pages, refs, true);

	need(at, "cannot grant %u pages: %m", pages);
	return at;
}

void page_renew(struct model *m, struct guest_page *page)
{
	if (xengntshr_unshare(m->h.gntshr, page->at, 1)) {
		need(errno == EBUSY && m->persistent, "a page of no request is mapped: %m");
		return;
	}
	page->at = share(m, 1, &page->ref);
}

static void open_memory(struct model *m)
{
	for (unsigned q = 0; q < MODEL_QUEUES; q++) {
		for (unsigned i = 0; i < 2; i++)
			m->queue[q].pages[i].at =
				share(m, 1u << RING_ORDER_MAX, m->queue[q].pages[i].refs);
		need(!channel_offer(&m->queue[q].channel, 0), "cannot offer a port: %m");
	}
	for (unsigned p = 0; p < MODEL_PAGES; p++)
		m->page[p].at = share(m, 1, &m->page[p].ref);
}

/* All that was granted is the guest's alone again. */
static void close_memory(struct model *m)
{
	for (unsigned q = 0; q < MODEL_QUEUES; q++) {
		for (unsigned i = 0; i < 2; i++)
			need(!xengntshr_unshare(m->h.gntshr, m->queue[q].pages[i].at,
						1u << RING_ORDER_MAX),
			     "ring %u is still mapped: %m", q);
		channel_close(m->queue[q].channel);
	}
	for (unsigned p = 0; p < MODEL_PAGES; p++)
		need(!xengntshr_unshare(m->h.gntshr, m->page[p].at, 1),
		     "page %u is still mapped: %m", p);
	hostile_close(&m->h);
}

/* --- a life ----------------------------------------------------------------------------------- */

void life_begin(struct model *m)
{
	unlink(MODEL_LOG);
	m->began_ns = now_ns();
	shadow_fill_image(m);
	pick_disk(m);
	tell(m,
	     "attach%s%s --sector-size=%u --max-queues=%u --max-ring-order=%u --max-segments=%u; ",
	     m->life.read_only ? " -r" : "", m->life.discard ? "" : " --no-discard",
	     m->life.sector_bytes, m->life.max_queues, m->life.max_ring_order,
	     m->life.max_segments);
	attach(m);
	serve(m);
	hostile_open(&m->h, 1, MODEL_VDEV, RING_ABI_X86_64);
	open_memory(m);
	m->next_id = m->next_tag = 1;
	hostile_await(&m->h, XENBUS_INITWAIT);
}

void life_end(struct model *m)
{
	tell(m, "detach");
	if (m->phase == PHASE_CONNECTED) {
		answers_settle(m);
		check_step(m);
	}
	guest_reset(m);
	check_counters(m);
	hostile_state(&m->h, XENBUS_CLOSED);
	hostile_await(&m->h, XENBUS_CLOSED);
	detach();
	await_server(m);
	check_held(m);
	close_memory(m);
	shadow_check_image(m);
}
