/* SPDX-License-Identifier: MIT */
/* Who calls: the program or a library. What is the program's own can be made to fail. */
#include "preload.h"

#include <link.h>
#include <stdlib.h>

bool sim_armed;

static uintptr_t program_start, program_end;

/* The first object is the program; there is no need to look at others. */
static int find_program(struct dl_phdr_info *info, size_t size, void *opaque)
{
	program_start = UINTPTR_MAX;
	for (unsigned i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *part = &info->dlpi_phdr[i];
		uintptr_t start = info->dlpi_addr + part->p_vaddr;

		if (part->p_type != PT_LOAD)
			continue;
		if (start < program_start)
			program_start = start;
		if (start + part->p_memsz > program_end)
			program_end = start + part->p_memsz;
	}
	return 1;
}

__attribute__((constructor)) static void arm(void)
{
	const char *rules = getenv("TAP_SIM_FAIL");

	if (!rules || !*rules)
		return;
	dl_iterate_phdr(find_program, NULL);
	sim_armed = true;
}

bool sim_is_program(const void *caller)
{
	return (uintptr_t)caller >= program_start && (uintptr_t)caller < program_end;
}
