/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "msg.h"

static void fills_and_returns(void **state)
{
	struct err e = {.hint = "old"};

	assert_int_equal(err_set(&e, -ENOENT, TAP_EXIT_NONE, "no domain '%s'", "web9"), -ENOENT);
	assert_int_equal(e.exit, TAP_EXIT_NONE);
	assert_string_equal(e.what, "no domain 'web9'");
	assert_string_equal(e.hint, "");
	err_hint(&e, "try %d", 7);
	assert_string_equal(e.hint, "try 7");
	assert_int_equal(err_set(NULL, -EIO, TAP_EXIT_IMAGE, "dropped"), -EIO);
	err_hint(NULL, "dropped");
}

static void controls_are_blanked(void **state)
{
	struct err e = {0};

	err_set(&e, -1, TAP_EXIT_NONE, "a\033[2Jb\n\x7f\xc2\x9b \xc3\xa9");
	assert_string_equal(e.what, "a?[2Jb????"
				    " \xc3\xa9");
	/* as an 8-bit terminal takes it; what begins a character that does not come */
	err_set(&e, -1, TAP_EXIT_NONE, "a\x9b b\xc2");
	assert_string_equal(e.what, "a? b\xc2");
	err_set(&e, -1, TAP_EXIT_NONE, "\xe2\x82\xac \xf0\x9f\x98\x80 \xe2\x9b");
	assert_string_equal(e.what, "\xe2\x82\xac \xf0\x9f\x98\x80 \xe2?");
}

static void long_text_is_cut(void **state)
{
	struct err e = {0};
	char text[1000];

	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	err_set(&e, -1, TAP_EXIT_NONE, "%s", text);
	assert_int_equal(strlen(e.what), sizeof(e.what) - 1);
}

static void printable(void **state)
{
	char buf[6];

	assert_string_equal(msg_printable("a\0\xff\nz", 5, buf, sizeof(buf)), "a???z");
	assert_string_equal(msg_printable("123456789", 9, buf, sizeof(buf)), "12345");
	assert_string_equal(msg_printable("", 0, buf, sizeof(buf)), "");
}

static char *printed(const char *disk, const struct err *e, enum tap_exit want)
{
	char *text = NULL;
	size_t bytes;
	FILE *to = open_memstream(&text, &bytes);

	assert_non_null(to);
	assert_int_equal(err_print(to, "tap-x", disk, e), want);
	fclose(to);
	return text;
}

static void lines(void **state)
{
	struct err e = {0};
	char *text;

	err_set(&e, -EBUSY, TAP_EXIT_BUSY, "cannot serve: busy");
	text = printed("web1/xvda", &e, TAP_EXIT_BUSY);
	assert_string_equal(text, "tap-x: web1/xvda: cannot serve: busy\n");
	free(text);
	err_hint(&e, "see tap-attach -l");
	text = printed(NULL, &e, TAP_EXIT_BUSY);
	assert_string_equal(text, "tap-x: cannot serve: busy\ntap-x: see tap-attach -l\n");
	free(text);
	e.exit = TAP_EXIT_DONE;
	free(printed(NULL, &e, TAP_EXIT_SYSTEM));
}

static void exits(void **state)
{
	assert_int_equal(err_exit_of(-ENOENT), TAP_EXIT_NONE);
	assert_int_equal(err_exit_of(-EBUSY), TAP_EXIT_BUSY);
	assert_int_equal(err_exit_of(-ETIMEDOUT), TAP_EXIT_TIMEOUT);
	assert_int_equal(err_exit_of(-EACCES), TAP_EXIT_DENIED);
	assert_int_equal(err_exit_of(-ENOMEM), TAP_EXIT_SYSTEM);
}

struct sink {
	unsigned lines;
	char last[600];
};

static void sink_line(void *opaque, enum log_level level, const char *disk, const char *text)
{
	struct sink *sink = opaque;

	sink->lines++;
	snprintf(sink->last, sizeof(sink->last), "%s", text);
}

static void guest_lines_are_limited(void **state)
{
	struct sink sink = {0};
	struct log log = {.line = sink_line, .opaque = &sink};
	struct log_limit limit = {0};

	for (int i = 0; i < 1000; i++)
		log_guest(&log, &limit, "web1/xvda", "line %d", i);
	assert_int_equal(sink.lines, LOG_LIMIT_LINES);
	assert_string_equal(sink.last, "line 4");
	assert_true(limit.suppressed == 1000 - LOG_LIMIT_LINES);

	limit.window_start_ns -= LOG_LIMIT_WINDOW_NS;
	log_guest(&log, &limit, "web1/xvda", "again");
	assert_int_equal(sink.lines, LOG_LIMIT_LINES + 1);
	assert_string_equal(sink.last, "again (995 lines before this one left out)");
	assert_true(limit.suppressed == 0);
}

static void log_without_a_sink(void **state)
{
	struct log_limit limit = {0};
	struct log log = {0};

	log_line(NULL, LOG_ERROR, NULL, "nobody");
	log_line(&log, LOG_ERROR, NULL, "nobody");
	log_guest(NULL, &limit, NULL, "nobody");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fills_and_returns),
		cmocka_unit_test(controls_are_blanked),
		cmocka_unit_test(long_text_is_cut),
		cmocka_unit_test(printable),
		cmocka_unit_test(lines),
		cmocka_unit_test(exits),
		cmocka_unit_test(guest_lines_are_limited),
		cmocka_unit_test(log_without_a_sink),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
