/* SPDX-License-Identifier: MIT */
/*
 * Who else uses a file or a block device, as far as /proc and sysfs let this process see.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "image-claim.h"
#include "num.h"

static void close_file(FILE **file)
{
	if (*file)
		fclose(*file);
}
static void close_dir(DIR **dir)
{
	if (*dir)
		closedir(*dir);
}
#define scoped_file __attribute__((cleanup(close_file))) FILE
#define scoped_dir  __attribute__((cleanup(close_dir))) DIR

/* First line of a small file, without its newline. */
static bool read_line(const char *path, char *buf, size_t buf_bytes)
{
	FILE *file = fopen(path, "re");
	bool found = file && fgets(buf, (int)buf_bytes, file);

	if (file)
		fclose(file);
	if (found)
		buf[strcspn(buf, "\n")] = '\0';
	return found;
}

/*
 * The same file, or the same block device by whatever node. The answer comes from what the kernel
 * has at hand: asking a file server that is gone would hang.
 */
static bool is_same(int dir_fd, const char *path, const struct stat *st)
{
	struct statx stx;

	if (statx(dir_fd, path, AT_STATX_DONT_SYNC | AT_NO_AUTOMOUNT, STATX_TYPE | STATX_INO, &stx))
		return false;
	if (S_ISBLK(st->st_mode))
		return S_ISBLK(stx.stx_mode) &&
		       makedev(stx.stx_rdev_major, stx.stx_rdev_minor) == st->st_rdev;
	return stx.stx_ino == st->st_ino &&
	       makedev(stx.stx_dev_major, stx.stx_dev_minor) == st->st_dev;
}

static bool holds_lock(const char *pid, const char *fd)
{
	char path[64], line[256];
	scoped_file *file = NULL;

	snprintf(path, sizeof(path), "/proc/%.16s/fdinfo/%.16s", pid, fd);
	file = fopen(path, "re");
	while (file && fgets(line, sizeof(line), file)) {
		if (!strncmp(line, "lock:", 5))
			return true;
	}
	return false;
}

/* Does the process have it open, with a lock on it? Without one: *also_open. */
static bool process_locks(const char *pid, const struct stat *st, bool *also_open)
{
	char path[64];
	scoped_dir *fds = NULL;
	struct dirent *fd;

	snprintf(path, sizeof(path), "/proc/%.16s/fd", pid);
	fds = opendir(path);
	while (fds && (fd = readdir(fds))) {
		if (!is_same(dirfd(fds), fd->d_name, st))
			continue;
		if (holds_lock(pid, fd->d_name))
			return true;
		*also_open = true;
	}
	return false;
}

static void name_process(const char *pid, char user[static IMAGE_USER_MAX])
{
	char path[64], comm[64] = "", safe[64];

	snprintf(path, sizeof(path), "/proc/%.16s/comm", pid);
	if (read_line(path, comm, sizeof(comm)))
		snprintf(user, IMAGE_USER_MAX, "process %.16s (%s)", pid,
			 msg_printable(comm, strlen(comm), safe, sizeof(safe)));
	else
		snprintf(user, IMAGE_USER_MAX, "process %.16s", pid);
}

/* The process that holds a lock; else, of a device that O_EXCL keeps from us, one that has it open.
 */
static bool find_process(const struct stat *st, char user[static IMAGE_USER_MAX])
{
	scoped_dir *proc = opendir("/proc");
	char opener[17] = "";
	struct dirent *entry;
	uint64_t pid;

	while (proc && (entry = readdir(proc))) {
		bool also_open = false;

		if (num_parse(entry->d_name, 1, INT32_MAX, &pid))
			continue;
		if (process_locks(entry->d_name, st, &also_open)) {
			name_process(entry->d_name, user);
			return true;
		}
		if (also_open && (pid_t)pid != getpid())
			snprintf(opener, sizeof(opener), "%.16s", entry->d_name);
	}
	if (!opener[0] || !S_ISBLK(st->st_mode))
		return false;
	name_process(opener, user);
	return true;
}

/* mountinfo writes blanks and the like as \ooo. */
static void decode_octal(char *text)
{
	char *out = text;

	for (const char *c = text; *c; c++) {
		if (c[0] == '\\' && c[1] >= '0' && c[1] <= '3' && c[2] >= '0' && c[2] <= '7' &&
		    c[3] >= '0' && c[3] <= '7') {
			*out++ = (char)((c[1] - '0') * 64 + (c[2] - '0') * 8 + (c[3] - '0'));
			c += 3;
		} else {
			*out++ = *c;
		}
	}
	*out = '\0';
}

/* proc_pid_mountinfo(5): ID PARENT MAJOR:MINOR ROOT MOUNTPOINT OPTIONS [FIELD...] - TYPE SOURCE ...
 */
static bool is_mount_of(char *line, const struct stat *device, char **mount_point)
{
	char *field[5] = {0}, *save = NULL, *tail = strstr(line, " - "), *source;
	unsigned major_nr, minor_nr;

	if (!tail)
		return false;
	*tail = '\0';
	for (size_t i = 0; i < ARRAY_SIZE(field); i++)
		field[i] = strtok_r(i ? NULL : line, " ", &save);
	if (!field[4] || sscanf(field[2], "%u:%u", &major_nr, &minor_nr) != 2)
		return false;
	decode_octal(field[4]);
	*mount_point = field[4];
	if (makedev(major_nr, minor_nr) == device->st_rdev)
		return true;
	/* btrfs and others mount under a number of their own; the source still names the device. */
	source = strtok_r(tail + 3, " ", &save) ? strtok_r(NULL, " \n", &save) : NULL;
	if (!source || strncmp(source, "/dev/", 5))
		return false;
	decode_octal(source);
	return is_same(AT_FDCWD, source, device);
}

