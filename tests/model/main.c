/* SPDX-License-Identifier: MIT */
/*
 * model                random behaviour of a frontend; to be run in tap-sim, in a folder to write
 * to
 *
 *   --seed N           of the first life, printed; the next ones count up. Default: from the clock
 *   --steps N          steps of each life. Default: 200
 *   --lives N          default: 1
 *   --seconds N        lives until so much time has passed, instead
 *   --verbose          tell each step on stderr
 */
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "model.h"
#include "num.h"

static struct model model;
static bool verbose;

static uint64_t mix(uint64_t x)
{
	x += 0x9e3779b97f4a7c15ull;
	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ull;
	x = (x ^ x >> 27) * 0x94d049bb133111ebull;
	return x ^ x >> 31;
}

uint64_t dice64(struct model *m)
{
	m->dice += 0x9e3779b97f4a7c15ull;
	return mix(m->dice);
}

unsigned dice(struct model *m, unsigned n)
{
	return (unsigned)(dice64(m) % n);
}

bool chance(struct model *m, unsigned percent)
{
	return dice(m, 100) < percent;
}

void tell(struct model *m, const char *fmt, ...)
{
	char *told = m->told[m->step % MODEL_TOLD];
	size_t length = strlen(told), room = sizeof(m->told[0]) - length;
	va_list ap;

	va_start(ap, fmt);
	if (length + 2 < sizeof(m->told[0]))
		vsnprintf(told + length, room, fmt, ap);
	va_end(ap);
}

static void begin_step(struct model *m, uint64_t step)
{
	char *told;

	if (verbose && step)
		fprintf(stderr, "%s\n", m->told[m->step % MODEL_TOLD]);
	m->step = step;
	/* Each step has dice of its own: one that takes more of them shifts no other. */
	m->dice = mix(m->seed) ^ mix(~step);
	told = m->told[step % MODEL_TOLD];
	snprintf(told, sizeof(m->told[0]), "%6" PRIu64 "  ", step);
}

/* Whatever failed: what led to it, and how to see it again. */
static void explain(void)
{
	struct model *m = &model;

	if (m->passed)
		return;
	fprintf(stderr, "model: seed %" PRIu64 ", step %" PRIu64 "; the last steps:\n", m->seed,
		m->step);
	for (unsigned i = 1; i <= MODEL_TOLD; i++) {
		const char *told = m->told[(m->step + i) % MODEL_TOLD];

		if (*told)
			fprintf(stderr, "%s\n", told);
	}
	fprintf(stderr,
		"model: again with: tap-sim -- model --seed %" PRIu64 " --steps %" PRIu64
		" (what the server said: " MODEL_LOG ")\n",
		m->seed, m->step);
	if (m->server > 0) {
		kill(m->server, SIGKILL);
		waitpid(m->server, NULL, 0);
	}
}

static void live(struct model *m, uint64_t seed, uint64_t steps)
{
	memset(m, 0, sizeof(*m));
	m->seed = seed;
	begin_step(m, 0);
	life_begin(m);
	for (uint64_t step = 1; step <= steps; step++) {
		begin_step(m, step);
		act(m);
		check_step(m);
	}
	begin_step(m, steps + 1);
	life_end(m);
	m->passed = true;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{"seed", required_argument, NULL, 's'},	 {"steps", required_argument, NULL, 'n'},
		{"lives", required_argument, NULL, 'l'}, {"seconds", required_argument, NULL, 't'},
		{"verbose", no_argument, NULL, 'v'},	 {0},
	};
	uint64_t seed = now_ns() % 1000000000, steps = 200, lives = 1, seconds = 0;
	uint64_t began_ns = now_ns(), lived = 0;
	int option;

	while ((option = getopt_long(argc, argv, "", options, NULL)) >= 0) {
		uint64_t *number = option == 's'   ? &seed
				   : option == 'n' ? &steps
				   : option == 'l' ? &lives
						   : &seconds;

		if (option == 'v')
			verbose = true;
		else if (option == '?' || num_parse(optarg, 0, INT64_MAX, number))
			return 2;
	}
	need(getenv("TAP_SIM_DIR"), "to be run in tap-sim");
	printf("seed %" PRIu64 "\n", seed);
	fflush(stdout);
	model.passed = true;
	atexit(explain);
	do
		live(&model, seed + lived++, steps);
	while (seconds ? now_ns() - began_ns < seconds * 1000000000 : lived < lives);
	printf("%" PRIu64 " lives of %" PRIu64 " steps\n", lived, steps);
	return 0;
}
