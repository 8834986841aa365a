/* SPDX-License-Identifier: MIT */
#include "front-progress.h"

#include <inttypes.h>
#include <stdio.h>

#include "msg.h"
#include "num.h"

#define REDRAW_NS 100000000ull

void progress_start(struct progress *progress, const char *what)
{
	progress->what = what;
	progress->started_ns = now_ns();
	progress->next_ns = progress->started_ns + REDRAW_NS;
}

void progress_show(struct progress *progress, uint64_t done, uint64_t total, const char *unit)
{
	uint64_t now, elapsed_ns, per_second;
	char amount[32], rate[32], size[16];

	if (!progress->shown)
		return;
	now = now_ns();
	if (now < progress->next_ns)
		return;
	progress->next_ns = now + REDRAW_NS;
	elapsed_ns = now - progress->started_ns;
	per_second = (uint64_t)((double)done * 1e9 / (double)elapsed_ns);
	if (unit) {
		snprintf(amount, sizeof(amount), "%" PRIu64 " %s", done, unit);
		snprintf(rate, sizeof(rate), "%" PRIu64 " %s/s", per_second, unit);
	} else {
		snprintf(amount, sizeof(amount), "%s", num_format_size(done, size));
		snprintf(rate, sizeof(rate), "%s/s", num_format_size(per_second, size));
	}
	fprintf(stderr, "\r\033[K%s: ", progress->what);
	if (total)
		fprintf(stderr, "%3u%%, ", (unsigned)((double)done * 100 / (double)total));
	fprintf(stderr, "%s, %s", amount, rate);
	fflush(stderr);
	progress->on_line = true;
}

void progress_end(struct progress *progress)
{
	if (progress->on_line)
		fputs("\r\033[K", stderr);
	progress->on_line = false;
}
