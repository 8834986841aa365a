/* SPDX-License-Identifier: MIT */
/*
 * data-path - how the guests' pages are to be reached, as the operator says it, and which way
 * (pages.h) that is for a frontend.
 */
#ifndef TAP_DATA_PATH_H
#define TAP_DATA_PATH_H

#include <stdbool.h>

#include "pages.h"

enum data_path {
	DATA_PATH_AUTO,	      /* persistent where the frontend offers it, else copy */
	DATA_PATH_MAP,	      /* map, whatever the frontend offers */
	DATA_PATH_COPY,	      /* copy, whatever the frontend offers */
	DATA_PATH_PERSISTENT, /* persistent where the frontend offers it, else map */
};

#define DATA_PATH_WORDS "auto map copy persistent"

/** One of DATA_PATH_WORDS. 0 or -EINVAL. */
int data_path_parse(const char *text, enum data_path *out);
const char *data_path_name(enum data_path path);

/** Is feature-persistent to be offered? */
bool data_path_wants_persistent(enum data_path path);

/** The way to take; @persistent: both ends said feature-persistent. */
enum pages_mode data_path_mode(enum data_path path, bool persistent);

#endif
