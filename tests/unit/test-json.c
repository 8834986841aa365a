/* SPDX-License-Identifier: MIT */
/*
 * The calls that make a JSON value go through the stand-ins here, which fail one of them.
 */
#include <dlfcn.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "json.h"

static unsigned calls, failing; /* the call that fails, counted from 1; 0: none */

#define hand_on(name, ...) \
	(++calls == failing ? NULL : ((__typeof__(name) *)dlsym(RTLD_NEXT, #name))(__VA_ARGS__))

struct json_object *json_object_new_object(void)
{
	return hand_on(json_object_new_object);
}

struct json_object *json_object_new_array(void)
{
	return hand_on(json_object_new_array);
}

struct json_object *json_object_new_int(int32_t value)
{
	return hand_on(json_object_new_int, value);
}

struct json_object *json_object_new_uint64(uint64_t value)
{
	return hand_on(json_object_new_uint64, value);
}

struct json_object *json_object_new_boolean(json_bool value)
{
	return hand_on(json_object_new_boolean, value);
}

struct json_object *json_object_new_string(const char *text)
{
	return hand_on(json_object_new_string, text);
}

int json_object_object_add(struct json_object *object, const char *key, struct json_object *value)
{
	__typeof__(json_object_object_add) *real = dlsym(RTLD_NEXT, "json_object_object_add");

	return ++calls == failing ? -1 : real(object, key, value);
}

int json_object_array_add(struct json_object *array, struct json_object *value)
{
	__typeof__(json_object_array_add) *real = dlsym(RTLD_NEXT, "json_object_array_add");

	return ++calls == failing ? -1 : real(array, value);
}

/* Prints and frees @envelope. */
static void assert_prints(struct json_object *envelope, const char *want)
{
	char *text = NULL;
	size_t bytes;
	FILE *to = open_memstream(&text, &bytes);

	assert_non_null(to);
	assert_int_equal(json_print(envelope, to), 0);
	fclose(to);
	assert_string_equal(text, want);
	free(text);
}

static void empty(void **state)
{
	assert_prints(json_envelope("tap-x"), "{\"version\":1,\"tool\":\"tap-x\",\"items\":[]}\n");
}

static void with_an_item(void **state)
{
	struct json_object *envelope = json_envelope("tap-x"), *item = json_object_new_object();

	assert_int_equal(json_set_text(item, "disk", "web1/xvda"), 0);
	assert_int_equal(json_set_text(item, "error", NULL), 0);
	assert_int_equal(json_set_number(item, "size_bytes", UINT64_MAX), 0);
	assert_int_equal(json_set_bool(item, "busy", true), 0);
	assert_int_equal(json_item(envelope, item), 0);
	assert_prints(envelope,
		      "{\"version\":1,\"tool\":\"tap-x\",\"items\":[{\"disk\":\"web1/xvda\","
		      "\"error\":null,\"size_bytes\":18446744073709551615,\"busy\":true}]}\n");
}

static void with_an_error(void **state)
{
	struct json_object *envelope = json_envelope("tap-x");
	struct err e = {0};

	err_set(&e, -ENOENT, TAP_EXIT_NONE, "no \"web9\"");
	assert_int_equal(json_error(envelope, &e), 0);
	assert_prints(envelope,
		      "{\"version\":1,\"tool\":\"tap-x\",\"items\":[],\"error\":{\"exit\":"
		      "3,\"what\":\"no \\\"web9\\\"\",\"hint\":null}}\n");
}

static void always_utf8(void **state)
{
	static const struct {
		const char *from, *to;
	} rows[] = {
		{"\xc3\xa9", "\xc3\xa9"},
		{"a\xff"
		 "b",
		 "a?b"},
		{"\xc0\x80", "??"},
		{"\xed\xa0\x80", "???"},
		{"\xf0\x9f\x92\xbe", "\xf0\x9f\x92\xbe"},
		{"\xf4\x90\x80\x80", "????"},
		{"cut\xe2\x82", "cut??"},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct json_object *object = json_object_new_object(), *value;

		assert_int_equal(json_set_text(object, "k", rows[i].from), 0);
		assert_true(json_object_object_get_ex(object, "k", &value));
		assert_string_equal(json_object_get_string(value), rows[i].to);
		json_object_put(object);
	}
}

/* An envelope with an item and an error; NULL when one of the calls fails, and nothing is left. */
static struct json_object *make_one(void)
{
	const struct err e = {.exit = TAP_EXIT_NONE, .what = "no web9"};
	struct json_object *envelope = json_envelope("tap-x"), *item = NULL;

	if (!envelope)
		return NULL;
	item = json_object_new_object();
	if (item && (json_set_text(item, "disk", "web1/xvda") || json_set_text(item, "x", NULL) ||
		     json_set_number(item, "size_bytes", 1) || json_set_bool(item, "busy", true))) {
		json_object_put(item);
		item = NULL;
	}
	if (json_item(envelope, item) || json_error(envelope, &e)) {
		json_object_put(envelope);
		return NULL;
	}
	return envelope;
}

/* What is lost is for AddressSanitizer to find. */
static void no_memory_for_one_of_the_calls(void **state)
{
	unsigned all;

	calls = failing = 0;
	json_object_put(make_one());
	all = calls;
	assert_true(all > 20);
	for (failing = 1; failing <= all; failing++) {
		calls = 0;
		if (make_one())
			fail_msg("call %u of %u failed, and nobody noticed", failing, all);
		assert_int_equal(calls >= failing, true);
	}
	failing = 0;
}

static void a_full_disk_is_said(void **state)
{
	FILE *full = fopen("/dev/full", "w");

	if (!full)
		skip();
	assert_int_equal(json_print(json_envelope("tap-x"), full), -EIO);
	fclose(full);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(empty),
		cmocka_unit_test(with_an_item),
		cmocka_unit_test(with_an_error),
		cmocka_unit_test(always_utf8),
		cmocka_unit_test(no_memory_for_one_of_the_calls),
		cmocka_unit_test(a_full_disk_is_said),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
