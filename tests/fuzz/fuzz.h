/* SPDX-License-Identifier: MIT */
/*
 * fuzz - what the fuzz targets share: an input taken apart, and promises that must hold.
 */
#ifndef TAP_FUZZ_H
#define TAP_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "msg.h"

/** Called by libFuzzer for each input. */
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length_bytes);

/** A promise: the input that breaks it is kept as a crash. */
#define must(promise)                                                                         \
	do {                                                                                  \
		if (!(promise)) {                                                             \
			fprintf(stderr, "%s:%d: broken: %s\n", __FILE__, __LINE__, #promise); \
			abort();                                                              \
		}                                                                             \
	} while (0)

struct input {
	const uint8_t *bytes;
	size_t left;
};

/** The next @length bytes into @to; zeros where the input has ended. */
static inline void input_take(struct input *input, void *to, size_t length)
{
	size_t n = length < input->left ? length : input->left;

	memset(to, 0, length);
	if (!n)
		return;
	memcpy(to, input->bytes, n);
	input->bytes += n;
	input->left -= n;
}

/** All of the input as a string (bytes after a NUL are not seen). free() it. */
static inline char *input_text(const uint8_t *bytes, size_t length_bytes)
{
	char *text = malloc(length_bytes + 1);

	must(text);
	if (length_bytes)
		memcpy(text, bytes, length_bytes);
	text[length_bytes] = '\0';
	return text;
}

/** A refusal says what is wrong, in one line, with nothing in it that was not printable. */
static inline void must_be_told(const struct err *e)
{
	must(e->what[0]);
	for (const char *c = e->what; *c; c++)
		must((unsigned char)*c >= ' ' && *c != 0x7f);
}

#endif
