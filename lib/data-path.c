/* SPDX-License-Identifier: MIT */
#include "data-path.h"

#include <errno.h>
#include <string.h>

#include "num.h"

static const char *const names[] = {
	[DATA_PATH_AUTO] = "auto",
	[DATA_PATH_MAP] = "map",
	[DATA_PATH_COPY] = "copy",
	[DATA_PATH_PERSISTENT] = "persistent",
};

int data_path_parse(const char *text, enum data_path *out)
{
	for (unsigned i = 0; i < ARRAY_SIZE(names); i++) {
		if (!strcmp(text, names[i])) {
			*out = (enum data_path)i;
			return 0;
		}
	}
	return -EINVAL;
}

const char *data_path_name(enum data_path path)
{
	return names[path];
}

bool data_path_wants_persistent(enum data_path path)
{
	return path == DATA_PATH_AUTO || path == DATA_PATH_PERSISTENT;
}

enum pages_mode data_path_mode(enum data_path path, bool persistent)
{
	if (persistent && data_path_wants_persistent(path))
		return PAGES_PERSISTENT;
	return path == DATA_PATH_MAP || path == DATA_PATH_PERSISTENT ? PAGES_MAP : PAGES_COPY;
}
