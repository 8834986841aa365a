/* SPDX-License-Identifier: MIT */
/*
 * machine - block devices and their users, made up. /dev, /proc and /sys are folders below
 * machine_dir for the code under test: the calls that lead there go through the stand-ins here.
 * A device is a file there, of which stat() says what machine_add_device() was told, and which
 * ioctl() answers from `kernel`.
 */
#ifndef TAP_TEST_MACHINE_H
#define TAP_TEST_MACHINE_H

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/fs.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>
#include <cmocka.h>

#include "num.h"

static char machine_dir[] = "/tmp/taptools-test-XXXXXX";

static struct {
	ino_t inode;
	dev_t device;
} machine_device[8];
static unsigned machine_devices;

/* What the kernel says of a device. Errors are positive errnos. */
static struct {
	uint64_t size_bytes; /* 0: it cannot be had */
	int logical_bytes, physical_bytes;
	bool read_only;
	int exclusive; /* error of open() with O_EXCL */
	int any;       /* ... of any open() but O_PATH, of a file, too */
	int lock;      /* ... of fcntl(F_OFD_SETLK) */
	int discard, secure_discard;
	uint64_t range[2]; /* the last one to be discarded */
	bool was_secure;
} kernel;

/* --- the world of the code under test --------------------------------------------------------- */

/* Where @path is: below machine_dir, for what is machine's. /proc/self/fd stays the real one. */
static inline const char *machine_path(const char *path, char buf[static PATH_MAX])
{
	if (!strncmp(path, "/proc/self/fd/", 14) ||
	    (strncmp(path, "/dev/", 5) && strncmp(path, "/sys/", 5) && strncmp(path, "/proc", 5)))
		return path;
	snprintf(buf, PATH_MAX, "%s%s", machine_dir, path);
	return buf;
}

static inline dev_t machine_device_of(ino_t inode)
{
	for (unsigned i = 0; i < machine_devices; i++) {
		if (machine_device[i].inode == inode)
			return machine_device[i].device;
	}
	return 0;
}

static inline int machine_stat(int dir_fd, const char *path, struct stat *st, int flags)
{
	int ret = fstatat(dir_fd, path, st, flags);
	dev_t device = ret ? 0 : machine_device_of(st->st_ino);

	if (device) {
		st->st_mode = S_IFBLK | (st->st_mode & 07777);
		st->st_rdev = device;
	}
	return ret;
}

int stat(const char *restrict path, struct stat *restrict st)
{
	char buf[PATH_MAX];

	return machine_stat(AT_FDCWD, machine_path(path, buf), st, 0);
}

int fstat(int fd, struct stat *st)
{
	return machine_stat(fd, "", st, AT_EMPTY_PATH);
}

int statx(int fd, const char *restrict path, int flags, unsigned mask, struct statx *restrict stx)
{
	char buf[PATH_MAX];
	int ret = (int)syscall(SYS_statx, fd, machine_path(path, buf), flags, mask, stx);
	dev_t device = ret ? 0 : machine_device_of(stx->stx_ino);

	if (device) {
		stx->stx_mode = S_IFBLK;
		stx->stx_rdev_major = major(device);
		stx->stx_rdev_minor = minor(device);
	}
	return ret;
}

int open(const char *path, int flags, ...)
{
	char buf[PATH_MAX];
	mode_t mode = 0;
	va_list ap;

	va_start(ap, flags);
	if (flags & O_CREAT)
		mode = va_arg(ap, mode_t);
	va_end(ap);
	errno = kernel.any;
	if (!errno && !(flags & O_CREAT) && (flags & O_EXCL))
		errno = kernel.exclusive;
	if (errno)
		return -1;
	return (int)syscall(SYS_openat, AT_FDCWD, machine_path(path, buf), flags, mode);
}

FILE *fopen(const char *restrict path, const char *restrict mode)
{
	char buf[PATH_MAX];
	int fd = openat(AT_FDCWD, machine_path(path, buf),
			mode[0] == 'r' ? O_RDONLY | O_CLOEXEC
				       : O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC,
			0600);

	return fd < 0 ? NULL : fdopen(fd, mode);
}

