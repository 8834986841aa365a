/* SPDX-License-Identifier: MIT */
/* A new disk: how it is asked for, and what is told of it. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "attach-job.h"
#include "num.h"
#include "opt.h"
#include "request.h"
#include "ring.h"
#include "stats.h"

/* --- the command line ------------------------------------------------------------------------- */

static int take_device_type(struct attach_request *new, const char *arg, struct err *e)
{
	if (strcmp(arg, "disk") && strcmp(arg, "cdrom"))
		return err_set(e, -EINVAL, TAP_EXIT_USAGE,
			       "--device-type: '%s' is neither disk nor cdrom", arg);
	new->device_type = arg;
	if (!strcmp(arg, "cdrom"))
		new->options.read_only = true;
	return 0;
}

static int take_sector_size(struct attach_request *new, const char *arg, struct err *e)
{
	if (!strcmp(arg, "512"))
		new->options.sector_bytes = SECTOR_BYTES;
	else if (!strcmp(arg, "4096"))
		new->options.sector_bytes = LARGE_SECTOR_BYTES;
	else
		return err_set(e, -EINVAL, TAP_EXIT_USAGE,
			       "--sector-size: '%s' is neither 512 nor 4096", arg);
	return 0;
}

static int take_cap(const char *option, const char *arg, uint32_t min, uint32_t max, uint32_t *cap,
		    struct err *e)
{
	uint64_t number = 0;
	int ret = opt_number(option, arg, min, max, &number, e);

	*cap = (uint32_t)number;
	return ret;
}

static int take(struct job *job, int key, const char *arg, struct err *e)
{
	struct attach_request *new = &job->new;

	switch (key) {
	case 'r':
		new->options.read_only = true;
		return 0;
	case KEY_SHARE:
		new->options.shared = true;
		return 0;
	case KEY_WAIT:
		job->wait = true;
		return 0;
	case KEY_DEVICE_TYPE:
		return take_device_type(new, arg, e);
	case KEY_REMOVABLE:
		new->removable = true;
		return 0;
	case KEY_SECTOR_SIZE:
		return take_sector_size(new, arg, e);
	case KEY_NO_DISCARD:
		new->no_discard = true;
		return 0;
	case KEY_DIRECT_IO_SAFE:
		new->options.direct_io_safe = true;
		return 0;
	case KEY_MAX_QUEUES:
		return take_cap("max-queues", arg, 1, STATS_QUEUES, &new->caps.max_queues, e);
	case KEY_MAX_RING_ORDER:
		return take_cap("max-ring-order", arg, 0, RING_ORDER_MAX, &new->caps.max_ring_order,
				e);
	case KEY_MAX_SEGMENTS:
		return take_cap("max-segments", arg, 1, REQUEST_SEGMENTS_MAX,
				&new->caps.max_segments, e);
	}
	return -EINVAL;
}

int job_take_new(struct job *job, int key, const char *arg, struct err *e)
{
	job->for_attaching = true;
	return take(job, key, arg, e);
}

/* --- grants ----------------------------------------------------------------------------------- */

static void add_grants(struct json_object *item, const struct grants_estimate *grants)
{
	json_set_number(item, "grants", grants->disk);
	json_set_number(item, "grants_most", grants->disk_most);
	json_set_number(item, "grants_of_domain", grants->total);
	json_set_number(item, "grants_limit", grants->limit);
	json_set_bool(item, "grants_limit_known", grants->limit_known);
}

static void tell_grants(struct job *job, const struct grants_estimate *grants)
{
	char text[256];

	if (grants_are_scarce(grants)) {
		fprintf(stderr,
			"tap-attach: %s: warning: with this disk the guest's %u may need %" PRIu64
			" grants, of %" PRIu64 " that it can have%s\n",
			job->about, grants->others + 1, grants->total, grants->limit,
			grants->limit_known ? "" : " by Xen's default");
		fprintf(stderr, "tap-attach: --max-queues, --max-ring-order and "
				"--max-segments lower it; max_grant_frames in the domain's "
				"configuration raises the limit\n");
	}
	if (!job->verbose && !job->dry_run)
		return;
	snprintf(text, sizeof(text),
		 "may need %" PRIu64 " grants (%" PRIu64
		 " if the guest takes all that is offered), all its disks %" PRIu64 ", of %" PRIu64
		 "%s",
		 grants->disk, grants->disk_most, grants->total, grants->limit,
		 grants->limit_known ? "" : " by Xen's default");
	fprintf(stderr, "tap-attach: %s: %s\n", job->about, text);
}

/* --- attaching -------------------------------------------------------------------------------- */

static int parse_target(const char *text, struct address *address, bool *has_vdev, struct err *e)
{
	*has_vdev = strchr(text, '/');
	if (*has_vdev)
		return address_parse(text, address, e);
	return address_parse_dom(text, address->dom, e);
}

static void print_attached(struct job *job, const char *dom, const struct disk *disk,
			   const struct grants_estimate *grants)
{
	struct json_object *item = job_item(job, disk);
	char vdev[ADDRESS_VDEV_MAX];

	if (item) {
		json_set_text(item, "image", job->new.image);
		add_grants(item, grants);
	}
	job_end_item(job, item);
	if (!job->envelope)
		printf("%s/%s\n", dom, vdev_name(disk->vdev, vdev));
}

static void print_planned(struct job *job, const struct disk *disk,
			  const struct grants_estimate *grants)
{
	struct json_object *item;

	job_end_steps(job, disk);
	item = job_item(job, disk);
	if (item)
		add_grants(item, grants);
	job_end_item(job, item);
}

int job_attach(struct job *job, char **args, struct err *e)
{
	struct attach_request *new = &job->new;
	struct grants_estimate grants;
	struct address address = {0};
	struct disk disk = {0};
	bool has_vdev;
	int ret;

	job_about(job, args[0]);
	ret = parse_target(args[0], &address, &has_vdev, e);
	if (!ret)
		ret = domain_resolve(job->store, address.dom, &new->domid, e);
	if (ret)
		return ret;
	new->image = args[1];
	new->kind = job->kind ? job->kind : KIND_DEFAULT;
	new->vdev = address.vdev;
	new->pick_vdev = !has_vdev;
	new->attaching = job->wait;
	ret = attach_disk(job->store, new, job->steps, &disk, e);
	if (ret)
		return ret;
	job_about(job, disk.name);
	if (!grants_estimate(job->store, &disk, &new->caps, &grants))
		tell_grants(job, &grants);
	if (job->dry_run) {
		print_planned(job, &disk, &grants);
		return 0;
	}
	if (job->wait)
		ret = attach_settle(job->store, &disk, job_deadline_ns(job), job_step, job, e);
	if (!ret)
		print_attached(job, address.dom, &disk, &grants);
	return ret;
}
