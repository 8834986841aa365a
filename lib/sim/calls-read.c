/* SPDX-License-Identifier: MIT */
#include "sim/calls-read.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "sim/sim.h"

const char *calls_name(enum sim_call call)
{
	static const char *const names[] = {
#define X(name) #name,
		SIM_CALLS(X)
#undef X
	};

	return names[call];
}

static int by_first_call(const void *a, const void *b)
{
	const struct sim_calls *x = a, *y = b;

	return x->first_ns < y->first_ns ? -1 : x->first_ns > y->first_ns;
}

/* False for a file that its process has not filled yet. */
static bool read_one(int dir, const char *name, struct sim_calls *to)
{
	int fd = openat(dir, name, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return false;
	n = read(fd, to, sizeof(*to));
	close(fd);
	return n == (ssize_t)sizeof(*to) && to->magic == SIM_CALLS_MAGIC;
}

static int read_all(DIR *dir, pid_t pid, struct sim_calls **items, size_t *count)
{
	size_t capacity = 0;
	struct dirent *entry;

	while ((entry = readdir(dir))) {
		if (*count == capacity) {
			void *more;

			capacity = capacity ? 2 * capacity : 16;
			more = realloc(*items, capacity * sizeof(**items));
			if (!more)
				return -ENOMEM;
			*items = more;
		}
		if (read_one(dirfd(dir), entry->d_name, &(*items)[*count]) &&
		    (!pid || (*items)[*count].pid == pid))
			++*count;
	}
	return 0;
}

int calls_read(pid_t pid, struct sim_calls **items, size_t *count, struct err *e)
{
	const char *sim = getenv("TAP_SIM_DIR");
	char path[256];
	DIR *dir;
	int ret;

	*items = NULL;
	*count = 0;
	if (sim_inside(e) < 0)
		return -ENOENT;
	snprintf(path, sizeof(path), "%s/" SIM_CALLS_DIR, sim);
	dir = opendir(path);
	if (!dir)
		return err_set(e, -errno, TAP_EXIT_DENIED, "cannot open '%s': %m", path);
	ret = read_all(dir, pid, items, count);
	closedir(dir);
	if (ret < 0)
		return err_set(e, ret, TAP_EXIT_SYSTEM, "cannot list the calls: %s",
			       strerror(-ret));
	if (pid && !*count)
		return err_set(e, -ENOENT, TAP_EXIT_NONE, "process %d has made no call of Xen's",
			       (int)pid);
	if (*items)
		qsort(*items, *count, sizeof(**items), by_first_call);
	return 0;
}
