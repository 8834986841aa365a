/* SPDX-License-Identifier: MIT */
/*
 * image-claim - one image, one writer; and who the other one is. For image*.c only.
 *
 * A file carries an OFD lock, which ends with the descriptor, however the process ends. A block
 * device is opened with O_EXCL besides, which file systems, swap, device-mapper and the like
 * respect. Loop devices lock nothing, so a file's loop devices are looked for.
 */
#ifndef TAP_IMAGE_CLAIM_H
#define TAP_IMAGE_CLAIM_H

#include <sys/stat.h>

#include "image.h"

#define IMAGE_USER_MAX 256 /* bytes of a user's description, NUL included */

/** Lock @fd for what @options want. 0, or -EBUSY with the other user named, or another errno. */
int image_claim(int fd, const char *path, const struct stat *st,
		const struct image_options *options, struct err *e);

/** Fill @e for an image that somebody else uses. Returns -EBUSY. */
int image_claim_refused(const char *path, const struct stat *st, struct err *e);

/**
 * Who uses the file or block device @st, in words that follow "in use by": "process 12 (qemu)",
 * "the file system on /srv". False, and "another process", when /proc and sysfs do not tell.
 */
bool image_user(const struct stat *st, char user[static IMAGE_USER_MAX]);

/** A loop device over the file @st, of which @ours or it itself is a writer. */
bool image_loop_user(const struct stat *st, bool writer, char user[static IMAGE_USER_MAX]);

#endif
