/* SPDX-License-Identifier: MIT */
/*
 * Both ends of the control socket. Some calls go through the stand-ins here, which can fail.
 */
#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

#include "control.h"
#include "control-path.h"
#include "num.h"
#include "rundir.h"

#define SECONDS 1000000000ull

/* Positive errnos: of the next call by the server's thread, and of each by the client. */
static struct {
	atomic_int accept, receive, epoll;
	int send;
	uint64_t now_ns; /* where the clock stands still; 0: it goes */
} fault;

/* True, with errno set, once. */
static bool fails(atomic_int *error)
{
	errno = atomic_exchange(error, 0);
	return errno;
}

int accept4(int fd, struct sockaddr *restrict address, socklen_t *restrict bytes, int flags)
{
	return fails(&fault.accept) ? -1 : (int)syscall(SYS_accept4, fd, address, bytes, flags);
}

ssize_t recv(int fd, void *buf, size_t bytes, int flags)
{
	if ((flags & MSG_TRUNC) && fails(&fault.receive))
		return -1;
	return syscall(SYS_recvfrom, fd, buf, bytes, flags, NULL, NULL);
}

ssize_t send(int fd, const void *buf, size_t bytes, int flags)
{
	errno = fault.send;
	return errno ? -1 : syscall(SYS_sendto, fd, buf, bytes, flags, NULL, 0);
}

int epoll_ctl(int epoll_fd, int what, int fd, struct epoll_event *event)
{
	if (what == EPOLL_CTL_ADD && fails(&fault.epoll))
		return -1;
	return (int)syscall(SYS_epoll_ctl, epoll_fd, what, fd, event);
}

int clock_gettime(clockid_t clock, struct timespec *now)
{
	if (!fault.now_ns)
		return (int)syscall(SYS_clock_gettime, clock, now);
	*now = (struct timespec){(time_t)(fault.now_ns / SECONDS), (long)(fault.now_ns % SECONDS)};
	return 0;
}

static const struct disk disk = {.domid = 3, .vdev = 51712, .name = "web1/xvda"};
static const struct disk other = {.domid = 4, .vdev = 51712, .name = "web2/xvda"};
static char dir[] = "/tmp/taptools-test-XXXXXX";
static char base[256];

static struct loop *loop;
static struct control *control;
static struct loop_source stop;
static pthread_t thread;

static void answer(void *opaque, const char *command, char text[static CONTROL_LINE_MAX])
{
	if (!strcmp(command, "ping"))
		strcpy(text, "ok");
	else if (!strcmp(command, "nonsense"))
		strcpy(text, "maybe");
	else if (!strcmp(command, "shrink"))
		snprintf(text, CONTROL_LINE_MAX, "error %d it would lose data", TAP_EXIT_REFUSED);
	else if (!strcmp(command, "silence"))
		text[0] = '\0';
	else if (!strncmp(command, "status ", 7))
		snprintf(text, CONTROL_LINE_MAX, "error %.100s because", command + 7);
	else
		snprintf(text, CONTROL_LINE_MAX, "ok you said %.100s", command);
}

static void stop_ready(struct loop_source *source, uint32_t events)
{
	loop_stop(loop);
}

static void *run(void *opaque)
{
	return (void *)(intptr_t)loop_run(loop);
}

static int make_dir(void **state)
{
	strcpy(strrchr(dir, '-'), "-XXXXXX");
	if (!mkdtemp(dir))
		return -1;
	/* Longer than a socket's address can be. */
	snprintf(base, sizeof(base), "%s/%0120d", dir, 0);
	return setenv("TAPTOOLS_RUNDIR", base, 1) || rundir_make(&disk);
}

static int remove_dir(void **state)
{
	return rundir_remove(&disk) || rmdir(base) || rmdir(dir);
}

static int start(void **state)
{
	if (make_dir(state) || loop_open(&loop) ||
	    control_open(&control, &disk, loop, answer, NULL))
		return -1;
	stop = (struct loop_source){.fd = eventfd(0, EFD_CLOEXEC), .ready = stop_ready};
	return loop_add(loop, &stop, EPOLLIN) || pthread_create(&thread, NULL, run, NULL);
}

