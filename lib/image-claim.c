/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "image-claim.h"

static int in_use(const char *path, const char *user, struct err *e)
{
	err_set(e, -EBUSY, TAP_EXIT_BUSY, "cannot open image '%s': in use by %s", path, user);
	err_hint(e,
		 "two writers destroy a file system; where several are meant: tap-attach --share");
	return -EBUSY;
}

int image_claim_refused(const char *path, const struct stat *st, struct err *e)
{
	char user[IMAGE_USER_MAX];

	image_user(st, user);
	return in_use(path, user, e);
}

int image_claim(int fd, const char *path, const struct stat *st,
		const struct image_options *options, struct err *e)
{
	bool writer = !options->read_only;
	struct flock lock = {
		.l_type = writer && !options->shared ? F_WRLCK : F_RDLCK,
		.l_whence = SEEK_SET,
	};
	char user[IMAGE_USER_MAX];

	if (fcntl(fd, F_OFD_SETLK, &lock)) {
		if (errno == EAGAIN || errno == EACCES)
			return image_claim_refused(path, st, e);
		/* Where nobody can lock there is nobody to keep out a sharer. */
		if (!options->shared)
			return err_set(e, -errno, TAP_EXIT_IMAGE, "cannot lock image '%s': %s",
				       path, strerror(errno));
	}
	if (!options->shared && image_loop_user(st, writer, user))
		return in_use(path, user, e);
	return 0;
}
