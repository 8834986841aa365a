/* SPDX-License-Identifier: MIT */
#include "descendants.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct process {
	pid_t pid, parent;
	char state;
	bool below;
};

struct table {
	struct process *rows;
	size_t count, capacity;
};

/* The name in /proc/PID/stat may hold anything: what follows it stands after the last ')'. */
static bool read_process(pid_t pid, struct process *to)
{
	char path[64], text[512];
	const char *after;
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	n = read(fd, text, sizeof(text) - 1);
	close(fd);
	if (n <= 0)
		return false;
	text[n] = 0;
	after = strrchr(text, ')');
	*to = (struct process){.pid = pid};
	return after && sscanf(after, ") %c %d", &to->state, &to->parent) == 2;
}

static int append(struct table *t, const struct process *p)
{
	if (t->count == t->capacity) {
		size_t more = t->capacity ? 2 * t->capacity : 256;
		void *rows = realloc(t->rows, more * sizeof(*t->rows));

		if (!rows)
			return -ENOMEM;
		t->rows = rows;
		t->capacity = more;
	}
	t->rows[t->count++] = *p;
	return 0;
}

static int read_table(struct table *t)
{
	DIR *proc = opendir("/proc");
	struct dirent *entry;
	int ret = 0;

	if (!proc)
		return -errno;
	while (ret >= 0 && (entry = readdir(proc))) {
		char *end;
		long pid = strtol(entry->d_name, &end, 10);
		struct process p;

		if (pid > 0 && !*end && read_process((pid_t)pid, &p))
			ret = append(t, &p);
	}
	closedir(proc);
	return ret;
}

static bool is_below(const struct table *t, pid_t parent, pid_t root)
{
	if (parent == root)
		return true;
	for (size_t i = 0; i < t->count; i++)
		if (t->rows[i].pid == parent)
			return t->rows[i].below;
	return false;
}

/* Pids wrap, so a child may stand before its parent: look until nothing is added. */
static void mark(struct table *t, pid_t root, pid_t spare)
{
	bool added = true;

	while (added) {
		added = false;
		for (size_t i = 0; i < t->count; i++) {
			struct process *p = &t->rows[i];

			if (p->below || p->pid == spare || !is_below(t, p->parent, root))
				continue;
			p->below = true;
			added = true;
		}
	}
}

int descendants_signal(int signal, pid_t spare)
{
	struct table t = {0};
	int ret = read_table(&t);
	int count = 0;

	if (ret >= 0)
		mark(&t, getpid(), spare);
	for (size_t i = 0; i < t.count; i++) {
		if (!t.rows[i].below || t.rows[i].state == 'Z')
			continue;
		kill(t.rows[i].pid, signal);
		count++;
	}
	free(t.rows);
	return ret < 0 ? ret : count;
}
