/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <string.h>

#include "attach-job.h"

struct sweep {
	struct job *job;
	unsigned found;
};

static void print_stale(struct job *job, const struct stale *stale, const char *verb)
{
	struct json_object *item = job_item(job, &stale->disk);

	if (item) {
		json_set_text(item, "reason", stale_reason_text(stale->reason));
		json_set_text(item, "path", stale->path);
		json_set_bool(item, "removed", job->mode == MODE_CLEAN && !job->dry_run);
		job_end_item(job, item);
	} else if (!job->envelope) {
		printf("%s%s: %s (%s)\n", verb, stale->disk.name, stale_reason_text(stale->reason),
		       stale->path);
	}
}

static int list_one(const struct stale *stale, void *opaque)
{
	struct sweep *sweep = opaque;

	sweep->found++;
	print_stale(sweep->job, stale, "");
	return 0;
}

static int clean_one(const struct stale *stale, void *opaque)
{
	struct sweep *sweep = opaque;
	struct job *job = sweep->job;
	struct err e = {0};

	sweep->found++;
	job_about(job, stale->disk.name);
	if (stale_remove(job->store, stale, job->steps, &e)) {
		job_fail(job, &e);
		return 0;
	}
	if (job->dry_run)
		job_end_steps(job, &stale->disk);
	else
		print_stale(job, stale, "removed ");
	return 0;
}

int job_stale(struct job *job, struct err *e)
{
	struct sweep sweep = {.job = job};
	int ret = stale_each(job->store, job->kind ? job->kind : KIND_DEFAULT,
			     job->mode == MODE_CLEAN ? clean_one : list_one, &sweep);

	job_about(job, "");
	if (ret)
		return err_set(e, ret, err_exit_of(ret), "cannot look for stale disks: %s",
			       strerror(-ret));
	if (job->mode == MODE_STALE && sweep.found && !job->status)
		job->status = TAP_EXIT_FOUND;
	return 0;
}
