/* SPDX-License-Identifier: MIT */
/*
 * front-model - what a disk must hold, and the operations that a seed stands for.
 *
 * The sequence of operations and the data of each write follow from what is filled in before
 * model_open() alone, whatever the backend does and in whichever order it answers.
 */
#ifndef TAP_FRONT_MODEL_H
#define TAP_FRONT_MODEL_H

#include <stdbool.h>
#include <stdint.h>

#include "request.h"

struct model {
	unsigned char *bytes; /* what the disk holds once all that was submitted is done */
	uint64_t size_bytes;
	uint32_t sector_bytes;
	uint64_t request_bytes; /* what one request carries, at most */
	bool can_write, can_flush;
	bool barriers, flush_data, discards; /* to be done as well */
	bool zeros; /* what was discarded reads as zeros, never as before */
	uint64_t seed;
	/* Private from here on. */
	uint64_t op_max_bytes; /* more than two requests, so that splitting is exercised */
	uint64_t random, ops, last_end_bytes;
	uint64_t *discarded; /* a bit for each 512 bytes: zeros, or what bytes[] has */
};

struct model_op {
	enum request_operation operation;
	uint64_t number; /* from 1 */
	uint64_t offset_bytes, length_bytes;
	uint8_t page_offset_sectors;
};

/** Does it change what the disk holds? */
bool model_op_changes(const struct model_op *op);

/** Set up over @size_bytes, zeroed. Fill in what is not private first. -ENOMEM. */
int model_open(struct model *model);
void model_close(struct model *model);

/** The next operation of the sequence. */
void model_next(struct model *model, struct model_op *op);

/** New contents for a stretch: each sector says where it belongs and which operation wrote it. */
void model_write(struct model *model, uint64_t offset_bytes, uint64_t length_bytes,
		 uint64_t number);

/** A stretch was discarded. */
void model_discard(struct model *model, uint64_t offset_bytes, uint64_t length_bytes);

/** First byte in which @seen differs from the model, or UINT64_MAX. An offset of the disk. */
uint64_t model_difference(const struct model *model, uint64_t offset_bytes, const void *seen,
			  uint64_t length_bytes);

#endif
