/* SPDX-License-Identifier: MIT */
/*
 * opt - one table per tool. It drives getopt_long, --help, the OPTIONS and EXIT STATUS parts of the
 * manual page, and the completions of bash, zsh and fish, so that none of them can drift.
 */
#ifndef TAP_OPT_H
#define TAP_OPT_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "msg.h"

/** What an argument is, for the completions. */
enum opt_complete {
	OPT_COMPLETE_NONE,
	OPT_COMPLETE_FILE,
	OPT_COMPLETE_DIR,
	OPT_COMPLETE_DOMAIN, /* names of domains, from XenStore */
	OPT_COMPLETE_DISK,   /* DOM/VDEV, from XenStore */
	OPT_COMPLETE_WORDS,  /* one of option.words */
	OPT_COMPLETE_COMMAND,
};

/**
 * One option. A table ends with an entry that is all zero. --help, --version and (where the tool
 * asks for it) nothing else are added by opt itself.
 */
struct option_row {
	int key;	  /* a letter, or a value above 255 for an option without a short form */
	const char *name; /* long name without dashes */
	const char
		*arg; /* name of the argument in capitals, or NULL. "[ARG]" marks an optional one */
	const char *help; /* one or more plain sentences; first one is shown by completions */
	enum opt_complete complete;
	const char *words; /* for OPT_COMPLETE_WORDS: "map copy" */
};

/** An operand as the synopsis shows it, for help and completions. Table ends with all zero. */
struct operand_row {
	const char *name; /* "DOM/VDEV", "[IMAGE]", "COMMAND ..." */
	enum opt_complete complete;
	const char *words;
};

/**
 * An exit status that this tool uses, with its meaning here; a NULL text stands for the general
 * meaning. The table begins with TAP_EXIT_DONE and ends with all zero.
 */
struct exit_row {
	enum tap_exit code;
	const char *text;
};

struct tool {
	const char *name;	     /* "tap-attach" */
	const char *section;	     /* "8" */
	const char *summary;	     /* the .Nd of the page: no capital, no full stop */
	const char *const *synopses; /* each without the tool's name; NULL-terminated */
	const struct option_row *options;
	const struct operand_row *operands;
	const struct exit_row *exits;
};

/**
 * Parse argv. Calls @take(key, argument, opaque) for every option met, in order; @take returns 0 or
 * a negative errno with @e filled (usage errors use TAP_EXIT_USAGE). Options may stand among
 * operands unless @stop_at_operand (for tools that run a COMMAND).
 *
 * --help and --version are answered on stdout and --generate=mdoc-options|mdoc-exit|bash|zsh|
 * fish (hidden, stands alone; used by `make docs`) too: they return 1, and the tool exits 0. A
 * usage error returns -EINVAL with @e filled, its hint naming --help. On 0, *first_operand is the
 * index in argv of the first operand; operands are the rest of argv.
 */
int opt_parse(const struct tool *tool, int argc, char **argv, bool stop_at_operand,
	      int (*take)(int key, const char *arg, void *opaque, struct err *e), void *opaque,
	      int *first_operand, struct err *e);

/** The general meaning of an exit status ("timed out"). */
const char *opt_exit_text(enum tap_exit code);

/**
 * Parse an option's argument as number, size or time (num.h); on failure fill @e with a usage error
 * that names @option and the accepted range. Return 0 or -EINVAL.
 */
int opt_number(const char *option, const char *arg, uint64_t min, uint64_t max, uint64_t *out,
	       struct err *e);
int opt_size(const char *option, const char *arg, uint64_t min_bytes, uint64_t max_bytes,
	     uint64_t *out_bytes, struct err *e);
int opt_time(const char *option, const char *arg, uint64_t min_ns, uint64_t max_ns,
	     uint64_t *out_ns, struct err *e);

/**
 * Flush and check stdout: what a tool printed must have arrived. Returns @status, or
 * TAP_EXIT_SYSTEM with a line on stderr when it did not.
 */
int opt_finish(const struct tool *tool, int status);

#endif
