/* SPDX-License-Identifier: MIT */
/* in-sim - what the tests of the simulator share. They run inside tap-sim --domains 2. */
#ifndef TEST_IN_SIM_H
#define TEST_IN_SIM_H

#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>
#include <xenevtchn.h>
#include <xengnttab.h>

#define PAGE 4096u

/** A handle of this process belongs to the domain that was last entered when it was opened. */
static inline void enter_domain(unsigned domid)
{
	char text[16];

	snprintf(text, sizeof(text), "%u", domid);
	setenv("TAP_SIM_DOMID", text, 1);
}

static inline xengnttab_handle *gnttab_of(unsigned domid)
{
	xengnttab_handle *h;

	enter_domain(domid);
	h = xengnttab_open(NULL, 0);
	assert_non_null(h);
	return h;
}

static inline xengntshr_handle *gntshr_of(unsigned domid)
{
	xengntshr_handle *h;

	enter_domain(domid);
	h = xengntshr_open(NULL, 0);
	assert_non_null(h);
	return h;
}

static inline xenevtchn_handle *evtchn_of(unsigned domid)
{
	xenevtchn_handle *h;

	enter_domain(domid);
	h = xenevtchn_open(NULL, 0);
	assert_non_null(h);
	return h;
}

#define assert_errno(expected) assert_int_equal(errno, expected)

/** A process that ran @body, told @bytes of @result, and waits to be killed. */
static inline pid_t fork_and_wait(void (*body)(void *result), void *result, size_t bytes)
{
	int pipes[2];
	pid_t pid;

	assert_int_equal(pipe(pipes), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (!pid) {
		body(result);
		if (write(pipes[1], result, bytes) != (ssize_t)bytes)
			_exit(1);
		for (;;)
			pause();
	}
	close(pipes[1]);
	assert_int_equal(read(pipes[0], result, bytes), bytes);
	close(pipes[0]);
	return pid;
}

static inline void end_process(pid_t pid)
{
	int status;

	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
}

#endif
