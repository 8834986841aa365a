/* SPDX-License-Identifier: MIT */
/*
 * A thread that runs a loop; pthread_create() goes through the stand-in here.
 */
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "worker.h"

static int no_thread; /* a positive errno for pthread_create() */

int pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *),
		   void *opaque)
{
	__typeof__(pthread_create) *real = dlsym(RTLD_NEXT, "pthread_create");

	return no_thread ? no_thread : real(thread, attributes, run, opaque);
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

static void note_thread(struct loop_task *task)
{
	*(pthread_t *)task->owner = pthread_self();
}

static void what_is_posted_runs_there_before_it_stops(void **state)
{
	pthread_t where = pthread_self();
	struct loop_task task = {.run = note_thread, .owner = &where};
	unsigned before = open_files();
	struct worker *worker;

	assert_int_equal(worker_start(&worker), 0);
	loop_post(worker_loop(worker), &task);
	worker_stop(worker);
	assert_false(pthread_equal(where, pthread_self()));
	assert_int_equal(open_files(), before);
	worker_stop(NULL);
}

static void no_thread_to_be_had(void **state)
{
	unsigned before = open_files();
	struct worker *worker;

	no_thread = EAGAIN;
	assert_int_equal(worker_start(&worker), -EAGAIN);
	no_thread = 0;
	assert_int_equal(open_files(), before);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_posted_runs_there_before_it_stops),
		cmocka_unit_test(no_thread_to_be_had),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
