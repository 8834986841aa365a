/* SPDX-License-Identifier: MIT */
#include <ctype.h>
#include <string.h>

#include "opt-generate.h"

/* Plain text as roff: a sentence a line, nothing in it taken for a request or an escape. */
static void write_text(const char *text, FILE *to)
{
	bool line_start = true, word_start = true;

	for (const char *c = text; *c; c++) {
		if (line_start && (*c == '.' || *c == '\''))
			fputs("\\&", to);
		if (c[0] == ' ' && c != text && c[-1] == '.' && (isupper(c[1]) || c[1] == '-')) {
			fputc('\n', to);
			line_start = word_start = true;
			continue;
		}
		if (*c == '\\')
			fputs("\\e", to);
		else if (*c == '-' && word_start)
			fputs("\\-", to);
		else
			fputc(*c, to);
		line_start = false;
		word_start = *c == ' ' || *c == '(' || *c == '-' || *c == '\'';
	}
	fputc('\n', to);
}

void opt_write_mdoc_options(const struct tool *tool, FILE *to)
{
	const struct option_row *row;

	fputs(".Bl -tag -width Ds\n", to);
	for (unsigned i = 0; (row = opt_row(tool, i)); i++) {
		fputs(".It ", to);
		if (opt_letter(row))
			fprintf(to, "Fl %c , ", opt_letter(row));
		fprintf(to, "Fl Fl %s", row->name);
		if (opt_may_have_arg(row))
			fprintf(to, " Ns Oo = Ns Ar %.*s Oc", (int)strcspn(row->arg + 1, "]"),
				row->arg + 1);
		else if (row->arg)
			fprintf(to, " Ns = Ns Ar %s", row->arg);
		fputc('\n', to);
		write_text(row->help, to);
	}
	fputs(".El\n", to);
}

void opt_write_mdoc_exit(const struct tool *tool, FILE *to)
{
	char sentence[OPT_SENTENCE_BYTES];
	const struct exit_row *e;

	fputs(".Bl -tag -width Ds\n", to);
	for (unsigned i = 0; (e = opt_exit_row(tool, i)); i++) {
		fprintf(to, ".It %d\n", e->code);
		write_text(opt_exit_sentence(e, sentence), to);
	}
	fputs(".El\n", to);
}
