/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "image-engine.h"
#include "num.h"

static const struct image_engine *const engines[] = {&image_file_engine, &image_null_engine};

const char *const image_engines[] = {"file", "null", NULL};

static const struct image_engine *find_engine(const char *name, size_t length)
{
	if (length == 3 && !memcmp(name, "aio", length)) /* libxl's name of a raw one */
		return &image_file_engine;
	for (size_t i = 0; i < ARRAY_SIZE(engines); i++) {
		if (strlen(engines[i]->name) == length && !memcmp(engines[i]->name, name, length))
			return engines[i];
	}
	return NULL;
}

/*
 * ENGINE:REST, or a path. What stands before a ':' and is no engine is never taken for part of a
 * path unless it holds a '/': a mistyped engine must not become a file name.
 */
static const struct image_engine *parse_spec(const char *spec, const char **rest, struct err *e)
{
	const char *colon = strchr(spec, ':');
	const struct image_engine *engine;

	*rest = spec;
	if (!colon || memchr(spec, '/', (size_t)(colon - spec)))
		return &image_file_engine;
	engine = find_engine(spec, (size_t)(colon - spec));
	if (!engine) {
		err_set(e, -EINVAL, TAP_EXIT_USAGE, "cannot use image '%s': unknown engine '%.*s'",
			spec, (int)(colon - spec), spec);
		err_hint(e, "engines: file, null; a path with ':' is given as file:PATH");
		return NULL;
	}
	*rest = colon + 1;
	return engine;
}

int image_canonical(const char *spec, char buf[static IMAGE_SPEC_MAX], struct err *e)
{
	const char *rest;
	const struct image_engine *engine = parse_spec(spec, &rest, e);
	char plain[IMAGE_SPEC_MAX];
	int ret;

	if (!engine)
		return -EINVAL;
	ret = engine->canonical(rest, plain, e);
	if (ret)
		return ret;
	ret = snprintf(buf, IMAGE_SPEC_MAX, "%s:%s", engine->name, plain);
	if (ret < 0 || ret >= IMAGE_SPEC_MAX)
		return err_set(e, -ENAMETOOLONG, TAP_EXIT_USAGE,
			       "cannot use image '%.64s...': the name is too long", spec);
	return 0;
}

static int open_spec(struct image **out, const char *spec, const struct image_options *options,
		     enum image_intent intent, struct err *e)
{
	static const struct image_options defaults;
	const char *rest;
	const struct image_engine *engine = parse_spec(spec, &rest, e);
	int ret;

	if (!engine)
		return -EINVAL;
	ret = engine->open(out, rest, options ? options : &defaults, intent, e);
	if (ret)
		return ret;
	(*out)->engine = engine;
	(*out)->facts.engine = engine->name;
	return 0;
}

int image_probe(const char *spec, const struct image_options *options, struct image_facts *facts,
		struct err *e)
{
	struct image *image;
	int ret = open_spec(&image, spec, options, INTENT_PROBE, e);

	if (ret)
		return ret;
	if (facts)
		*facts = image->facts;
	image_close(image);
	return 0;
}

int image_open(struct image **out, const char *spec, const struct image_options *options,
	       struct err *e)
{
	return open_spec(out, spec, options, INTENT_SERVE, e);
}

void image_close(struct image *image)
{
	if (image)
		image->engine->close(image);
}

const struct image_facts *image_facts(const struct image *image)
{
	return &image->facts;
}

int image_resize(struct image *image, struct err *e)
{
	return image->engine->resize(image, e);
}

int image_io_open(struct image_io **out, struct image *image, unsigned depth)
{
	int ret;

	if (!depth)
		return -EINVAL;
	ret = image->engine->io_open(out, image, depth);
	if (!ret)
		(*out)->engine = image->engine;
	return ret;
}

void image_io_close(struct image_io *io)
{
	if (io)
		io->engine->io_close(io);
}

int image_io_fd(const struct image_io *io)
{
	return io->event_fd;
}

void image_io_submit(struct image_io *io, struct image_op **ops, unsigned n, uint64_t *calls)
{
	for (unsigned i = 0; i < n; i++) {
		ops[i]->done_bytes = 0;
		ops[i]->next = NULL;
	}
	io->engine->submit(io, ops, n, calls);
}

unsigned image_io_reap(struct image_io *io, struct image_op **ops, unsigned max, uint64_t *calls)
{
	return io->engine->reap(io, ops, max, calls);
}

/* For the engines. */

void image_list_append(struct image_op_list *list, struct image_op *op)
{
	op->next = NULL;
	if (list->first)
		list->last->next = op;
	else
		list->first = op;
	list->last = op;
}

void image_list_prepend(struct image_op_list *list, struct image_op *op)
{
	op->next = list->first;
	list->first = op;
	if (!op->next)
		list->last = op;
}

struct image_op *image_list_take(struct image_op_list *list)
{
	struct image_op *op = list->first;

	if (op)
		list->first = op->next;
	return op;
}

int image_io_init(struct image_io *io)
{
	io->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	return io->event_fd < 0 ? -errno : 0;
}

void image_io_fini(struct image_io *io)
{
	if (io->event_fd >= 0)
		close(io->event_fd);
}

void image_io_signal(struct image_io *io)
{
	/* Fails only when the counter is full: then it is readable as it is. */
	(void)!eventfd_write(io->event_fd, 1);
}

void image_io_quiet(struct image_io *io)
{
	eventfd_t count;

	(void)!eventfd_read(io->event_fd, &count);
}
