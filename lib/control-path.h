/* SPDX-License-Identifier: MIT */
/*
 * control-path - where a disk's control socket is, however long the folder's name. For control*.c
 * only.
 *
 * A socket's address holds 107 bytes. The folder is opened and the socket named through
 * /proc/self/fd, which always fits.
 */
#ifndef TAP_CONTROL_PATH_H
#define TAP_CONTROL_PATH_H

#include <limits.h>
#include <sys/un.h>

#include "xenbus.h"

struct control_path {
	char file[PATH_MAX];
	int folder_fd;
	struct sockaddr_un address; /* good until control_path_close() */
};

/** 0, or -ENOENT (the disk has no folder) or another negative errno. */
int control_path_open(struct control_path *path, const struct disk *disk);
/** May be called again. */
void control_path_close(struct control_path *path);

#endif
