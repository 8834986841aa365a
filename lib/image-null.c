/* SPDX-License-Identifier: MIT */
/*
 * null - reads give zeros, writes vanish: what is left is the cost of the ring itself.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "image-engine.h"
#include "num.h"

struct null_image {
	struct image base;
	bool read_only;
};

struct null_io {
	struct image_io base;
	bool read_only;
	struct image_op_list finished;
};

static int parse_size(const char *rest, uint64_t *size_bytes, struct err *e)
{
	int ret = num_parse_size(rest, SECTOR_BYTES, INT64_MAX, size_bytes);

	if (!ret && *size_bytes % SECTOR_BYTES)
		ret = -EINVAL;
	if (!ret)
		return 0;
	err_set(e, ret, TAP_EXIT_USAGE,
		"cannot use image 'null:%s': the size must be a multiple of 512 bytes, "
		"512 or more",
		rest);
	err_hint(e, "for instance null:1G");
	return ret;
}

static int null_canonical(const char *rest, char buf[static IMAGE_SPEC_MAX], struct err *e)
{
	uint64_t size_bytes;
	int ret = parse_size(rest, &size_bytes, e);

	if (ret)
		return ret;
	snprintf(buf, IMAGE_SPEC_MAX, "%s", rest);
	return 0;
}

static int null_open(struct image **out, const char *rest, const struct image_options *options,
		     enum image_intent intent, struct err *e)
{
	struct null_image *null;
	uint64_t size_bytes;
	int ret = parse_size(rest, &size_bytes, e);

	if (ret)
		return ret;
	if (options->sector_bytes && size_bytes % options->sector_bytes)
		return err_set(e, -EINVAL, TAP_EXIT_IMAGE,
			       "cannot open image 'null:%s': its size is not a multiple of %u",
			       rest, options->sector_bytes);
	null = calloc(1, sizeof(*null));
	if (!null)
		return err_set(e, -ENOMEM, TAP_EXIT_SYSTEM, "cannot open image: out of memory");
	null->read_only = options->read_only;
	null->base.facts = (struct image_facts){
		.size_bytes = size_bytes,
		.logical_sector_bytes = SECTOR_BYTES,
		.physical_sector_bytes = SECTOR_BYTES,
		.can_flush = true,
		.can_discard = !options->read_only,
		.can_discard_secure = !options->read_only, /* nothing is kept in the first place */
		.discard_granularity_bytes = SECTOR_BYTES,
	};
	*out = &null->base;
	return 0;
}

static void null_close(struct image *image)
{
	free(image);
}

static int null_resize(struct image *image, struct err *e)
{
	return 0;
}

static int null_io_open(struct image_io **out, struct image *image, unsigned depth)
{
	struct null_io *io = calloc(1, sizeof(*io));
	int ret;

	if (!io)
		return -ENOMEM;
	ret = image_io_init(&io->base);
	if (ret) {
		free(io);
		return ret;
	}
	io->read_only = ((struct null_image *)image)->read_only;
	*out = &io->base;
	return 0;
}

static void null_io_close(struct image_io *base)
{
	image_io_fini(base);
	free(base);
}

static int perform(const struct null_io *io, struct image_op *op)
{
	if ((op->operation == IMAGE_WRITE || op->operation == IMAGE_DISCARD) && io->read_only)
		return -EROFS;
	if (op->operation != IMAGE_READ)
		return 0;
	for (unsigned i = 0; i < op->iovcnt; i++)
		memset(op->iov[i].iov_base, 0, op->iov[i].iov_len);
	return 0;
}

static void null_submit(struct image_io *base, struct image_op **ops, unsigned n, uint64_t *calls)
{
	struct null_io *io = (struct null_io *)base;
	bool silent = !io->finished.first;

	for (unsigned i = 0; i < n; i++) {
		ops[i]->result = perform(io, ops[i]);
		image_list_append(&io->finished, ops[i]);
	}
	if (silent && n)
		image_io_signal(base);
}

static unsigned null_reap(struct image_io *base, struct image_op **ops, unsigned max,
			  uint64_t *calls)
{
	struct null_io *io = (struct null_io *)base;
	unsigned n = 0;

	while (n < max && io->finished.first)
		ops[n++] = image_list_take(&io->finished);
	if (n && !io->finished.first)
		image_io_quiet(base);
	return n;
}

const struct image_engine image_null_engine = {
	.name = "null",
	.canonical = null_canonical,
	.open = null_open,
	.close = null_close,
	.resize = null_resize,
	.io_open = null_io_open,
	.io_close = null_io_close,
	.submit = null_submit,
	.reap = null_reap,
};