static int finish(void **state)
{
	void *result;

	if (eventfd_write(stop.fd, 1) || pthread_join(thread, &result) || result)
		return -1;
	loop_remove(loop, &stop);
	close(stop.fd);
	control_close(control);
	loop_close(loop);
	return remove_dir(state);
}

static int connect_client(void)
{
	struct control_path path;
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_int_equal(control_path_open(&path, &disk), 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&path.address, sizeof(path.address)), 0);
	control_path_close(&path);
	return fd;
}

static bool hung_up(int fd, int timeout_ms)
{
	struct pollfd poll_fd = {.fd = fd, .events = POLLIN};

	return poll(&poll_fd, 1, timeout_ms) == 1 && (poll_fd.revents & POLLHUP);
}

static void check_ping(void)
{
	char text[CONTROL_LINE_MAX];
	struct err e = {0};

	if (control_ask(&disk, "ping", now_ns() + 10 * SECONDS, text, &e))
		fail_msg("%s", e.what);
	assert_string_equal(text, "");
}

static void answers(void **state)
{
	char text[CONTROL_LINE_MAX];
	struct err e = {0};

	check_ping();
	assert_int_equal(control_ask(&disk, "hello there", UINT64_MAX, text, &e), 0);
	assert_string_equal(text, "you said hello there");
	assert_true(control_ask(&disk, "shrink", UINT64_MAX, text, &e) < 0);
	assert_int_equal(e.exit, TAP_EXIT_REFUSED);
	assert_string_equal(e.what, "it would lose data");
	assert_int_equal(control_ask(&disk, "nonsense", UINT64_MAX, text, &e), -EPROTO);
	assert_int_equal(e.exit, TAP_EXIT_SYSTEM);
}

static void each_status_has_its_errno(void **state)
{
	static const int want[] = {
		[TAP_EXIT_DONE] = -EPROTO,	 [TAP_EXIT_FOUND] = -EIO,
		[TAP_EXIT_USAGE] = -EINVAL,	 [TAP_EXIT_NONE] = -ENOENT,
		[TAP_EXIT_BUSY] = -EBUSY,	 [TAP_EXIT_TIMEOUT] = -ETIMEDOUT,
		[TAP_EXIT_DENIED] = -EPERM,	 [TAP_EXIT_IMAGE] = -EIO,
		[TAP_EXIT_REFUSED] = -ECANCELED, [TAP_EXIT_SYSTEM] = -EIO,
		[TAP_EXIT_SYSTEM + 1] = -EPROTO,
	};
	char command[32], text[CONTROL_LINE_MAX];

	for (int i = 0; i < (int)ARRAY_SIZE(want); i++) {
		struct err e = {0};
		int ret;

		snprintf(command, sizeof(command), "status %d", i);
		ret = control_ask(&disk, command, UINT64_MAX, text, &e);
		if (ret != want[i])
			fail_msg("status %d is %d", i, ret);
		if (ret == -EPROTO)
			continue;
		assert_int_equal(e.exit, i);
		assert_string_equal(e.what, "because");
	}
}

static void check_ask_fails(const char *command, uint64_t deadline_ns, int ret,
			    enum tap_exit status, const char *reason)
{
	char text[CONTROL_LINE_MAX], want[100];
	struct err e = {0};

	assert_int_equal(control_ask(&disk, command, deadline_ns, text, &e), ret);
	assert_int_equal(e.exit, status);
	snprintf(want, sizeof(want), "cannot ask the server: %s", reason);
	assert_string_equal(e.what, want);
}

static void a_server_that_hangs_up(void **state)
{
	check_ask_fails("silence", UINT64_MAX, -ECONNRESET, TAP_EXIT_SYSTEM, strerror(ECONNRESET));
	check_ping();
}

static void too_late_to_ask(void **state)
{
	check_ask_fails("ping", now_ns(), -ETIMEDOUT, TAP_EXIT_TIMEOUT, "no answer in time");
	check_ping();
}

