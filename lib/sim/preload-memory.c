/* SPDX-License-Identifier: MIT */
/*
 * Memory that a program asks for itself. Each function is a jump to the real one unless
 * TAP_SIM_FAIL is set; dlsym() of a name that exists asks for no memory.
 */
#include "preload.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

SIM_EXPORT void *malloc(size_t bytes)
{
	return SIM_OWN_FAILS(malloc) ? NULL : SIM_NEXT(malloc)(bytes);
}

SIM_EXPORT void *calloc(size_t count, size_t bytes)
{
	return SIM_OWN_FAILS(calloc) ? NULL : SIM_NEXT(calloc)(count, bytes);
}

SIM_EXPORT void *realloc(void *old, size_t bytes)
{
	return SIM_OWN_FAILS(realloc) ? NULL : SIM_NEXT(realloc)(old, bytes);
}

SIM_EXPORT char *strdup(const char *text)
{
	return SIM_OWN_FAILS(strdup) ? NULL : SIM_NEXT(strdup)(text);
}

SIM_EXPORT int posix_memalign(void **out, size_t alignment, size_t bytes)
{
	return SIM_OWN_FAILS(posix_memalign) ? errno
					     : SIM_NEXT(posix_memalign)(out, alignment, bytes);
}

SIM_EXPORT void *mmap(void *start, size_t bytes, int prot, int flags, int fd, off_t offset)
{
	return SIM_OWN_FAILS(mmap) ? MAP_FAILED
				   : SIM_NEXT(mmap)(start, bytes, prot, flags, fd, offset);
}
