/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "rundir.h"

static const struct disk disk = {.domid = 3, .vdev = 51712, .name = "web1/xvda"};
static int no_inotify, no_watch; /* positive errnos for the stand-ins here */

int inotify_init1(int flags)
{
	errno = no_inotify;
	return errno ? -1 : (int)syscall(SYS_inotify_init1, flags);
}

int inotify_add_watch(int fd, const char *name, uint32_t mask)
{
	errno = no_watch;
	return errno ? -1 : (int)syscall(SYS_inotify_add_watch, fd, name, mask);
}

static char dir[] = "/tmp/taptools-test-XXXXXX";
static char base[64];

/* The parents of the disk's folder are missing, as on a fresh boot. */
static int make_dir(void **state)
{
	strcpy(strrchr(dir, '-'), "-XXXXXX");
	if (!mkdtemp(dir))
		return -1;
	snprintf(base, sizeof(base), "%s/run/taptools", dir);
	return setenv("TAPTOOLS_RUNDIR", base, 1);
}

static int remove_dir(void **state)
{
	char run[64];
	int ret = rundir_remove(&disk);

	snprintf(run, sizeof(run), "%s/run", dir);
	rmdir(base);
	rmdir(run);
	return ret || rmdir(dir);
}

static bool exists(const char *file)
{
	char path[PATH_MAX];

	assert_int_equal(rundir_path(&disk, file, path), 0);
	return !access(path, F_OK);
}

static void put(const char *file, const char *text)
{
	char path[PATH_MAX];
	FILE *out;

	assert_int_equal(rundir_path(&disk, file, path), 0);
	out = fopen(path, "w");
	assert_non_null(out);
	fputs(text, out);
	fclose(out);
}

