/* SPDX-License-Identifier: MIT */
/*
 * stat-report - one report of tap-stat: a table, or a line of JSON.
 */
#ifndef STAT_REPORT_H
#define STAT_REPORT_H

#include <json-c/json.h>
#include <stdbool.h>
#include <stdio.h>

#include "sample.h"

/** A disk now, and the same one at the report before (NULL at its first). */
struct stat_row {
	const struct sample *earlier, *now;
};

/** A header and a line for each row. */
void stat_report_table(const struct stat_row *rows, unsigned n, bool extended, FILE *to);

/** An item for each row. 0 or -ENOMEM. */
int stat_report_json(const struct stat_row *rows, unsigned n, struct json_object *envelope);

#endif
