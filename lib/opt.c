/* SPDX-License-Identifier: MIT */
#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "num.h"
#include "opt.h"
#include "opt-generate.h"
#include "version.h"

#define HELP_COLUMN 28
#define HELP_WIDTH  80
#define MAX_OPTIONS 64

static const struct option_row own_rows[] = {
	{OPT_KEY_HELP, "help", NULL, "Print a short help and exit.", OPT_COMPLETE_NONE, NULL},
	{OPT_KEY_VERSION, "version", NULL, "Print the version and exit.", OPT_COMPLETE_NONE, NULL},
};

const struct option_row *opt_row(const struct tool *tool, unsigned i)
{
	unsigned n = 0;

	while (tool->options && tool->options[n].name) {
		if (n == i)
			return &tool->options[n];
		n++;
	}
	return i - n < ARRAY_SIZE(own_rows) ? &own_rows[i - n] : NULL;
}

char opt_letter(const struct option_row *row)
{
	return row->key > 0 && row->key < 256 ? (char)row->key : '\0';
}

bool opt_may_have_arg(const struct option_row *row)
{
	return row->arg && row->arg[0] == '[';
}

bool opt_needs_arg(const struct option_row *row)
{
	return row->arg && row->arg[0] != '[';
}

int opt_first_sentence(const char *text)
{
	const char *stop = strstr(text, ". ");
	size_t length = strlen(text);

	if (stop)
		return (int)(stop - text);
	return (int)(length && text[length - 1] == '.' ? length - 1 : length);
}

const char *opt_exit_text(enum tap_exit code)
{
	switch (code) {
	case TAP_EXIT_DONE:
		return "done";
	case TAP_EXIT_FOUND:
		return "a check found what it looks for";
	case TAP_EXIT_USAGE:
		return "the command line is wrong";
	case TAP_EXIT_NONE:
		return "no such domain, disk or file";
	case TAP_EXIT_BUSY:
		return "busy, or in use by someone";
	case TAP_EXIT_TIMEOUT:
		return "timed out";
	case TAP_EXIT_DENIED:
		return "not permitted, or no Xen here";
	case TAP_EXIT_IMAGE:
		return "the image or its device failed";
	case TAP_EXIT_REFUSED:
		return "refused, because it could lose data";
	case TAP_EXIT_SYSTEM:
		break;
	}
	return "any other system error";
}

const struct exit_row *opt_exit_row(const struct tool *tool, unsigned i)
{
	const struct exit_row *row = tool->exits ? &tool->exits[i] : NULL;

	/* TAP_EXIT_DONE is 0, and it is the first: only further down it is the end. */
	return row && (i == 0 || row->text || row->code) ? row : NULL;
}

char *opt_exit_sentence(const struct exit_row *row, char buf[static OPT_SENTENCE_BYTES])
{
	const char *text = row->text ? row->text : opt_exit_text(row->code);
	size_t length = strlen(text);

	snprintf(buf, OPT_SENTENCE_BYTES, "%s%s", text, text[length - 1] == '.' ? "" : ".");
	buf[0] = (char)toupper((unsigned char)buf[0]);
	return buf;
}

/* @text in lines that end before HELP_WIDTH; the first one starts at @column. */
static void print_wrapped(const char *text, int column)
{
	int at = column;
	bool first = true;

	for (const char *word = text; *word;) {
		int length = (int)strcspn(word, " ");

		if (!first && at + 1 + length > HELP_WIDTH) {
			printf("\n%*s", column, "");
			at = column;
			first = true;
		}
		printf("%s%.*s", first ? "" : " ", length, word);
		at += length + !first;
		first = false;
		word += length;
		word += strspn(word, " ");
	}
	putchar('\n');
}

static void print_option(const struct option_row *row)
{
	char left[128];
	char letter = opt_letter(row);
	char dash[] = {letter ? '-' : ' ', letter ? letter : ' ', letter ? ',' : ' ', '\0'};
	int length = 0;

	if (opt_may_have_arg(row))
		length = snprintf(left, sizeof(left), "  %s --%s[=%s", dash, row->name,
				  row->arg + 1);
	else
		length = snprintf(left, sizeof(left), "  %s --%s%s%s", dash, row->name,
				  row->arg ? "=" : "", row->arg ? row->arg : "");
	if (length + 2 > HELP_COLUMN)
		printf("%s\n%*s", left, HELP_COLUMN, "");
	else
		printf("%-*s", HELP_COLUMN, left);
	print_wrapped(row->help, HELP_COLUMN);
}

static void print_help(const struct tool *tool)
{
	char sentence[OPT_SENTENCE_BYTES];
	const struct exit_row *e;
	const struct option_row *row;

	for (unsigned i = 0; tool->synopses && tool->synopses[i]; i++)
		printf("%s %s %s\n", i ? "      " : "Usage:", tool->name, tool->synopses[i]);
	printf("\n%s: %s\n\nOptions:\n", tool->name, tool->summary);
	for (unsigned i = 0; (row = opt_row(tool, i)); i++)
		print_option(row);
	printf("\nExit status:\n");
	for (unsigned i = 0; (e = opt_exit_row(tool, i)); i++) {
		printf("  %d  ", e->code);
		print_wrapped(opt_exit_sentence(e, sentence), 5);
	}
	printf("\nThe manual page %s(%s) has more.\n", tool->name, tool->section);
}

