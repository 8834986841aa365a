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

static const char *verb_of(const struct front_op *op)
{
	switch (op->operation) {
	case REQUEST_READ:
		return "read";
	case REQUEST_WRITE:
		return "write";
	case REQUEST_DISCARD:
		return "discard";
	case REQUEST_WRITE_BARRIER:
		return "write with a barrier";
	default:
		return "flush";
	}
}

int front_op_error(const struct front_op *op, struct err *e)
{
	if (!op->result)
		return 0;
	return err_set(e, op->result, TAP_EXIT_IMAGE,
		       "cannot %s %" PRIu64 " bytes at %" PRIu64 ": %s", verb_of(op),
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
	    json_set_bool(item, "discard_secure", facts->discard_secure) ||
	    json_set_number(item, "discard_granularity_bytes", facts->discard_granularity_bytes) ||
	    json_set_number(item, "discard_alignment_bytes", facts->discard_alignment_bytes) ||
	    json_set_bool(item, "persistent", facts->persistent) ||
	    json_set_number(item, "max_indirect_segments", facts->max_indirect_segments) ||
	    json_set_number(item, "max_queues", facts->max_queues) ||
	    json_set_number(item, "max_ring_pages", 1ull << facts->max_ring_order) ||
	    json_set_number(item, "queues", facts->queues) ||
	    json_set_number(item, "ring_pages", 1ull << facts->ring_order) ||
	    json_set_number(item, "ring_slots", facts->slots) ||
	    json_set_number(item, "segments", facts->max_segments) ||
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
	printf("discard                %s", yes(facts->discard));
	if (facts->discard)
		printf("%s, granularity %" PRIu32 ", alignment %" PRIu32,
		       facts->discard_secure ? ", also secure" : "",
		       facts->discard_granularity_bytes, facts->discard_alignment_bytes);
	printf("\n");
	printf("persistent grants      %s\n", yes(facts->persistent));
	printf("indirect segments      up to %" PRIu32 "\n", facts->max_indirect_segments);
	printf("queues                 up to %" PRIu32 "\n", facts->max_queues);
	printf("ring pages             up to %" PRIu64 "\n", (uint64_t)1 << facts->max_ring_order);
	printf("in use                 %" PRIu32 " %s of %" PRIu32 " requests, %" PRIu32
	       " segments each\n",
	       facts->queues, facts->queues == 1 ? "queue" : "queues", facts->slots,
	       facts->max_segments);
	printf("backend                %s in domain %" PRIu32 "\n", facts->backend,
	       facts->backend_domid);
	return 0;
}

static int not_offered(const char *what, struct err *e)
{
	return err_set(e, -EOPNOTSUPP, TAP_EXIT_IMAGE, "the backend offers no %s", what);
}

static int do_op(struct front_job *job, struct front_op *op, struct err *e)
{
	int ret = front_do(job->front, op, e);

	return ret ? ret : front_op_error(op, e);
}

int front_flush(struct front_job *job, struct err *e)
{
	struct front_op op = {.operation = REQUEST_FLUSH_DISKCACHE};

	if (!front_facts(job->front)->flush)
		return not_offered("flush", e);
	return do_op(job, &op, e);
}

int front_barrier(struct front_job *job, struct err *e)
{
	struct front_op op = {.operation = REQUEST_WRITE_BARRIER};

	if (!front_facts(job->front)->barrier)
		return not_offered("barrier", e);
	return do_op(job, &op, e);
}

int front_may_write(const struct front_job *job, struct err *e)
{
	if (!front_facts(job->front)->read_only || job->force)
		return 0;
	return err_set(e, -EROFS, TAP_EXIT_DENIED, "the disk is read-only");
}

int front_offers(const struct front_job *job, struct err *e)
{
	const struct front_facts *facts = front_facts(job->front);

	if (job->flush_data && !facts->flush)
		return not_offered("flush", e);
	if (job->barriers && !facts->barrier)
		return not_offered("barrier", e);
	if (job->discards && !facts->discard)
		return not_offered("discard", e);
	if (job->secure && !facts->discard_secure)
		return not_offered("secure discard", e);
	return 0;
}

int front_extent(struct front_job *job, struct err *e)
{
	uint64_t disk_bytes = front_disk_bytes(job), end;
	uint32_t unit = front_facts(job->front)->sector_bytes;

	if (job->offset_bytes > disk_bytes)
		return err_set(e, -ERANGE, TAP_EXIT_USAGE,
			       "offset %" PRIu64 " is behind the end of the disk, %" PRIu64,
			       job->offset_bytes, disk_bytes);
	if (job->length_bytes == UINT64_MAX)
		job->length_bytes = disk_bytes - job->offset_bytes;
	if (job->offset_bytes % unit || job->length_bytes % unit)
		return err_set(e, -EINVAL, TAP_EXIT_USAGE,
			       "offset and length must be multiples of %" PRIu32 " bytes", unit);
	if (add_overflows(job->offset_bytes, job->length_bytes, &end) || end > disk_bytes)
		return err_set(e, -ERANGE, TAP_EXIT_USAGE,
			       "%" PRIu64 " bytes at %" PRIu64
			       " reach behind the end of the disk, %" PRIu64,
			       job->length_bytes, job->offset_bytes, disk_bytes);
	return 0;
}

int front_discard(struct front_job *job, struct err *e)
{
	struct front_op op = {.operation = REQUEST_DISCARD, .secure = job->secure};
	int ret = front_extent(job, e);

	if (!ret)
		ret = front_may_write(job, e);
	if (!ret && !front_facts(job->front)->discard)
		ret = not_offered("discard", e);
	if (!ret)
		ret = front_offers(job, e);
	if (ret || !job->length_bytes)
		return ret;
	op.offset_bytes = job->offset_bytes;
	op.length_bytes = job->length_bytes;
	return do_op(job, &op, e);
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
