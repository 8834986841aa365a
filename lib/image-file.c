/* SPDX-License-Identifier: MIT */
/*
 * file - a raw file or a block device: opened, claimed and measured here, served by image-aio.c.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "image-claim.h"
#include "image-engine.h"
#include "num.h"

struct file_image {
	struct image base;
	struct image_aio_target target;
	uint32_t sector_bytes; /* the guest's */
	char path[];	       /* for messages */
};

static int refuse(const char *path, int ret, const char *reason, struct err *e)
{
	bool none = ret == -ENOENT || ret == -ENOTDIR;

	return err_set(e, ret, none ? TAP_EXIT_NONE : TAP_EXIT_IMAGE, "cannot open image '%s': %s",
		       path, reason ? reason : strerror(-ret));
}

static int check_kind(const char *path, const struct stat *st, struct err *e)
{
	if (S_ISREG(st->st_mode) || S_ISBLK(st->st_mode))
		return 0;
	if (S_ISDIR(st->st_mode))
		return refuse(path, -EISDIR, "it is a directory", e);
	return refuse(path, -EINVAL, "it is neither a file nor a block device", e);
}

static int open_flags(const struct stat *st, const struct image_options *options,
		      enum image_intent intent)
{
	/* Closing a device that was open for writing makes udev look at it anew: a probe must not.
	 */
	int flags = options->read_only || intent == INTENT_PROBE ? O_RDONLY : O_RDWR;

	if (!S_ISBLK(
		    st->st_mode)) /* never wait for a lease, or a FIFO that took the file's place */
		return flags | O_CLOEXEC | O_NONBLOCK;
	if (flags == O_RDWR && !options->shared)
		flags |= O_EXCL;
	return flags | O_CLOEXEC;
}

static int check_writable(int fd, const char *path, const struct stat *st, struct err *e)
{
	int locked = 0;

	if (faccessat(AT_FDCWD, path, W_OK, AT_EACCESS))
		return refuse(path, -errno, NULL, e);
	if (S_ISBLK(st->st_mode) && !ioctl(fd, BLKROGET, &locked) && locked)
		return refuse(path, -EROFS, "the device is read-only", e);
	return 0;
}

/* Descriptor of a file or block device at @path, its identity in @st. */
static int open_path(const char *path, const struct image_options *options,
		     enum image_intent intent, struct stat *st, struct err *e)
{
	int fd, flags, ret;

	if (!path[0])
		return err_set(e, -EINVAL, TAP_EXIT_USAGE, "cannot open image: no file is named");
	if (stat(path, st))
		return refuse(path, -errno, NULL, e);
	ret = check_kind(path, st, e);
	if (ret)
		return ret;
	flags = open_flags(st, options, intent);
	fd = open(path, flags);
	if (fd < 0 && (errno == EBUSY || errno == ETXTBSY))
		return image_claim_refused(path, st, e);
	if (fd < 0)
		return refuse(path, -errno, NULL, e);
	ret = fstat(fd, st) ? refuse(path, -errno, NULL, e) : check_kind(path, st, e);
	if (!ret && !options->read_only)
		ret = check_writable(fd, path, st, e);
	if (!ret && fcntl(fd, F_SETFL, flags & ~O_NONBLOCK))
		ret = refuse(path, -errno, NULL, e);
	if (ret) {
		close(fd);
		return ret;
	}
	return fd;
}

static int measure(int fd, const char *path, uint32_t sector_bytes, uint64_t *size_bytes,
		   struct err *e)
{
	struct stat st;
	uint64_t size;

	if (fstat(fd, &st))
		return refuse(path, -errno, NULL, e);
	size = (uint64_t)st.st_size;
	if (S_ISBLK(st.st_mode) && ioctl(fd, BLKGETSIZE64, &size))
		return refuse(path, -errno, NULL, e);
	if (!size)
		return refuse(path, -EINVAL, "it is empty", e);
	if (size % sector_bytes) {
		err_set(e, -EINVAL, TAP_EXIT_IMAGE,
			"cannot open image '%s': its size, %llu bytes, is not a multiple of %u",
			path, (unsigned long long)size, sector_bytes);
		err_hint(e, "truncate -s %%%u FILE rounds it up", sector_bytes);
		return -EINVAL;
	}
	*size_bytes = size;
	return 0;
}

static void describe_sectors(int fd, const struct stat *st, struct image_facts *facts)
{
	unsigned physical;
	int logical;

	facts->logical_sector_bytes = SECTOR_BYTES;
	facts->physical_sector_bytes = SECTOR_BYTES;
	if (S_ISBLK(st->st_mode)) {
		facts->is_device = true;
		facts->device = st->st_rdev;
		if (!ioctl(fd, BLKSSZGET, &logical) && logical > 0)
			facts->logical_sector_bytes = (uint32_t)logical;
		if (!ioctl(fd, BLKPBSZGET, &physical) && physical)
			facts->physical_sector_bytes = physical;
		return;
	}
	facts->device = st->st_dev;
	facts->inode = st->st_ino;
	/* A guest that keeps to the file system's blocks spares it reading before writing. */
	if (st->st_blksize >= 4096)
		facts->physical_sector_bytes = 4096;
}