/* The server goes on as before. */
static void a_client_that_cannot_be_taken(void **state)
{
	char text[CONTROL_LINE_MAX];
	struct err e = {0};
	int ret;

	fault.accept = EMFILE;
	check_ping();
	assert_int_equal(fault.accept, 0);
	fault.receive = EAGAIN;
	check_ping();
	assert_int_equal(fault.receive, 0);
	fault.epoll = ENOSPC;
	/* It is gone before or after the command was sent. */
	ret = control_ask(&disk, "ping", UINT64_MAX, text, &e);
	assert_true(ret == -EPIPE || ret == -ECONNRESET);
	assert_int_equal(e.exit, TAP_EXIT_SYSTEM);
	check_ping();
}

static void only_the_owner_may_connect(void **state)
{
	char path[PATH_MAX];
	struct stat st;

	assert_int_equal(rundir_path(&disk, "ctl", path), 0);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
}

static void check_not_a_command(const void *bytes, size_t length)
{
	char text[CONTROL_LINE_MAX] = "";
	int fd = connect_client();

	assert_int_equal(send(fd, bytes, length, MSG_NOSIGNAL), length);
	assert_true(recv(fd, text, sizeof(text) - 1, 0) > 0);
	assert_string_equal(text, "error 2 not a command");
	close(fd);
}

static void clients_that_say_too_much(void **state)
{
	static char much[60000];

	memset(much, 'x', sizeof(much));
	check_not_a_command(much, sizeof(much));
	check_not_a_command(much, CONTROL_LINE_MAX);
	check_not_a_command("ping\n", 5);
	check_not_a_command("ping\0", 5);
	check_ping();
}

static void clients_that_say_nothing(void **state)
{
	enum { CLIENTS = 50, PLACES = 8 };
	int fd[CLIENTS];

	for (int i = 0; i < CLIENTS; i++)
		fd[i] = connect_client();
	check_ping();
	/* The oldest had to go, and the newest have not: one of them left for the ping. */
	for (int i = 0; i <= CLIENTS - PLACES; i++)
		assert_true(hung_up(fd[i], 10000));
	for (int i = CLIENTS - PLACES + 1; i < CLIENTS; i++)
		assert_false(hung_up(fd[i], 0));
	for (int i = 0; i < CLIENTS; i++)
		close(fd[i]);
	check_ping();
}

static void clients_that_leave(void **state)
{
	for (int i = 0; i < 20; i++) {
		int fd = connect_client();

		assert_int_equal(send(fd, "ping", 4, MSG_NOSIGNAL), 4);
		close(fd);
	}
	check_ping();
}

static void nobody_there(void **state)
{
	char text[CONTROL_LINE_MAX], path[PATH_MAX];
	struct err e = {0};
	struct sockaddr_un left_behind = {.sun_family = AF_UNIX, .sun_path = "ctl"};
	char cwd[PATH_MAX];
	int fd;

	assert_int_equal(control_ask(&disk, "ping", UINT64_MAX, text, &e), -ENOENT);
	assert_int_equal(e.exit, TAP_EXIT_NONE);

	/* The socket of a server that was killed; the next one takes its place. */
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	assert_non_null(getcwd(cwd, sizeof(cwd)));
	assert_int_equal(rundir_path(&disk, NULL, path), 0);
	assert_int_equal(chdir(path), 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&left_behind, sizeof(left_behind)), 0);
	assert_int_equal(chdir(cwd), 0);
	close(fd);
	e = (struct err){0};
	assert_int_equal(control_ask(&disk, "ping", UINT64_MAX, text, &e), -ENOENT);
	assert_int_equal(e.exit, TAP_EXIT_NONE);
	assert_int_equal(loop_open(&loop), 0);
	assert_int_equal(control_open(&control, &disk, loop, answer, NULL), 0);
	control_close(control);
	loop_close(loop);
}