static bool find_mount(const struct stat *device, char user[static IMAGE_USER_MAX])
{
	scoped_file *mounts = fopen("/proc/self/mountinfo", "re");
	char line[2 * PATH_MAX], *mount_point;

	while (mounts && fgets(line, sizeof(line), mounts)) {
		if (!is_mount_of(line, device, &mount_point))
			continue;
		snprintf(user, IMAGE_USER_MAX, "the file system on %.200s", mount_point);
		return true;
	}
	return false;
}

static bool find_swap(const struct stat *st, char user[static IMAGE_USER_MAX])
{
	scoped_file *swaps = fopen("/proc/swaps", "re");
	char line[PATH_MAX + 128];

	while (swaps && fgets(line, sizeof(line), swaps)) {
		line[strcspn(line, " \t\n")] = '\0';
		decode_octal(line);
		if (line[0] != '/' || !is_same(AT_FDCWD, line, st))
			continue;
		snprintf(user, IMAGE_USER_MAX, "the system, as swap space");
		return true;
	}
	return false;
}

static bool find_holder(const char *sysfs_dir, char user[static IMAGE_USER_MAX])
{
	char path[PATH_MAX], name[128];
	scoped_dir *holders = NULL;
	struct dirent *holder;

	snprintf(path, sizeof(path), "%s/holders", sysfs_dir);
	holders = opendir(path);
	while (holders && (holder = readdir(holders))) {
		if (holder->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "%.200s/holders/%.64s/dm/name", sysfs_dir,
			 holder->d_name);
		if (read_line(path, name, sizeof(name)))
			snprintf(user, IMAGE_USER_MAX, "device %.64s (%s)", holder->d_name, name);
		else
			snprintf(user, IMAGE_USER_MAX, "device %.64s", holder->d_name);
		return true;
	}
	return false;
}

/* A file system, a swap area or a device on top of @device itself. */
static bool find_owner(const struct stat *device, const char *sysfs_dir,
		       char user[static IMAGE_USER_MAX])
{
	return find_mount(device, user) || find_swap(device, user) || find_holder(sysfs_dir, user);
}

static bool read_device_number(const char *sysfs_dir, struct stat *device)
{
	char path[PATH_MAX], text[32];
	unsigned major_nr, minor_nr;

	snprintf(path, sizeof(path), "%s/dev", sysfs_dir);
	if (!read_line(path, text, sizeof(text)) ||
	    sscanf(text, "%u:%u", &major_nr, &minor_nr) != 2)
		return false;
	*device = (struct stat){.st_mode = S_IFBLK, .st_rdev = makedev(major_nr, minor_nr)};
	return true;
}

/* The device, its partitions, and, when it is a partition, the whole disk. */
static bool find_device_user(const struct stat *st, char user[static IMAGE_USER_MAX])
{
	char dir[64], path[PATH_MAX];
	scoped_dir *entries = NULL;
	struct dirent *entry;
	struct stat other;

	snprintf(dir, sizeof(dir), "/sys/dev/block/%u:%u", major(st->st_rdev), minor(st->st_rdev));
	if (find_owner(st, dir, user))
		return true;
	snprintf(path, sizeof(path), "%s/partition", dir);
	if (!access(path, F_OK)) {
		snprintf(path, sizeof(path), "%s/..", dir);
		return read_device_number(path, &other) && find_owner(&other, path, user);
	}
	entries = opendir(dir);
	while (entries && (entry = readdir(entries))) {
		snprintf(path, sizeof(path), "%s/%s/partition", dir, entry->d_name);
		if (entry->d_name[0] == '.' || access(path, F_OK))
			continue;
		snprintf(path, sizeof(path), "%s/%s", dir, entry->d_name);
		if (read_device_number(path, &other) && find_owner(&other, path, user))
			return true;
	}
	return false;
}

bool image_user(const struct stat *st, char user[static IMAGE_USER_MAX])
{
	if (S_ISBLK(st->st_mode) ? find_device_user(st, user) : find_swap(st, user))
		return true;
	if (find_process(st, user))
		return true;
	snprintf(user, IMAGE_USER_MAX, "another process");
	return false;
}

bool image_loop_user(const struct stat *st, bool writer, char user[static IMAGE_USER_MAX])
{
	scoped_dir *block = opendir("/sys/block");
	char dir[128], path[160], text[PATH_MAX], mounted[IMAGE_USER_MAX];
	struct dirent *entry;
	struct stat loop;

	while (block && (entry = readdir(block))) {
		if (strncmp(entry->d_name, "loop", 4))
			continue;
		snprintf(dir, sizeof(dir), "/sys/block/%.64s", entry->d_name);
		snprintf(path, sizeof(path), "%s/loop/backing_file", dir);
		if (!read_line(path, text, sizeof(text)) || !is_same(AT_FDCWD, text, st))
			continue;
		snprintf(path, sizeof(path), "%s/ro", dir);
		if (!writer && read_line(path, text, sizeof(text)) && !strcmp(text, "1"))
			continue;
		if (read_device_number(dir, &loop) && find_device_user(&loop, mounted))
			snprintf(user, IMAGE_USER_MAX, "/dev/%.64s (in use by %.160s)",
				 entry->d_name, mounted);
		else
			snprintf(user, IMAGE_USER_MAX, "/dev/%.64s", entry->d_name);
		return true;
	}
	return false;
}
