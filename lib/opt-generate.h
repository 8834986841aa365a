/* SPDX-License-Identifier: MIT */
/*
 * opt-generate - what is written from an option table. Used by opt alone.
 */
#ifndef TAP_OPT_GENERATE_H
#define TAP_OPT_GENERATE_H

#include "opt.h"

#define OPT_SENTENCE_BYTES 512

/** Keys of the rows that opt adds to each table. */
enum { OPT_KEY_HELP = 0x7ffffff0, OPT_KEY_VERSION };

/** Row @i of the tool's table with opt's own rows behind it, or NULL behind the last. */
const struct option_row *opt_row(const struct tool *tool, unsigned i);

/** The short form of @row, or 0. */
char opt_letter(const struct option_row *row);

/** Does the option insist on an argument; is its argument optional ("[ARG]")? */
bool opt_needs_arg(const struct option_row *row);
bool opt_may_have_arg(const struct option_row *row);

/** Length of the first sentence of @text, without its full stop. */
int opt_first_sentence(const char *text);

/** Row @i of the tool's exit statuses, or NULL behind the last. */
const struct exit_row *opt_exit_row(const struct tool *tool, unsigned i);

/** What an exit status means in this tool, as a sentence: capital, full stop. Returns @buf. */
char *opt_exit_sentence(const struct exit_row *row, char buf[static OPT_SENTENCE_BYTES]);

void opt_write_mdoc_options(const struct tool *tool, FILE *to);
void opt_write_mdoc_exit(const struct tool *tool, FILE *to);
void opt_write_bash(const struct tool *tool, FILE *to);
void opt_write_zsh(const struct tool *tool, FILE *to);
void opt_write_fish(const struct tool *tool, FILE *to);

#endif
