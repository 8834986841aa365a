/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "num.h"
#include "rundir.h"

/*
 * Two bytes of the pid file are locked, one after the other: the claim, and "the pid is written".
 * So nobody reads the pid of a predecessor between the two.
 */
enum lock_byte { BYTE_CLAIM, BYTE_PID };

static const char *const known_files[] = {"pid", "ctl", "stat", "stat.new", "inflight"};

static struct flock lock_of(enum lock_byte byte)
{
	return (struct flock){
		.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = (off_t)byte, .l_len = 1};
}

static int lock_byte(int fd, enum lock_byte byte)
{
	struct flock lock = lock_of(byte);

	if (!fcntl(fd, F_OFD_SETLK, &lock))
		return 0;
	return errno == EAGAIN || errno == EACCES ? -EBUSY : -errno;
}

int rundir_path(const struct disk *disk, const char *file, char buf[static PATH_MAX])
{
	const char *base = getenv("TAPTOOLS_RUNDIR");
	int n;

	if (!base || !base[0])
		base = "/run/taptools";
	n = snprintf(buf, PATH_MAX, "%s/%u-%u%s%s", base, disk->domid, disk->vdev, file ? "/" : "",
		     file ? file : "");
	return n < 0 || n >= PATH_MAX ? -ENAMETOOLONG : 0;
}

/* One folder of a path, for others to look into, whatever the umask is. */
static int make_one(const char *path)
{
	/* Somebody may remove it again at once; who opens it will see. */
	if (!mkdir(path, 0755))
		return chmod(path, 0755) && errno != ENOENT ? -errno : 0;
	return errno == EEXIST ? 0 : -errno;
}

int rundir_make(const struct disk *disk)
{
	char path[PATH_MAX];
	int ret = rundir_path(disk, NULL, path);

	for (char *slash = path; !ret && (slash = strchr(slash + 1, '/'));) {
		*slash = '\0';
		ret = make_one(path);
		*slash = '/';
	}
	return ret ? ret : make_one(path);
}

/* Is @fd still what the path leads to? Not when its owner removed it after we opened it. */
static bool is_current(int fd, const char *path)
{
	struct stat ours, now;

	return !fstat(fd, &ours) && !stat(path, &now) && ours.st_dev == now.st_dev &&
	       ours.st_ino == now.st_ino;
}

/* A descriptor of the disk's folder, made if need be. -ESTALE: it vanished at once. */
static int open_folder(const struct disk *disk)
{
	char path[PATH_MAX];
	int fd, ret = rundir_make(disk);

	if (!ret)
		ret = rundir_path(disk, NULL, path);
	if (ret)
		return ret;
	/* Not through a symbolic link: one that leads nowhere would look like a folder that
	 * vanishes. */
	fd = open(path, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? -ESTALE : -errno;
	return fd;
}

/* The pid file, made if need be and locked. -ESTALE: somebody removed it or its folder meanwhile.
 */
static int open_locked(const struct disk *disk, const char *path)
{
	int fd, ret = 0, folder = open_folder(disk);

	if (folder < 0)
		return folder;
	fd = openat(folder, "pid", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
	if (fd < 0)
		ret = errno == ENOENT ? -ESTALE : -errno;
	close(folder);
	if (!ret)
		ret = lock_byte(fd, BYTE_CLAIM);
	if (!ret && !is_current(fd, path))
		ret = -ESTALE;
	if (!ret)
		return fd;
	if (fd >= 0)
		close(fd);
	return ret;
}

static int write_pid(int fd)
{
	char text[16];
	int n = snprintf(text, sizeof(text), "%d\n", (int)getpid());
	ssize_t written;

	if (fchmod(fd, 0644) || ftruncate(fd, 0))
		return -errno;
	written = pwrite(fd, text, (size_t)n, 0);
	if (written != n)
		return written < 0 ? -errno : -EIO;
	return lock_byte(fd, BYTE_PID);
}

static int claim_refused(const struct disk *disk, struct err *e)
{
	pid_t pid = rundir_server(disk);

	if (pid)
		return err_set(e, -EBUSY, TAP_EXIT_BUSY, "cannot serve %s: process %d serves it",
			       disk->name, (int)pid);
	return err_set(
		e, -EBUSY, TAP_EXIT_BUSY,
		"cannot serve %s: another process is about to serve it or clears up after it",
		disk->name);
}

int rundir_claim(const struct disk *disk, struct err *e)
{
	char path[PATH_MAX];
	int fd, ret = rundir_path(disk, "pid", path);

	if (ret)
		return err_set(e, ret, TAP_EXIT_USAGE,
			       "cannot serve %s: the run-time folder's name is too long",
			       disk->name);
	do {
		fd = open_locked(disk, path);
	} while (fd == -ESTALE);
	if (fd == -EBUSY)
		return claim_refused(disk, e);
	ret = fd < 0 ? fd : write_pid(fd);
	if (!ret)
		return fd;
	if (fd >= 0)
		close(fd);
	return err_set(e, ret, err_exit_of(ret), "cannot write '%s': %s", path, strerror(-ret));
}

static void remove_file(const struct disk *disk, const char *file)
{
	char path[PATH_MAX];

	if (!rundir_path(disk, file, path))
		unlink(path);
}

void rundir_release(const struct disk *disk, int claim_fd)
{
	remove_file(disk, "ctl");
	remove_file(disk, "pid");
	close(claim_fd);
}

pid_t rundir_server(const struct disk *disk)
{
	struct flock lock = lock_of(BYTE_PID);
	char path[PATH_MAX], text[16];
	uint64_t pid = 0;
	ssize_t n;
	int fd;

	if (rundir_path(disk, "pid", path))
		return 0;
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (fd < 0)
		return 0;
	/* A read-only descriptor may ask about a write lock; it could not take one. */
	if (!fcntl(fd, F_OFD_GETLK, &lock) && lock.l_type != F_UNLCK) {
		n = pread(fd, text, sizeof(text), 0);
		if (n > 1 && text[n - 1] == '\n' &&
		    num_parse_bytes(text, (size_t)n - 1, 1, INT32_MAX, &pid))
			pid = 0;
	}
	close(fd);
	return (pid_t)pid;
}

static int remove_folder(const struct disk *disk, const char *folder)
{
	for (size_t i = 0; i < ARRAY_SIZE(known_files); i++)
		remove_file(disk, known_files[i]);
	return rmdir(folder) && errno != ENOENT ? -errno : 0;
}

/* -ESTALE: another one removed it before our lock; what is there now may be somebody's claim. */
static int try_remove(const struct disk *disk, const char *folder, const char *pid_path)
{
	int fd, ret;

	/* Under the claim's own lock: no server can start in the middle. */
	fd = open(pid_path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
	if (fd < 0)
		return errno == ENOENT ? 0 : -errno;
	ret = lock_byte(fd, BYTE_CLAIM);
	if (!ret && !is_current(fd, pid_path))
		ret = -ESTALE;
	if (!ret)
		ret = remove_folder(disk, folder);
	close(fd);
	return ret;
}

int rundir_remove(const struct disk *disk)
{
	char folder[PATH_MAX], pid_path[PATH_MAX];
	int ret = rundir_path(disk, NULL, folder);

	if (!ret)
		ret = rundir_path(disk, "pid", pid_path);
	if (ret)
		return ret;
	do {
		ret = try_remove(disk, folder, pid_path);
	} while (ret == -ESTALE);
	return ret;
}
