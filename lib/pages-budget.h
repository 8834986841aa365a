/* SPDX-License-Identifier: MIT */
/*
 * pages-budget - how many pages this process may keep mapped one by one.
 *
 * Each is a mapping to the kernel, which allows a process vm.max_map_count of them; beyond that
 * every mmap() fails, also malloc()'s. Half of it is for kept pages of all disks, so that some
 * guests' pages can never become the other guests' I/O errors. For pages*.c alone; thread-safe.
 */
#ifndef TAP_PAGES_BUDGET_H
#define TAP_PAGES_BUDGET_H

#include <stdbool.h>

/** One page more? */
bool pages_budget_take(void);
void pages_budget_return(void);

#endif
