/* SPDX-License-Identifier: MIT */
/*
 * The names of images. Input: the name. Only images of the engine null are opened.
 */
#include "fuzz.h"

#include <errno.h>

#include "image.h"
#include "num.h"

static void open_null(const char *spec)
{
	const struct image_options options = {.read_only = strlen(spec) % 2};
	struct image_facts probed;
	struct image *image;
	struct err e = {0};

	must(!image_probe(spec, &options, &probed, &e));
	must(!image_open(&image, spec, &options, &e));
	must(image_facts(image)->size_bytes == probed.size_bytes);
	must(probed.size_bytes && probed.size_bytes % SECTOR_BYTES == 0);
	must(!strcmp(probed.engine, "null"));
	image_close(image);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length_bytes)
{
	char *spec = input_text(bytes, length_bytes);
	char plain[IMAGE_SPEC_MAX], again[IMAGE_SPEC_MAX];
	struct err e = {0};

	if (image_canonical(spec, plain, &e)) {
		must_be_told(&e);
		goto done;
	}
	must(strlen(plain) < sizeof(plain));
	must(!strncmp(plain, "null:", 5) || !strncmp(plain, "file:/", 6));
	/* A plain name has one form. */
	must(!image_canonical(plain, again, &e) && !strcmp(again, plain));
	if (!strncmp(plain, "null:", 5))
		open_null(spec);
done:
	free(spec);
	return 0;
}
