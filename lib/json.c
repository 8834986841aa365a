/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "json.h"

#define JSON_VERSION 1

static int add(struct json_object *object, const char *key, struct json_object *value)
{
	if (!value)
		return -ENOMEM;
	if (json_object_object_add(object, key, value)) {
		json_object_put(value);
		return -ENOMEM;
	}
	return 0;
}

struct json_object *json_envelope(const char *tool)
{
	struct json_object *envelope = json_object_new_object();

	if (!envelope)
		return NULL;
	if (add(envelope, "version", json_object_new_int(JSON_VERSION)) ||
	    add(envelope, "tool", json_object_new_string(tool)) ||
	    add(envelope, "items", json_object_new_array())) {
		json_object_put(envelope);
		return NULL;
	}
	return envelope;
}

int json_item(struct json_object *envelope, struct json_object *item)
{
	struct json_object *items = NULL;

	if (item && json_object_object_get_ex(envelope, "items", &items) &&
	    !json_object_array_add(items, item))
		return 0;
	json_object_put(item);
	return -ENOMEM;
}

int json_error(struct json_object *envelope, const struct err *e)
{
	struct json_object *error = json_object_new_object();

	if (!error)
		return -ENOMEM;
	if (json_set_number(error, "exit", e->exit ? e->exit : TAP_EXIT_SYSTEM) ||
	    json_set_text(error, "what", e->what) ||
	    json_set_text(error, "hint", e->hint[0] ? e->hint : NULL)) {
		json_object_put(error);
		return -ENOMEM;
	}
	return add(envelope, "error", error);
}

/* Length of the UTF-8 sequence at @s, or 0: overlong forms, surrogates and above U+10FFFF are none.
 */
static size_t utf8_length(const unsigned char *s)
{
	static const struct {
		unsigned char first, last, low, high, length;
	} forms[] = {
		{0x01, 0x7f, 0, 0, 1},	     {0xc2, 0xdf, 0x80, 0xbf, 2},
		{0xe0, 0xe0, 0xa0, 0xbf, 3}, {0xe1, 0xec, 0x80, 0xbf, 3},
		{0xed, 0xed, 0x80, 0x9f, 3}, {0xee, 0xef, 0x80, 0xbf, 3},
		{0xf0, 0xf0, 0x90, 0xbf, 4}, {0xf1, 0xf3, 0x80, 0xbf, 4},
		{0xf4, 0xf4, 0x80, 0x8f, 4},
	};

	for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
		if (s[0] < forms[i].first || s[0] > forms[i].last)
			continue;
		if (forms[i].length > 1 && (s[1] < forms[i].low || s[1] > forms[i].high))
			return 0;
		for (size_t k = 2; k < forms[i].length; k++) {
			if ((s[k] & 0xc0) != 0x80)
				return 0;
		}
		return forms[i].length;
	}
	return 0;
}

/* JSON is UTF-8; a file's name or a guest's XenStore value need not be. */
static struct json_object *new_text(const char *text)
{
	struct json_object *object;
	char *copy = strdup(text);

	if (!copy)
		return NULL;
	for (unsigned char *c = (unsigned char *)copy; *c;) {
		size_t n = utf8_length(c);

		if (!n)
			*c = '?';
		c += n ? n : 1;
	}
	object = json_object_new_string(copy);
	free(copy);
	return object;
}

int json_set_text(struct json_object *object, const char *key, const char *text)
{
	if (!text)
		return json_object_object_add(object, key, NULL) ? -ENOMEM : 0;
	return add(object, key, new_text(text));
}

int json_set_number(struct json_object *object, const char *key, uint64_t value)
{
	return add(object, key, json_object_new_uint64(value));
}

int json_set_bool(struct json_object *object, const char *key, bool value)
{
	return add(object, key, json_object_new_boolean(value));
}

int json_print(struct json_object *envelope, FILE *to)
{
	const char *text = json_object_to_json_string_ext(
		envelope, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE);
	int ret = 0;

	if (!text || fprintf(to, "%s\n", text) < 0 || fflush(to))
		ret = -EIO;
	json_object_put(envelope);
	return ret;
}
