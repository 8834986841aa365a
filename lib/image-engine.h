/* SPDX-License-Identifier: MIT */
/*
 * image-engine - what an engine gives to image.c. For image*.c only.
 */
#ifndef TAP_IMAGE_ENGINE_H
#define TAP_IMAGE_ENGINE_H

#include "image.h"

/** How far an engine goes when it opens. */
enum image_intent {
	INTENT_PROBE, /* look only: no claim, nothing another user could notice */
	INTENT_SERVE,
};

struct image_engine {
	const char *name;

	/** @rest of the spec in the one form that XenStore keeps. 0 or a negative errno. */
	int (*canonical)(const char *rest, char buf[static IMAGE_SPEC_MAX], struct err *e);

	/** A new image, its facts filled in except for `engine`. 0 or a negative errno. */
	int (*open)(struct image **out, const char *rest, const struct image_options *options,
		    enum image_intent intent, struct err *e);
	void (*close)(struct image *image);
	int (*resize)(struct image *image, struct err *e);

	/** As image_io_open() and so on. The engine opens and closes event_fd (image_io_init()). */
	int (*io_open)(struct image_io **out, struct image *image, unsigned depth);
	void (*io_close)(struct image_io *io);
	void (*submit)(struct image_io *io, struct image_op **ops, unsigned n, uint64_t *calls);
	unsigned (*reap)(struct image_io *io, struct image_op **ops, unsigned max, uint64_t *calls);
};

/* First members of the engines' own structs. */
struct image {
	const struct image_engine *engine;
	struct image_facts facts;
};

struct image_io {
	const struct image_engine *engine;
	int event_fd; /* readable while operations are there to be reaped */
};

extern const struct image_engine image_file_engine;
extern const struct image_engine image_null_engine;

/** Operations in the order of their coming. */
struct image_op_list {
	struct image_op *first, *last;
};

void image_list_append(struct image_op_list *list, struct image_op *op);
void image_list_prepend(struct image_op_list *list, struct image_op *op);
/** The first one, taken off; NULL when there is none. */
struct image_op *image_list_take(struct image_op_list *list);

/** event_fd, not readable. 0 or a negative errno. */
int image_io_init(struct image_io *io);
void image_io_fini(struct image_io *io);
/** Make event_fd readable, or not. */
void image_io_signal(struct image_io *io);
void image_io_quiet(struct image_io *io);

/* The way of the file engine through libaio (image-aio.c). */

enum image_flush_way {
	FLUSH_NONE, /* cannot be flushed: never advertised */
	FLUSH_CALL, /* fdatasync(), in the submitting thread */
	FLUSH_AIO,  /* IO_CMD_FDSYNC */
};

enum image_discard_way {
	DISCARD_NONE,	/* cannot be discarded: never advertised */
	DISCARD_PUNCH,	/* a hole in a file */
	DISCARD_DEVICE, /* BLKDISCARD, BLKSECDISCARD */
};

struct image_aio_target {
	int fd;
	bool read_only;
	enum image_flush_way flush;
	enum image_discard_way discard;
	/** What an operation's places in memory and image are to be multiples of; where one is not,
	 * it goes through odd_fd, which is buffered. */
	uint32_t unit_bytes;
	int odd_fd;
};

/**
 * Find out how @fd can be flushed, by a real flush. Returns an image_flush_way, or the negative
 * errno of a flush that was possible and failed, or of io_setup (-EAGAIN: fs.aio-max-nr).
 */
int image_aio_try_flush(int fd);

/** @target stays where it is until image_aio_close(). */
int image_aio_open(struct image_io **out, const struct image_aio_target *target, unsigned depth);
void image_aio_close(struct image_io *io);
void image_aio_submit(struct image_io *io, struct image_op **ops, unsigned n, uint64_t *calls);
unsigned image_aio_reap(struct image_io *io, struct image_op **ops, unsigned max, uint64_t *calls);

/**
 * O_DIRECT on target->fd where the file can and options allow (image-direct.c): fills in
 * facts->direct or facts->note, target->unit_bytes and odd_fd. 0 or a negative errno.
 */
int image_try_direct(struct image_aio_target *target, const struct image_options *options,
		     struct image_facts *facts);

/* Discards (image-discard.c). */

struct stat;
struct image_discarder;

/** Find out how @fd, open for writing, can be discarded, and fill in facts->*discard*. */
enum image_discard_way image_try_discard(int fd, const struct stat *st, struct image_facts *facts);

/** A thread that makes the discards of @io, whose event_fd is signalled. 0 or a negative errno. */
int image_discarder_open(struct image_discarder **out, const struct image_aio_target *target,
			 struct image_io *io);
/** Nothing may be in flight. NULL is fine. */
void image_discarder_close(struct image_discarder *discarder);
void image_discarder_submit(struct image_discarder *discarder, struct image_op *op);
/** Finished ones; *more: there are more than @max. NULL has none. */
unsigned image_discarder_reap(struct image_discarder *discarder, struct image_op **ops,
			      unsigned max, bool *more);

#endif
