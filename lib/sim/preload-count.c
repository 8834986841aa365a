/* SPDX-License-Identifier: MIT */
/* Counting calls, and making the Nth fail. */
#include "preload.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define FAIL_RULES_MAX 16

/** The Nth call of one of a range of functions fails. */
struct fail_rule {
	unsigned first, last; /* enum sim_call */
	uint64_t nth;
	int error;
	_Atomic uint64_t seen;
};

/** The names of ranges. */
static const struct {
	const char *name;
	unsigned first, last;
} classes[] = {
	{"any", SIM_CALL_xengnttab_open, SIM_CALL_xenevtchn_restrict},
	{"aio", SIM_CALL_io_setup, SIM_CALL_io_getevents},
	{"xenstore", SIM_CALL_xs_open, SIM_CALL_xs_check_watch},
	{"memory", SIM_CALL_malloc, SIM_CALL_mmap},
};

static const char *const call_names[] = {
#define X(name) #name,
	SIM_CALLS(X)
#undef X
};

static struct fail_rule rules[FAIL_RULES_MAX];
static unsigned rule_count;
static struct sim_calls own_calls; /* where none of the files can be had */
static _Atomic(struct sim_calls *) calls;
static pthread_mutex_t setup_lock = PTHREAD_MUTEX_INITIALIZER;

static _Noreturn void bad_rule(const char *rule)
{
	dprintf(STDERR_FILENO,
		"tap-sim: TAP_SIM_FAIL: cannot understand '%s': want NAME:N[:ERROR]\n", rule);
	_exit(2);
}

static bool find_calls(const char *name, struct fail_rule *rule)
{
	for (unsigned i = 0; i < sizeof(classes) / sizeof(classes[0]); i++) {
		if (strcmp(name, classes[i].name) != 0)
			continue;
		rule->first = classes[i].first;
		rule->last = classes[i].last;
		return true;
	}
	for (unsigned i = 0; i < SIM_CALL_COUNT; i++) {
		if (strcmp(name, call_names[i]) != 0)
			continue;
		rule->first = rule->last = i;
		return true;
	}
	return false;
}

static int error_by_name(const char *name)
{
	for (int i = 1; i < 200; i++) {
		const char *known = strerrorname_np(i);
		if (known && !strcmp(known, name))
			return i;
	}
	return 0;
}

static void parse_rule(const char *text)
{
	char name[64], error[32] = "ENOMEM", end;
	struct fail_rule *rule = &rules[rule_count];
	unsigned long long nth;
	int n = sscanf(text, "%63[a-z_]:%llu:%31[A-Z0-9]%c", name, &nth, error, &end);

	if (n < 2 || n > 3 || rule_count == FAIL_RULES_MAX)
		bad_rule(text);
	if (n == 2 && text[strlen(text) - 1] == ':')
		bad_rule(text);
	*rule = (struct fail_rule){.nth = nth, .error = error_by_name(error)};
	if (!find_calls(name, rule) || !rule->nth || !rule->error)
		bad_rule(text);
	rule_count++;
}

static void parse_rules(void)
{
	const char *text = getenv("TAP_SIM_FAIL");
	char *copy = text && *text ? strdup(text) : NULL;
	char *save = NULL;

	rule_count = 0;
	for (char *rule = copy ? strtok_r(copy, ",", &save) : NULL; rule;
	     rule = strtok_r(NULL, ",", &save))
		parse_rule(rule);
	free(copy);
}

/* A process image has one file; one that execs another, or a pid that comes again, the next number.
 */
static int create_file(const char *dir)
{
	char path[256];
	int fd = -1;

	for (unsigned i = 0; fd < 0 && i < 1000; i++) {
		snprintf(path, sizeof(path), "%s/" SIM_CALLS_DIR "/%d.%u", dir, getpid(), i);
		fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
		if (fd < 0 && errno != EEXIST)
			return -1;
	}
	return fd;
}

static struct sim_calls *map_file(void)
{
	const char *dir = sim_dir();
	int fd = dir ? create_file(dir) : -1;
	struct sim_calls *c;

	if (fd < 0)
		return &own_calls;
	if (ftruncate(fd, sizeof(*c)) < 0) {
		close(fd);
		return &own_calls;
	}
	c = mmap(NULL, sizeof(*c), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	return c == MAP_FAILED ? &own_calls : c;
}

static void forget_in_child(void)
{
	atomic_store(&calls, NULL);
	memset(&own_calls, 0, sizeof(own_calls));
	pthread_mutex_init(&setup_lock, NULL);
}

static struct sim_calls *setup(void)
{
	static bool at_fork_known;
	struct sim_calls *c;
	struct timespec now;

	pthread_mutex_lock(&setup_lock);
	c = atomic_load(&calls);
	if (!c) {
		parse_rules();
		c = map_file();
		clock_gettime(CLOCK_MONOTONIC, &now);
		c->first_ns = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
		c->pid = getpid();
		c->domid = sim_domid();
		snprintf(c->command, sizeof(c->command), "%s", program_invocation_short_name);
		c->magic = SIM_CALLS_MAGIC;
		if (!at_fork_known)
			pthread_atfork(NULL, NULL, forget_in_child);
		at_fork_known = true;
		atomic_store(&calls, c);
	}
	pthread_mutex_unlock(&setup_lock);
	return c;
}

bool sim_count(enum sim_call call)
{
	struct sim_calls *c = atomic_load(&calls);
	int error = 0;

	if (!c)
		c = setup();
	atomic_fetch_add(&c->count[call], 1);
	for (unsigned i = 0; i < rule_count; i++) {
		struct fail_rule *r = &rules[i];

		if (call < r->first || call > r->last)
			continue;
		if (atomic_fetch_add(&r->seen, 1) + 1 == r->nth && !error)
			error = r->error;
	}
	if (error)
		errno = error;
	return error;
}