DIR *opendir(const char *path)
{
	char buf[PATH_MAX];
	int fd = openat(AT_FDCWD, machine_path(path, buf), O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return fd < 0 ? NULL : fdopendir(fd);
}

int access(const char *path, int mode)
{
	char buf[PATH_MAX];

	return (int)syscall(SYS_faccessat, AT_FDCWD, machine_path(path, buf), mode);
}

int faccessat(int dir_fd, const char *path, int mode, int flags)
{
	char buf[PATH_MAX];

	return (int)syscall(SYS_faccessat, dir_fd, machine_path(path, buf), mode);
}

int fcntl(int fd, int command, ...)
{
	va_list ap;
	long arg;

	va_start(ap, command);
	arg = va_arg(ap, long);
	va_end(ap);
	if (command == F_OFD_SETLK && kernel.lock) {
		errno = kernel.lock;
		return -1;
	}
	return (int)syscall(SYS_fcntl, fd, command, arg);
}

/* As blkdev_ioctl() goes about it: able at all, then the range, then the deed. */
static inline int machine_discard(const uint64_t range[2], bool secure)
{
	errno = secure ? kernel.secure_discard : kernel.discard;
	if (!errno && (range[0] | range[1]) % SECTOR_BYTES)
		errno = EINVAL;
	if (errno)
		return -1;
	memcpy(kernel.range, range, sizeof(kernel.range));
	kernel.was_secure = secure;
	return 0;
}

int ioctl(int fd, unsigned long request, ...)
{
	struct stat st;
	va_list ap;
	void *arg;

	va_start(ap, request);
	arg = va_arg(ap, void *);
	va_end(ap);
	if (fstat(fd, &st) || !S_ISBLK(st.st_mode))
		return (int)syscall(SYS_ioctl, fd, request, arg);
	switch (request) {
	case BLKGETSIZE64:
		memcpy(arg, &kernel.size_bytes, sizeof(uint64_t));
		errno = ENOTTY;
		return kernel.size_bytes ? 0 : -1;
	case BLKSSZGET:
		memcpy(arg, &kernel.logical_bytes, sizeof(int));
		return 0;
	case BLKPBSZGET:
		memcpy(arg, &kernel.physical_bytes, sizeof(int));
		return 0;
	case BLKROGET:
		*(int *)arg = kernel.read_only;
		return 0;
	case BLKDISCARD:
	case BLKSECDISCARD:
		return machine_discard(arg, request == BLKSECDISCARD);
	}
	errno = ENOTTY;
	return -1;
}

/* --- what tests make of it -------------------------------------------------------------------- */

static inline void machine_make_parents(char *path)
{
	for (char *c = path + sizeof(machine_dir); (c = strchr(c, '/')); c++) {
		*c = '\0';
		if (mkdir(path, 0755))
			assert_int_equal(errno, EEXIST);
		*c = '/';
	}
}

/* @path ("/proc/7/comm") has @text. */
static inline void machine_put(const char *path, const char *text)
{
	char at[PATH_MAX];
	FILE *file;

	snprintf(at, sizeof(at), "%s%s", machine_dir, path);
	machine_make_parents(at);
	file = fopen(at, "w");
	assert_non_null(file);
	fputs(text, file);
	assert_int_equal(fclose(file), 0);
}

static inline void machine_link(const char *path, const char *to)
{
	char at[PATH_MAX];

	snprintf(at, sizeof(at), "%s%s", machine_dir, path);
	machine_make_parents(at);
	assert_int_equal(symlink(to, at), 0);
}

/* /dev/NAME of that number, of which /sys/dev/block knows @sysfs ("sda/sda1" below devices). */
static inline void machine_add_device(const char *name, unsigned major_nr, unsigned minor_nr,
				      const char *sysfs)
{
	char path[128], to[64];
	struct stat st;

	snprintf(path, sizeof(path), "/sys/devices/%s/dev", sysfs);
	snprintf(to, sizeof(to), "%u:%u\n", major_nr, minor_nr);
	machine_put(path, to);
	snprintf(path, sizeof(path), "/sys/dev/block/%u:%u", major_nr, minor_nr);
	snprintf(to, sizeof(to), "../../devices/%s", sysfs);
	machine_link(path, to);
	snprintf(path, sizeof(path), "/dev/%s", name);
	machine_put(path, "");
	snprintf(path, sizeof(path), "%s/dev/%s", machine_dir, name);
	assert_int_equal(truncate(path, (off_t)kernel.size_bytes), 0);
	assert_int_equal(fstatat(AT_FDCWD, path, &st, 0), 0);
	assert_true(machine_devices < ARRAY_SIZE(machine_device));
	machine_device[machine_devices].inode = st.st_ino;
	machine_device[machine_devices++].device = makedev(major_nr, minor_nr);
}

/* A disk sda of a MiB with a partition sda1, which nobody uses. */
static inline int machine_make(void **state)
{
	strcpy(strrchr(machine_dir, '-'), "-XXXXXX");
	if (!mkdtemp(machine_dir))
		return -1;
	memset(&kernel, 0, sizeof(kernel));
	kernel.size_bytes = 1024 * 1024;
	kernel.logical_bytes = kernel.physical_bytes = SECTOR_BYTES;
	machine_devices = 0;
	machine_add_device("sda", 8, 0, "sda");
	machine_add_device("sda1", 8, 1, "sda/sda1");
	machine_put("/sys/devices/sda/sda1/partition", "1\n");
	return 0;
}

static inline int machine_remove(void **state)
{
	char command[sizeof(machine_dir) + 8];

	snprintf(command, sizeof(command), "rm -r %s", machine_dir);
	return system(command);
}

#define on_machine(test) cmocka_unit_test_setup_teardown(test, machine_make, machine_remove)

#endif
