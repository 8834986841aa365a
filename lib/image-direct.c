/* SPDX-License-Identifier: MIT */
/*
 * Direct I/O of the file engine: where it is possible, and in which units.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "image-engine.h"
#include "num.h"

/*
 * What a network file system sends may be sent again after it was acknowledged, when the guest's
 * pages are no longer in our hands. `direct-io-safe` is the toolstack's word that this does no
 * harm.
 */
static bool is_network(int fd)
{
	static const uint32_t types[] = {NFS_SUPER_MAGIC,  SMB_SUPER_MAGIC,  CIFS_SUPER_MAGIC,
					 SMB2_SUPER_MAGIC, CEPH_SUPER_MAGIC, AFS_SUPER_MAGIC,
					 V9FS_MAGIC};
	struct statfs fs;

	if (fstatfs(fd, &fs))
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
		if ((uint32_t)fs.f_type == types[i])
			return true;
	}
	return false;
}

/* Ask the kernel (6.1 and later, and not every file system). 0: no direct I/O; < 0: not known. */
static int64_t ask_unit(int fd)
{
#ifdef STATX_DIOALIGN
	struct statx stx;

	if (statx(fd, "", AT_EMPTY_PATH, STATX_DIOALIGN, &stx) || !(stx.stx_mask & STATX_DIOALIGN))
		return -1;
	if (!stx.stx_dio_offset_align)
		return 0;
	return stx.stx_dio_offset_align > stx.stx_dio_mem_align ? stx.stx_dio_offset_align
								: stx.stx_dio_mem_align;
#else
	return -1;
#endif
}

/* A read aligned to @unit and to nothing more, in memory and on disk. 0 or a negative errno. */
static int read_a_unit(int fd, uint64_t size_bytes, size_t unit)
{
	off_t offset = size_bytes > unit ? (off_t)unit : 0;
	void *buf;
	int ret;

	if (posix_memalign(&buf, 2 * unit, 2 * unit))
		return -ENOMEM;
	ret = pread(fd, (char *)buf + unit, unit, offset) < 0 ? -errno : 0;
	free(buf);
	return ret;
}

/* Find the unit by reading; @fd has O_DIRECT. 0 or a negative errno, -EINVAL: none that fits. */
static int try_units(int fd, uint64_t size_bytes, uint32_t largest, uint32_t *unit_bytes)
{
	int ret = read_a_unit(fd, size_bytes, SECTOR_BYTES);

	*unit_bytes = SECTOR_BYTES;
	if (ret != -EINVAL || largest <= SECTOR_BYTES)
		return ret;
	*unit_bytes = largest;
	return read_a_unit(fd, size_bytes, largest);
}

/* The same file once more, buffered: a claim on the first one stays as it is. */
static int open_again(int fd, int flags)
{
	char path[32];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return open(path, (flags & O_ACCMODE) | O_CLOEXEC);
}

static void say(struct image_facts *facts, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
static void say(struct image_facts *facts, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(facts->note, sizeof(facts->note), fmt, ap);
	va_end(ap);
}

/* Does direct I/O in units that the guest keeps to work? Sets O_DIRECT to find out. */
static bool find_unit(struct image_aio_target *target, int flags, uint32_t sector_bytes,
		      struct image_facts *facts)
{
	int64_t unit = ask_unit(target->fd);
	int ret;

	if (!unit) {
		say(facts, "no direct I/O on this file");
		return false;
	}
	if (unit > sector_bytes) {
		say(facts, "direct I/O here wants %u-byte alignment", (unsigned)unit);
		return false;
	}
	if (fcntl(target->fd, F_SETFL, flags | O_DIRECT)) {
		say(facts, "the file system refuses direct I/O: %s", strerror(errno));
		return false;
	}
	if (unit > 0) {
		target->unit_bytes = unit > SECTOR_BYTES ? (uint32_t)unit : SECTOR_BYTES;
		return true;
	}
	ret = try_units(target->fd, facts->size_bytes, sector_bytes, &target->unit_bytes);
	if (ret == -EINVAL)
		say(facts, "direct I/O here wants more than %u-byte alignment", sector_bytes);
	else if (ret)
		say(facts, "direct I/O failed: %s", strerror(-ret));
	return !ret;
}

int image_try_direct(struct image_aio_target *target, const struct image_options *options,
		     struct image_facts *facts)
{
	uint32_t sector_bytes = options->sector_bytes ? options->sector_bytes : SECTOR_BYTES;
	int flags = fcntl(target->fd, F_GETFL);

	if (flags < 0)
		return -errno;
	if (!options->direct_io_safe && is_network(target->fd)) {
		say(facts, "network storage that is not said to be direct-io-safe");
		return 0;
	}
	if (find_unit(target, flags, sector_bytes, facts)) {
		if (target->unit_bytes > SECTOR_BYTES)
			target->odd_fd = open_again(target->fd, flags);
		facts->direct = target->unit_bytes <= SECTOR_BYTES || target->odd_fd >= 0;
		if (facts->direct)
			return 0;
		say(facts, "cannot open it a second time: %s", strerror(errno));
	}
	target->unit_bytes = SECTOR_BYTES;
	return fcntl(target->fd, F_SETFL, flags) ? -errno : 0;
}
