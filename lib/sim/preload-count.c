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
#define FAIL_ANY       SIM_CALL_COUNT

struct fail_rule {
	unsigned call; /* enum sim_call, or FAIL_ANY */
	uint64_t nth;
	int error;
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
static _Atomic uint64_t total;
static pthread_mutex_t setup_lock = PTHREAD_MUTEX_INITIALIZER;

static _Noreturn void bad_rule(const char *rule)
{
	dprintf(STDERR_FILENO,
		"tap-sim: TAP_SIM_FAIL: cannot understand '%s': want NAME:N[:ERROR]\n", rule);
	_exit(2);
}

static unsigned call_by_name(const char *name)
{
	if (!strcmp(name, "any"))
		return FAIL_ANY;
	for (unsigned i = 0; i < SIM_CALL_COUNT; i++)
		if (!strcmp(name, call_names[i]))
			return i;
	return FAIL_ANY + 1;
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
	struct fail_rule rule;
	unsigned long long nth;
	int n = sscanf(text, "%63[a-z_]:%llu:%31[A-Z0-9]%c", name, &nth, error, &end);

	if (n < 2 || n > 3 || rule_count == FAIL_RULES_MAX)
		bad_rule(text);
	if (n == 2 && text[strlen(text) - 1] == ':')
		bad_rule(text);
	rule = (struct fail_rule){call_by_name(name), nth, error_by_name(error)};
	if (rule.call > FAIL_ANY || !rule.nth || !rule.error)
		bad_rule(text);
	rules[rule_count++] = rule;
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
	atomic_store(&total, 0);
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
	uint64_t nth, nth_of_all;

	if (!c)
		c = setup();
	nth = atomic_fetch_add(&c->count[call], 1) + 1;
	nth_of_all = atomic_fetch_add(&total, 1) + 1;
	for (unsigned i = 0; i < rule_count; i++) {
		const struct fail_rule *r = &rules[i];

		if (r->call == FAIL_ANY ? r->nth == nth_of_all : r->call == call && r->nth == nth) {
			errno = r->error;
			return true;
		}
	}
	return false;
}