static int generate(const struct tool *tool, const char *what, struct err *e)
{
	static const struct {
		const char *what;
		void (*write)(const struct tool *tool, FILE *to);
	} kinds[] = {
		{"mdoc-options", opt_write_mdoc_options},
		{"mdoc-exit", opt_write_mdoc_exit},
		{"bash", opt_write_bash},
		{"zsh", opt_write_zsh},
		{"fish", opt_write_fish},
	};

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		if (strcmp(what, kinds[i].what))
			continue;
		kinds[i].write(tool, stdout);
		return 1;
	}
	return err_set(e, -EINVAL, TAP_EXIT_USAGE, "cannot generate '%s'", what);
}

static const struct option_row *find_key(const struct tool *tool, int key)
{
	const struct option_row *row;

	for (unsigned i = 0; (row = opt_row(tool, i)); i++) {
		if (row->key == key)
			return row;
	}
	return NULL;
}

/* getopt_long() says ':' or '?' and leaves the option in optopt (0 when it is not in the table). */
static int usage_error(const struct tool *tool, int said, char **argv, struct err *e)
{
	const struct option_row *row = optopt ? find_key(tool, optopt) : NULL;
	const char *word = argv[optind - 1];
	int ret;

	if (said == ':' && row)
		ret = err_set(e, -EINVAL, TAP_EXIT_USAGE, "option '--%s' needs an argument %s",
			      row->name, row->arg);
	else if (row)
		ret = err_set(e, -EINVAL, TAP_EXIT_USAGE, "option '--%s' takes no argument",
			      row->name);
	else if (optopt)
		ret = err_set(e, -EINVAL, TAP_EXIT_USAGE, "unknown option '-%c'", optopt);
	else
		ret = err_set(e, -EINVAL, TAP_EXIT_USAGE, "unknown or ambiguous option '%s'", word);
	err_hint(e, "try '%s --help'", tool->name);
	return ret;
}

/* Returns false when the table is too large for the arrays. */
static bool build_getopt(const struct tool *tool, bool stop_at_operand, char *shorts,
			 struct option *longs)
{
	const struct option_row *row;

	*shorts++ = stop_at_operand ? '+' : ':';
	if (stop_at_operand)
		*shorts++ = ':';
	for (unsigned i = 0; (row = opt_row(tool, i)); i++) {
		if (i >= MAX_OPTIONS)
			return false;
		longs[i] = (struct option){
			.name = row->name,
			.has_arg = opt_may_have_arg(row) ? optional_argument
				   : row->arg		 ? required_argument
							 : no_argument,
			.val = row->key,
		};
		if (!opt_letter(row))
			continue;
		*shorts++ = opt_letter(row);
		for (int colons = longs[i].has_arg; colons; colons--)
			*shorts++ = ':';
	}
	*shorts = '\0';
	return true;
}

int opt_parse(const struct tool *tool, int argc, char **argv, bool stop_at_operand,
	      int (*take)(int key, const char *arg, void *opaque, struct err *e), void *opaque,
	      int *first_operand, struct err *e)
{
	struct option longs[MAX_OPTIONS + 1] = {0};
	char shorts[MAX_OPTIONS * 3 + 3];
	int key, ret;

	if (argc == 2 && !strncmp(argv[1], "--generate=", 11))
		return generate(tool, argv[1] + 11, e);
	if (!build_getopt(tool, stop_at_operand, shorts, longs))
		return err_set(e, -E2BIG, TAP_EXIT_SYSTEM, "the option table is too long");
	opterr = 0;
	optind = 0; /* glibc: start anew, also after an earlier call */
	while ((key = getopt_long(argc, argv, shorts, longs, NULL)) != -1) {
		switch (key) {
		case OPT_KEY_HELP:
			print_help(tool);
			return 1;
		case OPT_KEY_VERSION:
			printf("%s %s\n", tool->name, TAPTOOLS_VERSION);
			return 1;
		case ':':
		case '?':
			return usage_error(tool, key, argv, e);
		}
		ret = take(key, optarg, opaque, e);
		if (ret < 0)
			return ret;
	}
	*first_operand = optind;
	return 0;
}

int opt_number(const char *option, const char *arg, uint64_t min, uint64_t max, uint64_t *out,
	       struct err *e)
{
	if (!num_parse(arg, min, max, out))
		return 0;
	return err_set(e, -EINVAL, TAP_EXIT_USAGE,
		       "option '--%s': '%s' is not a number from %llu to %llu", option, arg,
		       (unsigned long long)min, (unsigned long long)max);
}

int opt_size(const char *option, const char *arg, uint64_t min_bytes, uint64_t max_bytes,
	     uint64_t *out_bytes, struct err *e)
{
	char min_text[16], max_text[16];

	if (!num_parse_size(arg, min_bytes, max_bytes, out_bytes))
		return 0;
	return err_set(e, -EINVAL, TAP_EXIT_USAGE,
		       "option '--%s': '%s' is not a size (like 512, 4K, 2M) from %s to %s", option,
		       arg, num_format_size(min_bytes, min_text),
		       num_format_size(max_bytes, max_text));
}

int opt_time(const char *option, const char *arg, uint64_t min_ns, uint64_t max_ns,
	     uint64_t *out_ns, struct err *e)
{
	char min_text[16], max_text[16];

	if (!num_parse_time(arg, min_ns, max_ns, out_ns))
		return 0;
	return err_set(e, -EINVAL, TAP_EXIT_USAGE,
		       "option '--%s': '%s' is not a time (like 10, 0.5s, 200ms) from %s to %s",
		       option, arg, num_format_time(min_ns, min_text),
		       num_format_time(max_ns, max_text));
}

int opt_finish(const struct tool *tool, int status)
{
	if (!fflush(stdout) && !ferror(stdout))
		return status;
	fprintf(stderr, "%s: cannot write to standard output: %s\n", tool->name, strerror(errno));
	return TAP_EXIT_SYSTEM;
}
