/* SPDX-License-Identifier: MIT */
/*
 * image - what is served. An engine each: file (libaio, O_DIRECT where the file system can), null.
 *
 * An image is named ENGINE:REST, or by a path alone, which means file:PATH; so does aio:PATH, which
 * is what libxl writes for a raw image. The format is never guessed from contents (XSA-48): a file
 * is raw.
 *
 * struct image is the opened thing, one per disk; struct image_io is a queue's way to it, used by
 * one thread, so that queues can move to threads.
 */
#ifndef TAP_IMAGE_H
#define TAP_IMAGE_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "msg.h"

#define IMAGE_SPEC_MAX PATH_MAX

/**
 * What was discarded reads as zeros from a file; from a device as the device has it, which may be
 * anything. -EOPNOTSUPP: this image cannot discard (any more).
 */
enum image_operation { IMAGE_READ, IMAGE_WRITE, IMAGE_FLUSH, IMAGE_DISCARD };

/** One operation in flight. The caller owns it and leaves it alone until it is reaped. */
struct image_op {
	enum image_operation operation;
	bool secure; /* of a discard: only where facts.can_discard_secure */
	uint64_t offset_bytes;
	uint64_t length_bytes; /* sum over iov; the extent of a discard; 0 for a flush */
	struct iovec *iov;     /* may be changed while in flight (a partial transfer goes on) */
	unsigned iovcnt;
	void *owner; /* the caller's own */
	int result;  /* out: 0, or a negative errno (-EIO: the image ends before). Never a partial
			success */

	/* Private to the engine. */
	uint64_t done_bytes;
	struct image_op *next;
	uint64_t space[8]; /* a struct iocb */
};

struct image_options {
	bool read_only; /* O_RDONLY underneath, too */
	bool shared;	/* other writers are wanted: take no exclusive claim */
	bool buffered;	/* do not try O_DIRECT */
	/** The storage stands O_DIRECT on a guest's pages also where it is a network file system.
	 */
	bool direct_io_safe;
	/**
	 * Offsets and lengths of operations are multiples of it, and so is the image's size: 512
	 * (also 0) or 4096. Pieces of the iovec may be of any 512 bytes all the same.
	 */
	uint32_t sector_bytes;
};

/** What an opened image is. */
struct image_facts {
	const char *engine;  /* "file", "null" */
	uint64_t size_bytes; /* a multiple of SECTOR_BYTES */
	uint32_t logical_sector_bytes, physical_sector_bytes;
	bool direct;	  /* O_DIRECT in use */
	char note[96];	  /* why not direct, when it was wanted; else empty */
	bool can_flush;	  /* seen to work, of an opened image; of a probed one it says nothing */
	bool can_discard; /* as can_flush; never of a read-only image */
	bool can_discard_secure; /* what is discarded cannot be recovered */
	uint32_t discard_granularity_bytes, discard_alignment_bytes; /* where it can */
	bool is_device;
	dev_t device; /* file: st_dev and st_ino (or st_rdev and 0 of a block device): identity */
	ino_t inode;
};

struct image;
struct image_io;

/**
 * @spec as XenStore keeps it: ENGINE:REST, a path made absolute (symbolic links stay as they are).
 * Looks at the words only. 0, or -EINVAL or -ENAMETOOLONG with exit 2.
 */
int image_canonical(const char *spec, char buf[static IMAGE_SPEC_MAX], struct err *e);

/**
 * Does @spec name something that can be served? Everything that can be known without claiming it:
 * missing, a directory, unreadable, empty, not a multiple of 512 bytes: exit 3 or 7 with the
 * reason; a name that is none (unknown engine, bad size): exit 2. Fills @facts (may be NULL).
 * @options may be NULL, here and below: all false.
 */
int image_probe(const char *spec, const struct image_options *options, struct image_facts *facts,
		struct err *e);

/**
 * Open and claim: an OFD lock over the whole file (exclusive for a writer, shared for readers and
 * for options.shared), O_EXCL on block devices. -EBUSY: exit 4, and the other user named as well as
 * /proc and sysfs tell (pid and command that hold the lock, mount point, holder device). A loop
 * device over the file counts as a user, too.
 *
 * facts.can_flush has been seen: a flush is made here, and one that fails fails the opening.
 * facts.can_discard has been asked for in a way that discards nothing.
 */
int image_open(struct image **out, const char *spec, const struct image_options *options,
	       struct err *e);
void image_close(struct image *image);

const struct image_facts *image_facts(const struct image *image);

/** Look at the size again. 0 (facts updated, grown or the same) or -errno; shrinking is not refused
 * here. */
int image_resize(struct image *image, struct err *e);

/**
 * A queue's way to the image, for at most @depth operations in flight (more wait their turn). 0 or
 * a negative errno; -EAGAIN: the sysctl fs.aio-max-nr is used up. Memory is set aside here.
 */
int image_io_open(struct image_io **out, struct image *image, unsigned depth);
void image_io_close(struct image_io *io); /* nothing may be in flight */

/** Readable (level) while finished operations wait to be reaped; now and then also without one. */
int image_io_fd(const struct image_io *io);

/**
 * Start @n operations, in one system call where the engine has one. Never fails as a whole: what
 * cannot be started comes back from image_io_reap() with its error. *calls is increased for each
 * io_submit made. Discards are made by a thread of their own, one at a time: they hold up nothing
 * else.
 */
void image_io_submit(struct image_io *io, struct image_op **ops, unsigned n, uint64_t *calls);

/**
 * Take up to @max finished operations without blocking; returns their number. It also goes on with
 * what was done in part and starts what had to wait. *calls is increased for each system call that
 * asks for or starts operations.
 */
unsigned image_io_reap(struct image_io *io, struct image_op **ops, unsigned max, uint64_t *calls);

/** Engines for "tap-serve --help" and tests: NULL-terminated names. */
extern const char *const image_engines[];

#endif
