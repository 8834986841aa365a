/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "control-path.h"
#include "rundir.h"

int control_path_open(struct control_path *path, const struct disk *disk)
{
	char folder[PATH_MAX];
	int ret = rundir_path(disk, NULL, folder);

	path->folder_fd = -1;
	if (!ret)
		ret = rundir_path(disk, "ctl", path->file);
	if (ret)
		return ret;
	path->folder_fd = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (path->folder_fd < 0)
		return -errno;
	path->address = (struct sockaddr_un){.sun_family = AF_UNIX};
	snprintf(path->address.sun_path, sizeof(path->address.sun_path), "/proc/self/fd/%d/ctl",
		 path->folder_fd);
	return 0;
}

void control_path_close(struct control_path *path)
{
	if (path->folder_fd >= 0)
		close(path->folder_fd);
	path->folder_fd = -1;
}
