/* SPDX-License-Identifier: MIT */
/*
 * json - the one shape of every tool's -J output, on json-c:
 * {"version":1,"tool":"tap-stat","items":[...]}. Sizes are integers in bytes, times integers in
 * nanoseconds. Keys are only ever added.
 */
#ifndef TAP_JSON_H
#define TAP_JSON_H

#include <json-c/json.h>
#include <stdint.h>
#include <stdio.h>

#include "msg.h"

/** A new envelope without items, or NULL without memory. Free it with json_object_put(). */
struct json_object *json_envelope(const char *tool);

/** Append @item to the envelope's items. Takes ownership of @item (also on failure). 0 or -ENOMEM.
 */
int json_item(struct json_object *envelope, struct json_object *item);

/** Add "error":{"exit":N,"what":"...","hint":"..."} to the envelope: still valid, still has items.
 */
int json_error(struct json_object *envelope, const struct err *e);

/** Shorthands. A NULL @text becomes null. Return 0 or -ENOMEM. */
int json_set_text(struct json_object *object, const char *key, const char *text);
int json_set_number(struct json_object *object, const char *key, uint64_t value);
int json_set_bool(struct json_object *object, const char *key, bool value);

/** Print on one line with a newline, free the envelope. Returns 0 or -EIO. */
int json_print(struct json_object *envelope, FILE *to);

#endif
