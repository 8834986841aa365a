/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <xen/io/blkif.h>

#include "front-job.h"
#include "json.h"
#include "num.h"

uint64_t front_disk_bytes(const struct front_job *job)
{
	return front_facts(job->front)->sectors * SECTOR_BYTES;
}

int front_op_error(const struct front_op *op, struct err *e)
{
	if (!op->result)
		return 0;
	return err_set(e, op->result, TAP_EXIT_IMAGE,
		       "cannot %s %" PRIu64 " bytes at %" PRIu64 ": %s",
		       op->operation == REQUEST_READ	? "read"
		       : op->operation == REQUEST_WRITE ? "write"
							: "flush",
		       op->length_bytes, op->offset_bytes, strerror(-op->result));
}

static int add_item(const struct front_job *job)
{
	const struct front_facts *facts = front_facts(job->front);
	struct json_object *item = json_object_new_object();

	if (!item)
		return -ENOMEM;
	if (json_set_text(item, "disk", job->disk) ||
	    json_set_number(item, "size_bytes", front_disk_bytes(job)) ||
	    json_set_number(item, "sector_bytes", facts->sector_bytes) ||
	    json_set_number(item, "physical_sector_bytes", facts->physical_sector_bytes) ||
	    json_set_bool(item, "read_only", facts->read_only) ||
	    json_set_bool(item, "removable", facts->info & VDISK_REMOVABLE) ||
	    json_set_bool(item, "cdrom", facts->info & VDISK_CDROM) ||
	    json_set_bool(item, "flush", facts->flush) ||
	    json_set_bool(item, "barrier", facts->barrier) ||
	    json_set_bool(item, "discard", facts->discard) ||
	    json_set_bool(item, "persistent", facts->persistent) ||
	    json_set_number(item, "max_indirect_segments", facts->max_indirect_segments) ||
	    json_set_number(item, "max_queues", facts->max_queues) ||
	    json_set_number(item, "max_ring_pages", 1ull << facts->max_ring_order) ||
	    json_set_number(item, "backend_domid", facts->backend_domid) ||
	    json_set_text(item, "backend", facts->backend)) {
		json_object_put(item);
		return -ENOMEM;
	}
	return json_item(job->envelope, item);
}

static const char *yes(bool value)
{
	return value ? "yes" : "no";
}

int front_info(struct front_job *job, struct err *e)
{
	const struct front_facts *facts = front_facts(job->front);
	char size[16];

	if (job->envelope)
		return add_item(job) ? err_set(e, -ENOMEM, TAP_EXIT_SYSTEM, "no memory") : 0;
	printf("size                   %" PRIu64 " (%s)\n", front_disk_bytes(job),
	       num_format_size(front_disk_bytes(job), size));
	printf("sector size            %" PRIu32 ", physical %" PRIu32 "\n", facts->sector_bytes,
	       facts->physical_sector_bytes);
	printf("read-only              %s\n", yes(facts->read_only));
	printf("removable              %s\n", yes(facts->info & VDISK_REMOVABLE));
	printf("cdrom                  %s\n", yes(facts->info & VDISK_CDROM));
	printf("flush                  %s\n", yes(facts->flush));
	printf("barrier                %s\n", yes(facts->barrier));
	printf("discard                %s\n", yes(facts->discard));
	printf("persistent grants      %s\n", yes(facts->persistent));
	printf("indirect segments      %" PRIu32 "\n", facts->max_indirect_segments);
	printf("queues                 %" PRIu32 "\n", facts->max_queues);
	printf("ring pages             %" PRIu64 "\n", (uint64_t)1 << facts->max_ring_order);
	printf("backend                %s in domain %" PRIu32 "\n", facts->backend,
	       facts->backend_domid);
	return 0;
}

int front_flush(struct front_job *job, struct err *e)
{
	if (!front_facts(job->front)->flush)
		return err_set(e, -EOPNOTSUPP, TAP_EXIT_IMAGE, "the backend offers no flush");
	return front_do(job->front, REQUEST_FLUSH_DISKCACHE, 0, NULL, 0, e);
}

/* Connected until the backend wants the disk back or a signal comes. */
int front_hold(struct front_job *job, struct err *e)
{
	struct front_op *done;
	int ret = 0;

	if (job->ready_fd >= 0 && write(job->ready_fd, "\n", 1) != 1)
		return err_set(e, -errno, TAP_EXIT_SYSTEM, "cannot write to descriptor %d: %s",
			       job->ready_fd, strerror(errno));
	while (!ret && (job->busy || !front_closing(job->front))) {
		ret = front_poll(job->front, UINT64_MAX, &done, e);
		if (front_resized(job->front))
			printf("%s: now %" PRIu64 " bytes\n", job->disk, front_disk_bytes(job));
		fflush(stdout);
	}
	return ret;
}
