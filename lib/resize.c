/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "attach.h"
#include "control.h"
#include "image.h"
#include "num.h"
#include "rundir.h"

static int grow_open(int fd, const char *path, uint64_t size_bytes, struct err *e)
{
	struct stat st;

	if (fstat(fd, &st))
		return err_set(e, -errno, TAP_EXIT_IMAGE, "cannot look at '%s': %s", path,
			       strerror(errno));
	if (!S_ISREG(st.st_mode))
		return err_set(e, -EINVAL, TAP_EXIT_IMAGE,
			       "cannot grow '%s': it is no regular file", path);
	if ((uint64_t)st.st_size > size_bytes)
		return err_set(e, -EINVAL, TAP_EXIT_REFUSED,
			       "cannot shrink '%s' from %" PRIu64 " to %" PRIu64
			       " bytes: the guest could lose data",
			       path, (uint64_t)st.st_size, size_bytes);
	if (ftruncate(fd, (off_t)size_bytes))
		return err_set(e, -errno, TAP_EXIT_IMAGE, "cannot grow '%s': %s", path,
			       strerror(errno));
	return 0;
}

static int grow(const char *image, uint64_t size_bytes, struct err *e)
{
	static const char prefix[] = "file:";
	const char *path = image + strlen(prefix);
	int fd, ret;

	if (strncmp(image, prefix, strlen(prefix)))
		return err_set(e, -EINVAL, TAP_EXIT_IMAGE, "cannot grow '%s': it is no file",
			       image);
	fd = open(path, O_WRONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return err_set(e, -errno, TAP_EXIT_IMAGE, "cannot open '%s': %s", path,
			       strerror(errno));
	ret = grow_open(fd, path, size_bytes, e);
	close(fd);
	return ret;
}

/* Before the file is grown to what its server would have to refuse. */
static int check_sectors(struct store *store, const struct disk *disk, uint64_t size_bytes,
			 struct err *e)
{
	uint64_t sector_bytes = SECTOR_BYTES;

	store_read_number(store, XBT_NULL, disk->backend, NODE_SECTOR_SIZE, SECTOR_BYTES,
			  LARGE_SECTOR_BYTES, &sector_bytes);
	if (size_bytes % sector_bytes == 0)
		return 0;
	return err_set(e, -EINVAL, TAP_EXIT_USAGE, "the size must be a multiple of %u",
		       (unsigned)sector_bytes);
}

int attach_resize(struct store *store, const struct disk *disk, uint64_t size_bytes,
		  uint64_t deadline_ns, uint64_t *sectors, struct err *e)
{
	char named[STORE_VALUE_MAX], image[IMAGE_SPEC_MAX], answer[CONTROL_LINE_MAX];
	int ret = store_read_in(store, XBT_NULL, disk->backend, NODE_IMAGE, named);

	if (ret <= 0)
		return err_set(e, ret ? ret : -ENOENT, TAP_EXIT_NONE, "no image in '%s/%s'",
			       disk->backend, NODE_IMAGE);
	ret = image_canonical(named, image, e);
	if (ret)
		return ret;
	if (!rundir_server(disk)) {
		err_set(e, -ENOENT, TAP_EXIT_NONE,
			"no tap-serve serves it: its size is read "
			"again when one starts");
		err_hint(e, "tap-serve %s", disk->name);
		return -ENOENT;
	}
	if (size_bytes) {
		ret = check_sectors(store, disk, size_bytes, e);
		if (!ret)
			ret = grow(image, size_bytes, e);
		if (ret)
			return ret;
	}
	ret = control_ask(disk, "resize", deadline_ns, answer, e);
	if (ret)
		return ret;
	if (num_parse(answer, 1, UINT64_MAX / SECTOR_BYTES, sectors))
		return err_set(e, -EPROTO, TAP_EXIT_SYSTEM, "the server answered '%s' to resize",
			       answer);
	return 0;
}
