/* SPDX-License-Identifier: MIT */
/* folder - a private folder: made, and removed with all that is in it. */
#ifndef TAP_SIM_FOLDER_H
#define TAP_SIM_FOLDER_H

#include <stddef.h>

/** A new folder below ${TMPDIR:-/tmp}, mode 0700. Its path into @path. Returns 0 or a negative
 * errno. */
int folder_make(char *path, size_t path_bytes);

/** Remove it, what it holds included. Symbolic links are not followed. No folder is no error. */
void folder_remove(const char *path);

#endif
