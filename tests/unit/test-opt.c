/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "num.h"
#include "opt-generate.h"

enum { KEY_DRY_RUN = 256, KEY_COLOR, KEY_PATH, KEY_LONG };

static const struct option_row options[] = {
	{'d', "detach", NULL, "Detach the disk.", OPT_COMPLETE_NONE, NULL},
	{'t', "timeout", "TIME", "Wait for TIME. See --wait.", OPT_COMPLETE_NONE, NULL},
	{KEY_DRY_RUN, "dry-run", NULL, "Print what's to be done; [x]: 1.", OPT_COMPLETE_NONE, NULL},
	{KEY_COLOR, "color", "[WHEN]", "Use colour.", OPT_COMPLETE_WORDS, "always never"},
	{KEY_PATH, "data-path", "PATH", "How data moves.", OPT_COMPLETE_WORDS, "map copy"},
	{KEY_LONG, "wait-for-all-of-them", "NUMBER",
	 "Wait for NUMBER of them, which is a help that is longer than what is left of the line.",
	 OPT_COMPLETE_NONE, NULL},
	{0},
};
static const struct operand_row operands[] = {
	{"DOM/VDEV", OPT_COMPLETE_DISK, NULL},
	{"[IMAGE ...]", OPT_COMPLETE_FILE, NULL},
	{0},
};
static const char *const synopses[] = {"[OPTIONS] DOM/VDEV", NULL};
static const struct exit_row exits[] = {
	{TAP_EXIT_DONE, NULL},
	{TAP_EXIT_FOUND, "it worked"},
	{TAP_EXIT_USAGE, NULL},
	{TAP_EXIT_NONE, NULL},
	{TAP_EXIT_BUSY, NULL},
	{TAP_EXIT_TIMEOUT, NULL},
	{TAP_EXIT_DENIED, NULL},
	{TAP_EXIT_IMAGE, NULL},
	{TAP_EXIT_REFUSED, NULL},
	{TAP_EXIT_SYSTEM, NULL},
	{0},
};
static const struct tool tool = {
	.name = "tap-x",
	.section = "8",
	.summary = "try things",
	.synopses = synopses,
	.options = options,
	.operands = operands,
	.exits = exits,
};

struct seen {
	char text[200];
};

static int take(int key, const char *arg, void *opaque, struct err *e)
{
	struct seen *seen = opaque;
	size_t at = strlen(seen->text);

	if (arg && !strcmp(arg, "bad"))
		return err_set(e, -EINVAL, TAP_EXIT_USAGE, "taken badly");
	snprintf(seen->text + at, sizeof(seen->text) - at, "%d=%s;", key, arg ? arg : "-");
	return 0;
}

#define MAX_WORDS 8

/* Parses a line of words; returns what opt_parse() did. */
static int parse(const char *line, bool stop, struct seen *seen, char *rest, struct err *e)
{
	static char copy[200];
	char *argv[MAX_WORDS + 1] = {NULL};
	int argc = 0, first = -1, ret;

	snprintf(copy, sizeof(copy), "tap-x %s", line);
	for (char *word = strtok(copy, " "); word && argc < MAX_WORDS; word = strtok(NULL, " "))
		argv[argc++] = word;
	*seen = (struct seen){0};
	ret = opt_parse(&tool, argc, argv, stop, take, seen, &first, e);
	rest[0] = '\0';
	for (int i = first; !ret && i < argc; i++) {
		strcat(rest, argv[i]);
		strcat(rest, ";");
	}
	return ret;
}

static void options_and_operands(void **state)
{
	static const struct {
		const char *line;
		bool stop;
		const char *seen, *rest;
	} rows[] = {
		{"", false, "", ""},
		{"a -d b", false, "100=-;", "a;b;"},
		{"a -d b", true, "", "a;-d;b;"},
		{"-d a", true, "100=-;", "a;"},
		{"-dt5 a", false, "100=-;116=5;", "a;"},
		{"--timeout=5 --timeout 6 -t 7", false, "116=5;116=6;116=7;", ""},
		{"--dry-run -- -d", false, "256=-;", "-d;"},
		{"--color --color=always a", false, "257=-;257=always;", "a;"},
		{"--det a", false, "100=-;", "a;"},
	};
	struct err e = {0};
	struct seen seen;
	char rest[200];

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		assert_int_equal(parse(rows[i].line, rows[i].stop, &seen, rest, &e), 0);
		assert_string_equal(seen.text, rows[i].seen);
		assert_string_equal(rest, rows[i].rest);
	}
}