/* A process that claims the disk and then waits to be killed; returns when it has the claim. */
static pid_t claim_in_child(void)
{
	int ready[2];
	char byte;
	pid_t pid;

	assert_int_equal(pipe(ready), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (!pid) {
		/* A test that fails does not come to kill it. */
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (rundir_claim(&disk, NULL) < 0)
			_exit(1);
		(void)!write(ready[1], "", 1);
		for (;;)
			pause();
	}
	close(ready[1]);
	assert_int_equal(read(ready[0], &byte, 1), 1);
	close(ready[0]);
	return pid;
}

static void kill_child(pid_t pid)
{
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static void paths(void **state)
{
	char path[PATH_MAX], want[PATH_MAX], longest[PATH_MAX];

	assert_int_equal(rundir_path(&disk, NULL, path), 0);
	snprintf(want, sizeof(want), "%s/3-51712", base);
	assert_string_equal(path, want);
	assert_int_equal(rundir_path(&disk, "ctl", path), 0);
	snprintf(want, sizeof(want), "%s/3-51712/ctl", base);
	assert_string_equal(path, want);

	memset(longest, 'x', sizeof(longest));
	longest[0] = '/';
	longest[sizeof(longest) - 1] = '\0';
	setenv("TAPTOOLS_RUNDIR", longest, 1);
	assert_int_equal(rundir_path(&disk, NULL, path), -ENAMETOOLONG);
	assert_int_equal(rundir_await_release(&disk, 0, -1), -ENAMETOOLONG);
	unsetenv("TAPTOOLS_RUNDIR");
	assert_int_equal(rundir_path(&disk, NULL, path), 0);
	assert_string_equal(path, "/run/taptools/3-51712");
	setenv("TAPTOOLS_RUNDIR", base, 1);
}

static void folders_can_be_read_by_all(void **state)
{
	mode_t mask = umask(077);
	char path[PATH_MAX];
	struct stat st;

	assert_int_equal(rundir_make(&disk), 0);
	umask(mask);
	assert_int_equal(rundir_make(&disk), 0);
	assert_int_equal(rundir_path(&disk, NULL, path), 0);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0755);
	assert_int_equal(stat(base, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0755);
}

static void one_claim_at_a_time(void **state)
{
	struct err e = {0};
	char text[64];
	int claim;
	pid_t pid;

	assert_int_equal(rundir_server(&disk), 0);
	pid = claim_in_child();
	assert_int_equal(rundir_server(&disk), pid);
	assert_int_equal(rundir_claim(&disk, &e), -EBUSY);
	assert_int_equal(e.exit, TAP_EXIT_BUSY);
	snprintf(text, sizeof(text), "cannot serve web1/xvda: process %d serves it", (int)pid);
	assert_string_equal(e.what, text);
	assert_int_equal(rundir_remove(&disk), -EBUSY);
	assert_true(exists("pid"));
	kill_child(pid);

	/* Its pid file is still there, and means nothing. */
	assert_true(exists("pid"));
	assert_int_equal(rundir_server(&disk), 0);
	claim = rundir_claim(&disk, &e);
	assert_true(claim >= 0);
	assert_int_equal(rundir_server(&disk), getpid());
	assert_true(fcntl(claim, F_GETFD) & FD_CLOEXEC);
	rundir_release(&disk, claim);
	assert_int_equal(rundir_server(&disk), 0);
}

static void a_release_is_waited_for(void **state)
{
	const uint64_t a_minute_ns = 60000000000u;
	pid_t pid, killer;

	assert_int_equal(rundir_await_release(&disk, 0, -1), 0); /* nobody has it */
	pid = claim_in_child();
	assert_int_equal(rundir_await_release(&disk, now_ns(), -1), -ETIMEDOUT);
	assert_int_equal(rundir_await_release(&disk, now_ns() + 1000000, -1), -ETIMEDOUT);
	killer = fork();
	assert_true(killer >= 0);
	if (!killer)
		_exit(kill(pid, SIGKILL) != 0);
	assert_int_equal(rundir_await_release(&disk, now_ns() + a_minute_ns, -1), 0);
	assert_int_equal(rundir_server(&disk), 0);
	assert_int_equal(waitpid(killer, NULL, 0), killer);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static void a_release_that_cannot_be_waited_for(void **state)
{
	pid_t pid = claim_in_child();

	no_inotify = EMFILE;
	assert_int_equal(rundir_await_release(&disk, UINT64_MAX, -1), -EMFILE);
	no_inotify = 0;
	no_watch = ENOSPC; /* fs.inotify.max_user_watches */
	assert_int_equal(rundir_await_release(&disk, UINT64_MAX, -1), -ENOSPC);
	no_watch = 0;
	kill_child(pid);
}

/* The pid of the one before is in the file until the new one is written. */
static void a_claim_without_its_pid_is_not_yet_a_server(void **state)
{
	struct flock claim_only = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_len = 1};
	struct err e = {0};
	char path[PATH_MAX];
	int fd;

	assert_int_equal(rundir_make(&disk), 0);
	put("pid", "4242\n");
	assert_int_equal(rundir_path(&disk, "pid", path), 0);
	fd = open(path, O_RDWR);
	assert_int_equal(fcntl(fd, F_OFD_SETLK, &claim_only), 0);
	assert_int_equal(rundir_server(&disk), 0);
	assert_int_equal(rundir_claim(&disk, &e), -EBUSY);
	assert_non_null(strstr(e.what, "about to serve it"));
	close(fd);
}

static void release_keeps_the_figures(void **state)
{
	int claim = rundir_claim(&disk, NULL);

	assert_true(claim >= 0);
	put("stat", "");
	put("ctl", "");
	rundir_release(&disk, claim);
	assert_true(exists("stat"));
	assert_false(exists("ctl"));
	assert_false(exists("pid"));
	assert_int_equal(rundir_remove(&disk), 0);
	assert_false(exists(NULL));
	assert_int_equal(rundir_remove(&disk), 0);
}

static void nonsense_in_the_pid_file(void **state)
{
	int claim = rundir_claim(&disk, NULL);

	assert_true(claim >= 0);
	assert_int_equal(rundir_server(&disk), getpid());
	put("pid", "-1\n");
	assert_int_equal(rundir_server(&disk), 0);
	put("pid", "");
	assert_int_equal(rundir_server(&disk), 0);
	put("pid", "12345678901234567890123\n");
	assert_int_equal(rundir_server(&disk), 0);
	rundir_release(&disk, claim);
}

static void strangers_files_are_left_alone(void **state)
{
	char path[PATH_MAX];

	assert_int_equal(rundir_make(&disk), 0);
	put("mine", "");
	assert_int_equal(rundir_remove(&disk), -ENOTEMPTY);
	assert_true(exists("mine"));
	assert_int_equal(rundir_path(&disk, "mine", path), 0);
	assert_int_equal(unlink(path), 0);
}

static void links_to_nowhere_are_refused(void **state)
{
	char path[PATH_MAX];
	struct err e = {0};

	assert_int_equal(rundir_make(&disk), 0);
	assert_int_equal(rundir_path(&disk, NULL, path), 0);
	assert_int_equal(rmdir(path), 0);
	assert_int_equal(symlink("/nonexistent/folder", path), 0);
	assert_int_equal(rundir_claim(&disk, &e), -ENOTDIR);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(rmdir(base), 0);
	assert_int_equal(symlink("/nonexistent/folder", base), 0);
	assert_int_equal(rundir_claim(&disk, &e), -ENOENT);
	assert_int_equal(unlink(base), 0);
}

/* Claims and removals against each other: never two claims at once. */
static void claims_and_removals_race(void **state)
{
	pid_t child[2];

	for (int i = 0; i < 2; i++) {
		child[i] = fork();
		assert_true(child[i] >= 0);
		if (child[i])
			continue;
		for (int n = 0; n < 3000; n++) {
			int claim = rundir_claim(&disk, NULL);

			if (claim == -EBUSY)
				continue;
			if (claim < 0 || rundir_server(&disk) != getpid())
				_exit(1);
			rundir_release(&disk, claim);
			if (n % 2)
				rundir_remove(&disk);
		}
		_exit(0);
	}
	for (int i = 0; i < 2; i++) {
		int status;

		assert_int_equal(waitpid(child[i], &status, 0), child[i]);
		assert_int_equal(status, 0);
	}
}

#define in_dir(test) cmocka_unit_test_setup_teardown(test, make_dir, remove_dir)

int main(void)
{
	const struct CMUnitTest tests[] = {
		in_dir(paths),
		in_dir(folders_can_be_read_by_all),
		in_dir(one_claim_at_a_time),
		in_dir(a_release_is_waited_for),
		in_dir(a_release_that_cannot_be_waited_for),
		in_dir(a_claim_without_its_pid_is_not_yet_a_server),
		in_dir(release_keeps_the_figures),
		in_dir(nonsense_in_the_pid_file),
		in_dir(strangers_files_are_left_alone),
		in_dir(links_to_nowhere_are_refused),
		in_dir(claims_and_removals_race),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
