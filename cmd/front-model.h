/* SPDX-License-Identifier: MIT */
/*
 * front-model - what a disk must hold, and the operations that a seed stands for.
 *
 * The sequence of operations and the data of each write follow from the seed and the size alone,
 * whatever the backend does and in whichever order it answers.
 */
#ifndef TAP_FRONT_MODEL_H
#define TAP_FRONT_MODEL_H

#include <stdbool.h>
#include <stdint.h>

#include "request.h"

/** Largest operation: beyond two requests, so that splitting is exercised. */
#define MODEL_OP_MAX_BYTES (128u * 1024)

struct model {
	unsigned char *bytes; /* what the disk holds once all that was submitted is done */
	uint64_t size_bytes;
	uint32_t sector_bytes;
	bool can_write, can_flush;
	uint64_t seed, random, ops;
	uint64_t last_end_bytes;
};

struct model_op {
	enum request_operation operation;
	uint64_t number; /* from 1 */
	uint64_t offset_bytes, length_bytes;
	uint8_t page_offset_sectors;
};

/** Set up over @size_bytes, zeroed. Fill size_bytes, sector_bytes, can_*, seed first. -ENOMEM. */
int model_open(struct model *model);
void model_close(struct model *model);

/** The next operation of the sequence. */
void model_next(struct model *model, struct model_op *op);

/** New contents for a stretch: each sector says where it belongs and which operation wrote it. */
void model_write(struct model *model, uint64_t offset_bytes, uint64_t length_bytes,
		 uint64_t number);

/** First byte in which @seen differs from the model, or UINT64_MAX. An offset of the disk. */
uint64_t model_difference(const struct model *model, uint64_t offset_bytes, const void *seen,
			  uint64_t length_bytes);

#endif