static void usage_errors(void **state)
{
	static const struct {
		const char *line, *what;
	} rows[] = {
		{"--nope", "unknown or ambiguous option '--nope'"},
		{"--d", "unknown or ambiguous option '--d'"},
		{"-dz", "unknown option '-z'"},
		{"-t", "option '--timeout' needs an argument TIME"},
		{"a --timeout", "option '--timeout' needs an argument TIME"},
		{"--detach=1", "option '--detach' takes no argument"},
		{"--help=1", "option '--help' takes no argument"},
	};
	struct seen seen;
	char rest[200];

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct err e = {0};

		assert_int_equal(parse(rows[i].line, false, &seen, rest, &e), -EINVAL);
		assert_int_equal(e.exit, TAP_EXIT_USAGE);
		assert_string_equal(e.what, rows[i].what);
		assert_string_equal(e.hint, "try 'tap-x --help'");
	}
}

static void errors_of_take_come_through(void **state)
{
	struct err e = {0};
	struct seen seen;
	char rest[200];

	assert_int_equal(parse("-t bad -d", false, &seen, rest, &e), -EINVAL);
	assert_string_equal(e.what, "taken badly");
	assert_string_equal(seen.text, "");
}

/* What `tap-x LINE` prints on stdout; opt_parse() must return 1. Free the result. */
static char *stdout_of(const char *line)
{
	char *text = calloc(1, 20000);
	FILE *file = tmpfile();
	struct err e = {0};
	struct seen seen;
	char rest[200];
	int saved;

	assert_non_null(text);
	assert_non_null(file);
	fflush(stdout);
	saved = dup(STDOUT_FILENO);
	dup2(fileno(file), STDOUT_FILENO);
	assert_int_equal(parse(line, false, &seen, rest, &e), 1);
	fflush(stdout);
	dup2(saved, STDOUT_FILENO);
	close(saved);
	rewind(file);
	assert_true(fread(text, 1, 19999, file) > 0);
	fclose(file);
	return text;
}

static void assert_contains(const char *text, const char *part)
{
	if (!strstr(text, part))
		fail_msg("no '%s' in:\n%s", part, text);
}

static void help(void **state)
{
	char *text = stdout_of("-d --help");
	char *line = text;

	assert_contains(text, "Usage: tap-x [OPTIONS] DOM/VDEV\n");
	assert_contains(text, "\n  -t, --timeout=TIME        Wait for TIME. See --wait.\n");
	assert_contains(text, "\n      --color[=WHEN]        Use colour.\n");
	assert_contains(text, "\n      --help                Print");
	assert_contains(
		text,
		"\n      --wait-for-all-of-them=NUMBER\n"
		"                            Wait for NUMBER of them, which is a help that is\n"
		"                            longer than what is left of the line.\n");
	assert_contains(text, "\n  0  Done.\n  1  It worked.\n  2  The command line is wrong.\n"
			      "  3  No such domain, disk or file.\n"
			      "  4  Busy, or in use by someone.\n  5  Timed out.\n"
			      "  6  Not permitted, or no Xen here.\n"
			      "  7  The image or its device failed.\n"
			      "  8  Refused, because it could lose data.\n"
			      "  9  Any other system error.\n");
	for (; line; line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL)
		assert_true(strcspn(line, "\n") <= 80);
	free(text);
}

static void version(void **state)
{
	char *text = stdout_of("--version");

	assert_memory_equal(text, "tap-x ", 6);
	assert_true(strlen(text) > 7);
	free(text);
}

static void manual_parts(void **state)
{
	char *text = stdout_of("--generate=mdoc-options");

	assert_contains(text, ".It Fl t , Fl Fl timeout Ns = Ns Ar TIME\nWait for TIME.\nSee "
			      "\\-\\-wait.\n");
	assert_contains(text, ".It Fl Fl color Ns Oo = Ns Ar WHEN Oc\n");
	free(text);
	text = stdout_of("--generate=mdoc-exit");
	assert_contains(text,
			".It 0\nDone.\n.It 1\nIt worked.\n.It 2\nThe command line is wrong.\n");
	free(text);
	assert_string_equal(opt_exit_text(TAP_EXIT_FOUND), "a check found what it looks for");
}