static void nowhere_to_ask(void **state)
{
	char text[CONTROL_LINE_MAX], longest[PATH_MAX];
	struct err e = {0};

	assert_int_equal(control_ask(&other, "ping", UINT64_MAX, text, &e), -ENOENT);
	assert_int_equal(e.exit, TAP_EXIT_NONE);
	assert_string_equal(e.what, "cannot ask the server: nobody serves web2/xvda");
	assert_string_equal(e.hint, "tap-serve web2/xvda");
	memset(longest, 'x', sizeof(longest));
	longest[0] = '/';
	longest[sizeof(longest) - 1] = '\0';
	setenv("TAPTOOLS_RUNDIR", longest, 1);
	check_ask_fails("ping", UINT64_MAX, -ENAMETOOLONG, TAP_EXIT_SYSTEM, strerror(ENAMETOOLONG));
	setenv("TAPTOOLS_RUNDIR", base, 1);
}

static unsigned open_files(void)
{
	DIR *files = opendir("/proc/self/fd");
	unsigned n = 0;

	assert_non_null(files);
	while (readdir(files))
		n++;
	closedir(files);
	return n;
}

static void nowhere_to_listen(void **state)
{
	char path[PATH_MAX];
	unsigned before;

	assert_int_equal(loop_open(&loop), 0);
	assert_int_equal(rundir_path(&disk, "ctl", path), 0);
	before = open_files();
	assert_int_equal(control_open(&control, &other, loop, answer, NULL), -ENOENT);
	fault.epoll = ENOSPC;
	assert_int_equal(control_open(&control, &disk, loop, answer, NULL), -ENOSPC);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(mkdir(path, 0700), 0);
	assert_int_equal(control_open(&control, &disk, loop, answer, NULL), -EISDIR);
	assert_int_equal(open_files(), before);
	assert_int_equal(rmdir(path), 0);
	loop_close(loop);
}

static void a_command_that_cannot_be_sent(void **state)
{
	assert_int_equal(loop_open(&loop), 0);
	assert_int_equal(control_open(&control, &disk, loop, answer, NULL), 0);
	fault.send = EPIPE;
	check_ask_fails("ping", UINT64_MAX, -EPIPE, TAP_EXIT_SYSTEM, strerror(EPIPE));
	/* Once it is too late nothing is sent. */
	check_ask_fails("ping", now_ns(), -ETIMEDOUT, TAP_EXIT_TIMEOUT, "no answer in time");
	fault.send = EAGAIN;
	check_ask_fails("ping", UINT64_MAX, -ETIMEDOUT, TAP_EXIT_TIMEOUT, "no answer in time");
	fault.send = 0;
	control_close(control);
	loop_close(loop);
}

/* A server that does not run its loop: neither the answer nor the connection comes. */
static void a_server_that_hangs(void **state)
{
	char text[CONTROL_LINE_MAX];
	uint64_t before = now_ns();

	assert_int_equal(loop_open(&loop), 0);
	assert_int_equal(control_open(&control, &disk, loop, answer, NULL), 0);
	for (int i = 0; i < 12; i++) {
		struct err e = {0};

		assert_int_equal(control_ask(&disk, "ping", now_ns() + SECONDS / 50, text, &e),
				 -ETIMEDOUT);
		assert_int_equal(e.exit, TAP_EXIT_TIMEOUT);
	}
	assert_true(now_ns() - before >= 12 * (SECONDS / 50));
	/* What is left is less than a socket's time limit can say, and none would be for ever. */
	fault.now_ns = now_ns();
	alarm(60);
	check_ask_fails("ping", fault.now_ns + 1, -ETIMEDOUT, TAP_EXIT_TIMEOUT,
			"no answer in time");
	alarm(0);
	fault.now_ns = 0;
	control_close(control);
	loop_close(loop);
}

#define served(test)   cmocka_unit_test_setup_teardown(test, start, finish)
#define unserved(test) cmocka_unit_test_setup_teardown(test, make_dir, remove_dir)

int main(void)
{
	const struct CMUnitTest tests[] = {
		served(answers),
		served(each_status_has_its_errno),
		served(a_server_that_hangs_up),
		served(too_late_to_ask),
		served(a_client_that_cannot_be_taken),
		served(only_the_owner_may_connect),
		served(clients_that_say_too_much),
		served(clients_that_say_nothing),
		served(clients_that_leave),
		unserved(nobody_there),
		unserved(nowhere_to_ask),
		unserved(nowhere_to_listen),
		unserved(a_command_that_cannot_be_sent),
		unserved(a_server_that_hangs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
