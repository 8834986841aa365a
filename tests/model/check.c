/* SPDX-License-Identifier: MIT */
/* What must hold after each step, whatever the guest did. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>

#include "../../lib/sim/sim.h"
#include "model.h"

/* Not more lines than a guest may cause: it is one that fills no log. */
static void check_log(struct model *m)
{
	uint64_t seconds = (now_ns() - m->began_ns) / LOG_LIMIT_WINDOW_NS + 1, lines = 0;
	FILE *log = fopen(MODEL_LOG, "re");
	int c;

	need(log, "cannot read '%s': %m", MODEL_LOG);
	while ((c = getc(log)) != EOF)
		lines += c == '\n';
	fclose(log);
	need(lines <= m->log_lines_free + 2 * LOG_LIMIT_LINES * (seconds + 1),
	     "%" PRIu64 " lines of log in %" PRIu64 " seconds", lines, seconds);
}

void check_held(struct model *m)
{
	unsigned ports = 0, pages = 0, rings = m->queues << m->order;
	struct sim_held *items = NULL;
	struct err e = {0};
	size_t count = 0;

	need(!sim_held(&items, &count, &e), "%s", e.what);
	for (size_t i = 0; i < count; i++) {
		if (items[i].remote_domid != m->h.disk.domid)
			continue;
		if (items[i].kind == SIM_HELD_PORT)
			ports++;
		else
			pages += items[i].count;
	}
	free(items);
	need(ports == m->queues, "%u ports are bound for %u queues", ports, m->queues);
	need(pages >= rings, "%u pages are mapped, the rings are %u", pages, rings);
	if (m->persistent)
		need(pages - rings <= m->queues * m->life.keep_pages,
		     "%u pages are kept for %u queues", pages - rings, m->queues);
	else
		need(pages == rings, "%u pages are mapped that are no rings", pages - rings);
}

void check_counters(struct model *m)
{
	uint64_t refused = 0, expected = 0;
	struct stats_file stats;
	struct stats_queue sum;

	need(!stats_read(&m->h.disk, &stats), "the disk has no counters");
	stats.queues = STATS_QUEUES; /* of those that are no more, too */
	stats_sum(&stats, &sum);
	need(sum.requests == sum.responses, "%" PRIu64 " were taken, %" PRIu64 " answered",
	     sum.requests, sum.responses);
	need(sum.responses == m->answered, "%" PRIu64 " answers are counted, %" PRIu64 " came",
	     sum.responses, m->answered);
	need(!sum.in_flight, "%" PRIu64 " are counted as in flight", sum.in_flight);
	need(!sum.image_errors, "%" PRIu64 " errors of the image are counted", sum.image_errors);
	need(stats.breaks == m->breaks, "%u rings are counted as stopped, not %" PRIu64,
	     stats.breaks, m->breaks);
	for (unsigned fault = REQUEST_FINE + 1; fault < REQUEST_FAULTS; fault++) {
		refused += sum.fault[fault];
		expected += m->fault[fault];
		need(m->either || sum.fault[fault] == m->fault[fault],
		     "%s: %" PRIu64 " are counted, %" PRIu64 " were refused",
		     request_fault_name(fault), sum.fault[fault], m->fault[fault]);
	}
	need(refused >= expected && refused <= expected + m->either,
	     "%" PRIu64 " are counted, %" PRIu64 " were refused", refused, expected);
}

/* Between steps the frontend has either closed or is connected, and the backend has followed. */
static void check_state(struct model *m)
{
	enum xenbus_state state = xenbus_state(m->h.judge, m->h.disk.backend);
	enum xenbus_state must = m->phase == PHASE_CONNECTED ? XENBUS_CONNECTED : XENBUS_INITWAIT;
	char error[STORE_VALUE_MAX];

	need(state == must, "the backend is %s, not %s", xenbus_state_text(state),
	     xenbus_state_text(must));
	need(m->phase != PHASE_CONNECTED ||
		     xenbus_read_error(m->h.judge, m->h.disk.backend, error) <= 0,
	     "the disk is connected, and its error node says '%s'", error);
}

void check_step(struct model *m)
{
	int status;

	need(!waitpid(m->server, &status, WNOHANG), "the server has ended");
	check_log(m);
	check_state(m);
	if (m->waiting)
		return;
	check_counters(m);
	check_held(m);
}
