/* SPDX-License-Identifier: MIT */
#include "front-model.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "num.h"
#include "ring.h"

/* One flush in so many operations, and one of each other kind that is asked for. */
#define FLUSH_EVERY 64
#define MAX_BYTES   (128u * 1024)

/* splitmix64: full period, one multiply a word, and any state will do. */
static uint64_t mix(uint64_t *state)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15u;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return z ^ (z >> 31);
}

static uint64_t below(struct model *model, uint64_t limit)
{
	return mix(&model->random) % limit;
}

bool model_op_changes(const struct model_op *op)
{
	return op->length_bytes && op->operation != REQUEST_READ;
}

int model_open(struct model *model)
{
	uint64_t sectors = model->size_bytes / SECTOR_BYTES;

	/* Mapped: a large range is touched as far as it is used. */
	model->bytes = mmap(NULL, model->size_bytes, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (model->bytes == MAP_FAILED) {
		model->bytes = NULL;
		return -ENOMEM;
	}
	model->discarded = calloc(sectors / 64 + 1, sizeof(*model->discarded));
	if (!model->discarded)
		return -ENOMEM;
	model->random = model->seed;
	model->op_max_bytes = 2 * model->request_bytes + RING_PAGE_BYTES;
	if (model->op_max_bytes < MAX_BYTES)
		model->op_max_bytes = MAX_BYTES;
	return 0;
}

void model_close(struct model *model)
{
	if (model->bytes)
		munmap(model->bytes, model->size_bytes);
	model->bytes = NULL;
	free(model->discarded);
	model->discarded = NULL;
}

/* Half of them a page at most, a quarter within one direct request, a quarter up to
 * several of the largest requests. */
static uint64_t pick_length(struct model *model)
{
	uint64_t unit = model->sector_bytes, max, units;

	switch (below(model, 4)) {
	case 0:
	case 1:
		max = RING_PAGE_BYTES;
		break;
	case 2:
		max = REQUEST_SEGMENTS_DIRECT * RING_PAGE_BYTES;
		break;
	default:
		max = model->op_max_bytes;
		break;
	}
	if (max > model->size_bytes)
		max = model->size_bytes;
	units = max / unit;
	return (1 + below(model, units)) * unit;
}

/* One in four right behind the one before, where requests may be merged or overtake each other. */
static uint64_t pick_offset(struct model *model, uint64_t length_bytes)
{
	uint64_t unit = model->sector_bytes;
	uint64_t units = (model->size_bytes - length_bytes) / unit + 1;
	uint64_t offset = below(model, units) * unit;

	if (!below(model, 4) && model->last_end_bytes + length_bytes <= model->size_bytes)
		offset = model->last_end_bytes;
	model->last_end_bytes = offset + length_bytes;
	return offset;
}

static enum request_operation pick_operation(struct model *model, uint64_t kind)
{
	bool write = kind & (1u << 20);

	switch (kind % FLUSH_EVERY) {
	case 0:
		if (model->can_flush)
			return REQUEST_FLUSH_DISKCACHE;
		break;
	case 1:
		if (model->barriers)
			return REQUEST_WRITE_BARRIER;
		break;
	case 2:
		if (model->discards)
			return REQUEST_DISCARD;
		break;
	}
	return model->can_write && write ? REQUEST_WRITE : REQUEST_READ;
}

/* A flush or a barrier carries nothing, or now and then data. */
static bool has_extent(const struct model *model, enum request_operation operation, uint64_t kind)
{
	bool data = model->can_write && kind & (1u << 21);

	switch (operation) {
	case REQUEST_FLUSH_DISKCACHE:
		return data && model->flush_data;
	case REQUEST_WRITE_BARRIER:
		return data;
	default:
		return true;
	}
}

void model_next(struct model *model, struct model_op *op)
{
	uint64_t kind = mix(&model->random);

	*op = (struct model_op){.number = ++model->ops, .operation = pick_operation(model, kind)};
	if (!has_extent(model, op->operation, kind))
		return;
	op->length_bytes = pick_length(model);
	op->offset_bytes = pick_offset(model, op->length_bytes);
	/* A guest's buffer may begin anywhere in its page. */
	op->page_offset_sectors = below(model, 4) ? 0 : (uint8_t)below(model, 8);
	if (model->sector_bytes > SECTOR_BYTES)
		op->page_offset_sectors = 0;
}

static uint64_t *discarded_word(const struct model *model, uint64_t at, uint64_t *bit)
{
	*bit = (uint64_t)1 << (at / SECTOR_BYTES % 64);
	return &model->discarded[at / SECTOR_BYTES / 64];
}

void model_discard(struct model *model, uint64_t offset_bytes, uint64_t length_bytes)
{
	if (model->zeros) {
		memset(model->bytes + offset_bytes, 0, length_bytes);
		return;
	}
	for (uint64_t at = offset_bytes; at < offset_bytes + length_bytes; at += SECTOR_BYTES) {
		uint64_t bit, *word = discarded_word(model, at, &bit);

		*word |= bit;
	}
}

void model_write(struct model *model, uint64_t offset_bytes, uint64_t length_bytes, uint64_t number)
{
	for (uint64_t at = offset_bytes; at < offset_bytes + length_bytes; at += SECTOR_BYTES) {
		uint64_t words[SECTOR_BYTES / sizeof(uint64_t)] = {at / SECTOR_BYTES, number};
		uint64_t random = model->seed ^ at ^ number << 40;
		uint64_t bit, *discarded = discarded_word(model, at, &bit);

		for (size_t i = 2; i < ARRAY_SIZE(words); i++)
			words[i] = mix(&random);
		memcpy(model->bytes + at, words, sizeof(words));
		*discarded &= ~bit;
	}
}

/* A sector that differs from what was there last: may it? */
static bool may_be_zeros(const struct model *model, uint64_t at, const unsigned char *seen)
{
	static const unsigned char zeros[SECTOR_BYTES];
	uint64_t bit, *discarded = discarded_word(model, at, &bit);

	return (*discarded & bit) && !memcmp(seen, zeros, SECTOR_BYTES);
}

uint64_t model_difference(const struct model *model, uint64_t offset_bytes, const void *seen,
			  uint64_t length_bytes)
{
	const unsigned char *a = model->bytes + offset_bytes, *b = seen;

	if (!memcmp(a, b, length_bytes))
		return UINT64_MAX;
	for (uint64_t at = 0; at < length_bytes; at += SECTOR_BYTES) {
		if (!memcmp(a + at, b + at, SECTOR_BYTES) ||
		    may_be_zeros(model, offset_bytes + at, b + at))
			continue;
		while (a[at] == b[at])
			at++;
		return offset_bytes + at;
	}
	return UINT64_MAX;
}