static void what_cannot_be_generated(void **state)
{
	struct err e = {0};
	struct seen seen;
	char rest[200];

	assert_int_equal(parse("--generate=tex", false, &seen, rest, &e), -EINVAL);
	assert_int_equal(e.exit, TAP_EXIT_USAGE);
	assert_string_equal(e.what, "cannot generate 'tex'");
	/* Beside others it is an option as unknown as any. */
	assert_int_equal(parse("-d --generate=bash", false, &seen, rest, &e), -EINVAL);
	assert_string_equal(e.what, "unknown or ambiguous option '--generate=bash'");
}

/* --help and --version have their places in the table of 64, too. */
static void a_table_that_is_too_long(void **state)
{
	struct option_row rows[64] = {{0}};
	const struct tool many = {.name = "tap-x", .options = rows};
	char *argv[] = {(char *)"tap-x", NULL};
	struct err e = {0};
	int first = -1;

	for (unsigned i = 0; i < 62; i++)
		rows[i] = (struct option_row){.key = 300 + (int)i, .name = "x", .help = "X."};
	assert_int_equal(opt_parse(&many, 1, argv, false, take, NULL, &first, &e), 0);
	assert_int_equal(first, 1);
	rows[62] = (struct option_row){.key = 400, .name = "x", .help = "X."};
	assert_int_equal(opt_parse(&many, 1, argv, false, take, NULL, &first, &e), -E2BIG);
	assert_int_equal(e.exit, TAP_EXIT_SYSTEM);
}

static void completions(void **state)
{
	char *text = stdout_of("--generate=bash");

	assert_contains(text, "complete -F _tap_x tap-x\n");
	assert_contains(text, "-d --detach -t --timeout --dry-run --color --data-path "
			      "--wait-for-all-of-them --help");
	assert_contains(text, "compgen -W 'map copy'");
	free(text);
	text = stdout_of("--generate=zsh");
	assert_contains(text, "#compdef tap-x\n");
	assert_contains(text, "'--dry-run[Print what'\\''s to be done; \\[x\\]\\: 1]'");
	assert_contains(text, "'(-t --timeout)'{-t+,--timeout=}'[Wait for TIME]:TIME: '");
	free(text);
	text = stdout_of("--generate=fish");
	assert_contains(text,
			"complete -c tap-x -l dry-run -d 'Print what\\'s to be done; [x]: 1'\n");
	assert_contains(text, "complete -c tap-x -s t -l timeout -x -d 'Wait for TIME'\n");
	free(text);
}

static void values_name_their_range(void **state)
{
	struct err e = {0};
	uint64_t value = 0;

	assert_int_equal(opt_number("port", "7", 1, 9, &value, &e), 0);
	assert_true(value == 7);
	assert_int_equal(opt_number("port", "10", 1, 9, &value, &e), -EINVAL);
	assert_string_equal(e.what, "option '--port': '10' is not a number from 1 to 9");
	assert_int_equal(opt_size("size", "x", 512, 1 << 20, &value, &e), -EINVAL);
	assert_string_equal(
		e.what,
		"option '--size': 'x' is not a size (like 512, 4K, 2M) from 512 B to 1.0 MiB");
	assert_int_equal(opt_time("timeout", "2h", 0, 1000000000, &value, &e), -EINVAL);
	assert_string_equal(e.what, "option '--timeout': '2h' is not a time (like 10, 0.5s, 200ms) "
				    "from 0 ns to 1.0 s");
	assert_int_equal(e.exit, TAP_EXIT_USAGE);
	assert_true(value == 7);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(options_and_operands),
		cmocka_unit_test(usage_errors),
		cmocka_unit_test(errors_of_take_come_through),
		cmocka_unit_test(help),
		cmocka_unit_test(version),
		cmocka_unit_test(manual_parts),
		cmocka_unit_test(what_cannot_be_generated),
		cmocka_unit_test(a_table_that_is_too_long),
		cmocka_unit_test(completions),
		cmocka_unit_test(values_name_their_range),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
