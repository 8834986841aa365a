/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "attach.h"
#include "num.h"

/* proc(5): field 22 of /proc/PID/stat; the name in field 2 may hold blanks and brackets. */
static int start_time(pid_t pid, uint64_t *ticks)
{
	char path[64], line[1024];
	const char *field;
	FILE *stat;
	size_t n;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	stat = fopen(path, "re");
	if (!stat)
		return -errno;
	n = fread(line, 1, sizeof(line) - 1, stat);
	fclose(stat);
	line[n] = '\0';
	field = strrchr(line, ')');
	for (unsigned i = 2; field && i < 22; i++)
		field = strchr(field + 1, ' ');
	if (!field)
		return -EPROTO;
	field++;
	return num_parse_bytes(field, strcspn(field, " "), 0, UINT64_MAX, ticks);
}

int waiter_name(char buf[static 48])
{
	uint64_t ticks;
	int ret = start_time(getpid(), &ticks);

	if (ret)
		return ret;
	snprintf(buf, 48, "%d:%" PRIu64, (int)getpid(), ticks);
	return 0;
}

bool waiter_is_alive(const char *name)
{
	size_t length = strcspn(name, ":");
	uint64_t pid, then, ticks;

	return !num_parse_bytes(name, length, 1, INT_MAX, &pid) && name[length] == ':' &&
	       !num_parse(name + length + 1, 0, UINT64_MAX, &then) &&
	       !start_time((pid_t)pid, &ticks) && ticks == then;
}
