/* SPDX-License-Identifier: MIT */
#include "pages-budget.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "num.h"

#define MAX_MAP_COUNT_DEFAULT 65530u /* Linux: where /proc does not tell */

static atomic_uint taken;
static unsigned budget;

static void find_budget(void)
{
	FILE *file = fopen("/proc/sys/vm/max_map_count", "re");
	char line[16] = "";
	uint64_t count;

	if (file) {
		(void)!fgets(line, sizeof(line), file);
		fclose(file);
	}
	line[strcspn(line, "\n")] = '\0';
	if (num_parse(line, 1, INT32_MAX, &count))
		count = MAX_MAP_COUNT_DEFAULT;
	budget = (unsigned)count / 2;
}

bool pages_budget_take(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, find_budget);
	if (atomic_fetch_add(&taken, 1) < budget)
		return true;
	atomic_fetch_sub(&taken, 1);
	return false;
}

void pages_budget_return(void)
{
	atomic_fetch_sub(&taken, 1);
}
