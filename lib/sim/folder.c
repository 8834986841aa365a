/* SPDX-License-Identifier: MIT */
#include "folder.h"

#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>

int folder_make(char *path, size_t path_bytes)
{
	const char *below = getenv("TMPDIR");
	int n = snprintf(path, path_bytes, "%s/tap-sim-XXXXXX", below && *below ? below : "/tmp");

	if (n < 0 || (size_t)n >= path_bytes)
		return -ENAMETOOLONG;
	return mkdtemp(path) ? 0 : -errno;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	/* A file that vanishes or cannot be removed must not keep the others. */
	(void)!remove(path);
	return 0;
}

void folder_remove(const char *path)
{
	nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}