static int try_flush(struct file_image *file, struct err *e)
{
	int ret = image_aio_try_flush(file->target.fd);

	if (ret == -EAGAIN) {
		err_set(e, ret, TAP_EXIT_SYSTEM, "cannot open image '%s': no free aio context",
			file->path);
		err_hint(e, "raise the sysctl fs.aio-max-nr");
		return ret;
	}
	if (ret < 0)
		return err_set(e, ret, TAP_EXIT_IMAGE, "cannot flush image '%s': %s", file->path,
			       strerror(-ret));
	file->target.flush = (enum image_flush_way)ret;
	file->base.facts.can_flush = ret != FLUSH_NONE;
	return 0;
}

static int set_up(struct file_image *file, const struct stat *st,
		  const struct image_options *options, enum image_intent intent, struct err *e)
{
	struct image_facts *facts = &file->base.facts;
	int fd = file->target.fd, ret = 0;

	if (intent == INTENT_SERVE)
		ret = image_claim(fd, file->path, st, options, e);
	if (!ret)
		ret = measure(fd, file->path, file->sector_bytes, &facts->size_bytes, e);
	if (ret)
		return ret;
	describe_sectors(fd, st, facts);
	if (!options->buffered) {
		ret = image_try_direct(&file->target, options, facts);
		if (ret)
			return refuse(file->path, ret, NULL, e);
	}
	/* A flush of a disk that is in use would be noticed; what is open for reading has no holes
	 * punched. */
	if (intent != INTENT_SERVE)
		return 0;
	if (!options->read_only)
		file->target.discard = image_try_discard(fd, st, facts);
	return try_flush(file, e);
}

static void file_close(struct image *image)
{
	struct file_image *file = (struct file_image *)image;

	close(file->target.fd);
	if (file->target.odd_fd >= 0)
		close(file->target.odd_fd);
	free(file);
}

static int file_open(struct image **out, const char *path, const struct image_options *options,
		     enum image_intent intent, struct err *e)
{
	struct file_image *file;
	struct stat st;
	int fd, ret;

	fd = open_path(path, options, intent, &st, e);
	if (fd < 0)
		return fd;
	file = calloc(1, sizeof(*file) + strlen(path) + 1);
	if (!file) {
		close(fd);
		return refuse(path, -ENOMEM, NULL, e);
	}
	strcpy(file->path, path);
	file->target = (struct image_aio_target){.fd = fd,
						 .read_only = options->read_only,
						 .unit_bytes = SECTOR_BYTES,
						 .odd_fd = -1};
	file->sector_bytes = options->sector_bytes ? options->sector_bytes : SECTOR_BYTES;
	ret = set_up(file, &st, options, intent, e);
	if (ret) {
		file_close(&file->base);
		return ret;
	}
	*out = &file->base;
	return 0;
}

static int file_canonical(const char *path, char buf[static IMAGE_SPEC_MAX], struct err *e)
{
	char cwd[PATH_MAX];
	int n;

	if (!path[0])
		return err_set(e, -EINVAL, TAP_EXIT_USAGE, "cannot use image: no file is named");
	/* Symbolic links stay: names below /dev/disk and /dev/mapper outlive what they point to. */
	while (path[0] == '.' && path[1] == '/')
		path += 2 + strspn(path + 2, "/");
	if (path[0] == '/') {
		n = snprintf(buf, IMAGE_SPEC_MAX, "%s", path);
	} else {
		if (!getcwd(cwd, sizeof(cwd)))
			return err_set(e, -errno, TAP_EXIT_SYSTEM,
				       "cannot make '%s' an absolute path: %s", path,
				       strerror(errno));
		n = snprintf(buf, IMAGE_SPEC_MAX, "%s/%s", strcmp(cwd, "/") ? cwd : "", path);
	}
	if (n < 0 || n >= IMAGE_SPEC_MAX)
		return err_set(e, -ENAMETOOLONG, TAP_EXIT_USAGE,
			       "cannot use image '%.64s...': the name is too long", path);
	return 0;
}

static int file_resize(struct image *image, struct err *e)
{
	struct file_image *file = (struct file_image *)image;

	return measure(file->target.fd, file->path, file->sector_bytes, &image->facts.size_bytes,
		       e);
}

static int file_io_open(struct image_io **out, struct image *image, unsigned depth)
{
	return image_aio_open(out, &((struct file_image *)image)->target, depth);
}

const struct image_engine image_file_engine = {
	.name = "file",
	.canonical = file_canonical,
	.open = file_open,
	.close = file_close,
	.resize = file_resize,
	.io_open = file_io_open,
	.io_close = image_aio_close,
	.submit = image_aio_submit,
	.reap = image_aio_reap,
};
