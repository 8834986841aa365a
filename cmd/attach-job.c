/* SPDX-License-Identifier: MIT */
#include "attach-job.h"

#include <stdlib.h>
#include <string.h>

#define TOOL "tap-attach"

void job_about(struct job *job, const char *name)
{
	snprintf(job->about, sizeof(job->about), "%s", name);
}

/* What the error is about. */
static void name_disk(const struct job *job)
{
	struct json_object *error;

	if (job->about[0] && json_object_object_get_ex(job->envelope, "error", &error))
		json_set_text(error, "disk", job->about);
}

void job_fail(struct job *job, const struct err *e)
{
	int status = (int)err_print(stderr, TOOL, job->about[0] ? job->about : NULL, e);

	if (job->status)
		return;
	job->status = status;
	if (job->envelope && !json_error(job->envelope, e))
		name_disk(job);
}

void job_step(void *opaque, const char *text)
{
	const struct job *job = opaque;

	if (job->verbose)
		fprintf(stderr, TOOL ": %s: %s\n", job->about, text);
}

struct json_object *job_item(struct job *job, const struct disk *disk)
{
	struct json_object *item = job->envelope ? json_object_new_object() : NULL;

	if (!item)
		return NULL;
	json_set_text(item, "disk", disk->name);
	json_set_number(item, "domid", disk->domid);
	json_set_number(item, "vdev", disk->vdev);
	json_set_text(item, "kind", disk->kind);
	json_set_text(item, "backend", disk->backend);
	json_set_text(item, "frontend", disk->frontend);
	return item;
}

void job_end_item(struct job *job, struct json_object *item)
{
	if (item)
		json_item(job->envelope, item);
}

void job_end_steps(struct job *job, const struct disk *disk)
{
	if (!job->envelope || !job->steps)
		return;
	fflush(job->steps);
	while (job->steps_told < job->step_bytes) {
		char *line = job->step_text + job->steps_told;
		size_t length = strcspn(line, "\n");
		struct json_object *item = job_item(job, disk);

		line[length] = '\0';
		if (item)
			json_set_text(item, "step", line);
		job_end_item(job, item);
		job->steps_told += length + 1;
	}
}

uint64_t job_deadline_ns(const struct job *job)
{
	uint64_t deadline;

	return __builtin_add_overflow(now_ns(), job->timeout_ns, &deadline) ? UINT64_MAX : deadline;
}
