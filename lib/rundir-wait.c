/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <poll.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "num.h"
#include "rundir.h"

static int wait_event(int fd, uint64_t deadline_ns, int interrupt_fd)
{
	char events[4096] __attribute__((aligned(__alignof__(struct inotify_event))));
	struct pollfd fds[] = {{.fd = fd, .events = POLLIN},
			       {.fd = interrupt_fd, .events = POLLIN}};
	uint64_t now = now_ns();
	struct timespec left;

	if (now >= deadline_ns)
		return -ETIMEDOUT;
	left.tv_sec = (time_t)((deadline_ns - now) / 1000000000u);
	left.tv_nsec = (long)((deadline_ns - now) % 1000000000u);
	if (ppoll(fds, ARRAY_SIZE(fds), &left, NULL) < 0)
		return errno == EINTR ? 0 : -errno;
	if (fds[1].revents)
		return -EINTR;
	if (fds[0].revents && read(fd, events, sizeof(events)) < 0 && errno != EAGAIN)
		return -errno;
	return 0;
}

int rundir_await_release(const struct disk *disk, uint64_t deadline_ns, int interrupt_fd)
{
	char folder[PATH_MAX];
	int fd, ret = rundir_path(disk, NULL, folder);

	if (ret)
		return ret;
	if (!rundir_server(disk))
		return 0;
	fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	if (fd < 0)
		return -errno;
	/* A server that is killed closes its files, pid among them, and deletes none. */
	if (inotify_add_watch(fd, folder, IN_DELETE | IN_CLOSE_WRITE | IN_DELETE_SELF) < 0)
		ret = errno == ENOENT ? 0 : -errno;
	while (!ret && rundir_server(disk))
		ret = wait_event(fd, deadline_ns, interrupt_fd);
	close(fd);
	return ret;
}
