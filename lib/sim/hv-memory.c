/* SPDX-License-Identifier: MIT */
/* Guest memory: one sparse file, handed out by frame. */
#include "hv-state.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

int memory_open(struct hv *hv)
{
	size_t bytes = (size_t)SIM_FRAMES * SIM_PAGE_BYTES;

	hv->frame_used = calloc(SIM_FRAMES, 1);
	hv->memory_fd = memfd_create("tap-sim-memory", MFD_CLOEXEC);
	if (!hv->frame_used || hv->memory_fd < 0 || ftruncate(hv->memory_fd, (off_t)bytes) < 0)
		return -errno;
	hv->memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE,
			  hv->memory_fd, 0);
	return hv->memory == MAP_FAILED ? -errno : 0;
}

int frame_alloc(struct hv *hv, uint32_t *frame)
{
	for (uint32_t f = hv->frame_hint; f < SIM_FRAMES; f++) {
		if (hv->frame_used[f])
			continue;
		hv->frame_used[f] = 1;
		hv->frame_hint = f + 1;
		*frame = f;
		return 0;
	}
	return -ENOMEM;
}

void frame_free(struct hv *hv, uint32_t frame)
{
	fallocate(hv->memory_fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
		  (off_t)frame * SIM_PAGE_BYTES, SIM_PAGE_BYTES);
	hv->frame_used[frame] = 0;
	if (frame < hv->frame_hint)
		hv->frame_hint = frame;
}

char *frame_at(const struct hv *hv, uint32_t frame)
{
	return hv->memory + (size_t)frame * SIM_PAGE_BYTES;
}
