/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "opt-generate.h"

/*
 * What a completion offers goes onto the command line of an administrator, and a guest may write
 * parts of XenStore: names with anything but harmless characters are replaced by the number, and a
 * backend path is only followed when it looks like one. The same text is read by bash and by zsh.
 */
static const char sh_helpers[] =
	"_@_name()\n"
	"{\n"
	"\tlocal name\n"
	"\tname=$(xenstore-read \"/local/domain/$1/name\" 2>/dev/null)\n"
	"\tcase $name in\n"
	"\t'' | *[!A-Za-z0-9._-]*) name=$1 ;;\n"
	"\tesac\n"
	"\tprintf '%s' \"$name\"\n"
	"}\n"
	"\n"
	"_@_domains()\n"
	"{\n"
	"\tlocal id\n"
	"\tfor id in $(xenstore-list /local/domain 2>/dev/null); do\n"
	"\t\tprintf '%s\\n' \"$(_@_name \"$id\")\"\n"
	"\tdone\n"
	"}\n"
	"\n"
	"_@_disks()\n"
	"{\n"
	"\tlocal id vdev backend dev\n"
	"\tfor id in $(xenstore-list /local/domain 2>/dev/null); do\n"
	"\t\tfor vdev in $(xenstore-list \"/local/domain/$id/device/vbd\" 2>/dev/null); do\n"
	"\t\t\tbackend=$(xenstore-read \"/local/domain/$id/device/vbd/$vdev/backend\" "
	"2>/dev/null)\n"
	"\t\t\tdev=\n"
	"\t\t\tcase $backend in\n"
	"\t\t\t/local/domain/*) dev=$(xenstore-read \"$backend/dev\" 2>/dev/null) ;;\n"
	"\t\t\tesac\n"
	"\t\t\tcase $dev in\n"
	"\t\t\t'' | *[!a-z0-9]*) dev=$vdev ;;\n"
	"\t\t\tesac\n"
	"\t\t\tprintf '%s/%s\\n' \"$(_@_name \"$id\")\" \"$dev\"\n"
	"\t\tdone\n"
	"\tdone\n"
	"}\n"
	"\n";

static const char fish_helpers[] =
	"function _@_name\n"
	"    set -l name (xenstore-read /local/domain/$argv[1]/name 2>/dev/null)\n"
	"    if string match -qr '^[A-Za-z0-9._-]+$' -- \"$name\"\n"
	"        echo $name\n"
	"    else\n"
	"        echo $argv[1]\n"
	"    end\n"
	"end\n"
	"\n"
	"function _@_domains\n"
	"    for id in (xenstore-list /local/domain 2>/dev/null)\n"
	"        _@_name $id\n"
	"    end\n"
	"end\n"
	"\n"
	"function _@_disks\n"
	"    for id in (xenstore-list /local/domain 2>/dev/null)\n"
	"        for vdev in (xenstore-list /local/domain/$id/device/vbd 2>/dev/null)\n"
	"            set -l backend (xenstore-read /local/domain/$id/device/vbd/$vdev/backend "
	"2>/dev/null)\n"
	"            set -l dev\n"
	"            if string match -q '/local/domain/*' -- \"$backend\"\n"
	"                set dev (xenstore-read $backend/dev 2>/dev/null)\n"
	"            end\n"
	"            string match -qr '^[a-z0-9]+$' -- \"$dev\"; or set dev $vdev\n"
	"            echo (_@_name $id)/$dev\n"
	"        end\n"
	"    end\n"
	"end\n"
	"\n";

/* The tool's name as a shell function's: tap-ring -> tap_ring. */
static void write_name(const struct tool *tool, FILE *to)
{
	for (const char *c = tool->name; *c; c++)
		fputc(*c == '-' ? '_' : *c, to);
}

/* @text with the tool's function name behind each "_", where it says "_@". */
static void write_template(const struct tool *tool, const char *text, FILE *to)
{
	for (const char *c = text; *c; c++) {
		fputc(*c, to);
		if (c[0] == '_' && c[1] == '@') {
			write_name(tool, to);
			c++;
		}
	}
}

static bool kind_needs_store(enum opt_complete kind)
{
	return kind == OPT_COMPLETE_DOMAIN || kind == OPT_COMPLETE_DISK;
}

/* Does any option or operand complete from XenStore? */
static bool needs_store(const struct tool *tool)
{
	const struct option_row *row;

	for (unsigned i = 0; (row = opt_row(tool, i)); i++) {
		if (kind_needs_store(row->complete))
			return true;
	}
	for (const struct operand_row *o = tool->operands; o && o->name; o++) {
		if (kind_needs_store(o->complete))
			return true;
	}
	return false;
}

static void write_header(const struct tool *tool, const char *shell, const char *helpers, FILE *to)
{
	fprintf(to,
		"# SPDX-License-Identifier: MIT\n"
		"# %s completion for %s(%s), written by its --generate=%s\n\n",
		shell, tool->name, tool->section, shell);
	if (needs_store(tool))
		write_template(tool, helpers, to);
}

/* The statement that fills COMPREPLY for one kind of argument. */
static void write_bash_kind(const struct tool *tool, enum opt_complete kind, const char *words,
			    const char *indent, FILE *to)
{
	static const char *const generators[] = {
		[OPT_COMPLETE_FILE] = "-f",
		[OPT_COMPLETE_DIR] = "-d",
		[OPT_COMPLETE_DOMAIN] = "-W \"$(_@_domains)\"",
		[OPT_COMPLETE_DISK] = "-W \"$(_@_disks)\"",
		[OPT_COMPLETE_COMMAND] = "-c",
	};

	if (kind == OPT_COMPLETE_NONE)
		return;
	if (kind == OPT_COMPLETE_FILE || kind == OPT_COMPLETE_DIR)
		fprintf(to, "%scompopt -o filenames 2>/dev/null\n", indent);
	fprintf(to, "%smapfile -t COMPREPLY < <(compgen ", indent);
	if (kind == OPT_COMPLETE_WORDS)
		fprintf(to, "-W '%s'", words);
	else
		write_template(tool, generators[kind], to);
	fputs(" -- \"$cur\")\n", to);
}

/* "-t | --timeout" */
static void write_bash_pattern(const struct option_row *row, FILE *to)
{
	if (opt_letter(row))
		fprintf(to, "-%c | ", opt_letter(row));
	fprintf(to, "--%s", row->name);
}

static bool has_arg_options(const struct tool *tool)
{
	const struct option_row *row;

	for (unsigned i = 0; (row = opt_row(tool, i)); i++) {
		if (opt_needs_arg(row))
			return true;
	}
	return false;
}

/* An option's argument under the cursor. Behind '=' it is a word of its own (COMP_WORDBREAKS). */
static void write_bash_arguments(const struct tool *tool, FILE *to)
{
	const struct option_row *row;

	fputs("\tcase $prev in\n", to);
	for (unsigned i = 0; (row = opt_row(tool, i)); i++) {
		if (!row->arg)
			continue;
		fputc('\t', to);
		if (opt_may_have_arg(row))
			fprintf(to, "--%s=", row->name);
		else
			write_bash_pattern(row, to);
		if (opt_needs_arg(row))
			fprintf(to, " | --%s=", row->name);
		fputs(")\n", to);
		write_bash_kind(tool, row->complete, row->words, "\t\t", to);
		fputs("\t\treturn\n\t\t;;\n", to);
	}
	fputs("\t--*=) return ;;\n\tesac\n", to);
}

static void write_bash_operand_count(const struct tool *tool, FILE *to)
{
	const struct option_row *row;
	bool first = true;

	fputs("\tfor ((i = 1; i < COMP_CWORD; i++)); do\n"
	      "\t\tcase ${COMP_WORDS[i]} in\n"
	      "\t\t=) ((i++)) ;;\n",
	      to);
	if (has_arg_options(tool)) {
		fputs("\t\t", to);
		for (unsigned i = 0; (row = opt_row(tool, i)); i++) {
			if (!opt_needs_arg(row))
				continue;
			fputs(first ? "" : " | ", to);
			write_bash_pattern(row, to);
			first = false;
		}
		fputs(") [[ ${COMP_WORDS[i + 1]} == '=' ]] || ((i++)) ;;\n", to);
	}
	fputs("\t\t-?*) ;;\n"
	      "\t\t*) ((operand++)) ;;\n"
	      "\t\tesac\n"
	      "\tdone\n",
	      to);
}

static bool repeats(const struct operand_row *operand)
{
	return strstr(operand->name, "...") != NULL;
}

static void write_bash_operands(const struct tool *tool, FILE *to)
{
	const struct operand_row *o = tool->operands;

	write_bash_operand_count(tool, to);
	fputs("\tcase $operand in\n", to);
	for (int i = 0; o && o[i].name; i++) {
		if (o[i].complete == OPT_COMPLETE_NONE)
			continue;
		if (repeats(&o[i]) && o[i].complete == OPT_COMPLETE_COMMAND) {
			fprintf(to, "\t%d)\n", i);
			write_bash_kind(tool, OPT_COMPLETE_COMMAND, NULL, "\t\t", to);
			fputs("\t\t;;\n\t*)\n", to);
			write_bash_kind(tool, OPT_COMPLETE_FILE, NULL, "\t\t", to);
		} else {
			fprintf(to, repeats(&o[i]) ? "\t*)\n" : "\t%d)\n", i);
			write_bash_kind(tool, o[i].complete, o[i].words, "\t\t", to);
		}
		fputs("\t\t;;\n", to);
		if (repeats(&o[i]))
			break;
	}
	fputs("\tesac\n", to);
}

void opt_write_bash(const struct tool *tool, FILE *to)
{
	const struct option_row *row;
	bool operands = tool->operands && tool->operands[0].name;

	write_header(tool, "bash", sh_helpers, to);
	write_template(tool,
		       "_@()\n"
		       "{\n"
		       "\tlocal cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]}\n",
		       to);
	if (operands)
		fputs("\tlocal i operand=0\n", to);
	fputs("\n"
	      "\tCOMPREPLY=()\n"
	      "\tif [[ $cur == '=' ]]; then\n"
	      "\t\tprev+='='\n"
	      "\t\tcur=\n"
	      "\telif [[ $prev == '=' ]]; then\n"
	      "\t\tprev=${COMP_WORDS[COMP_CWORD - 2]}=\n"
	      "\tfi\n",
	      to);
	write_bash_arguments(tool, to);
	fputs("\tif [[ $cur == -* ]]; then\n"
	      "\t\tmapfile -t COMPREPLY < <(compgen -W '",
	      to);
	for (unsigned i = 0; (row = opt_row(tool, i)); i++) {
		if (opt_letter(row))
			fprintf(to, "-%c ", opt_letter(row));
		fprintf(to, "--%s ", row->name);
	}
	fputs("' -- \"$cur\")\n\t\treturn\n\tfi\n", to);
	if (operands)
		write_bash_operands(tool, to);
	write_template(tool, "}\ncomplete -F _@ ", to);
	fprintf(to, "%s\n", tool->name);
}

static void write_zsh_kind(const struct tool *tool, enum opt_complete kind, const char *words,
			   FILE *to)
{
	static const char *const actions[] = {
		[OPT_COMPLETE_NONE] = " ",
		[OPT_COMPLETE_FILE] = "_files",
		[OPT_COMPLETE_DIR] = "_files -/",
		[OPT_COMPLETE_DOMAIN] = "_@_add domains",
		[OPT_COMPLETE_DISK] = "_@_add disks",
		[OPT_COMPLETE_COMMAND] = "_normal",
	};

	if (kind == OPT_COMPLETE_WORDS)
		fprintf(to, "(%s)", words);
	else
		write_template(tool, actions[kind], to);
}

/* @length bytes of @text inside '...[...]' of a zsh specification. */
static void write_zsh_text(const char *text, int length, FILE *to)
{
	for (int i = 0; i < length; i++) {
		if (text[i] == '\'')
			fputs("'\\'", to);
		else if (strchr("[]:\\", text[i]))
			fputc('\\', to);
		fputc(text[i], to);
	}
}

static void write_zsh_option(const struct tool *tool, const struct option_row *row, FILE *to)
{
	const char *equals = !row->arg ? "" : opt_may_have_arg(row) ? "=-" : "=";
	char letter = opt_letter(row);

	fputs(" \\\n\t\t", to);
	if (letter)
		fprintf(to, "'(-%c --%s)'{-%c%s,--%s%s}'[", letter, row->name, letter,
			!row->arg		? ""
			: opt_may_have_arg(row) ? "-"
						: "+",
			row->name, equals);
	else
		fprintf(to, "'--%s%s[", row->name, equals);
	write_zsh_text(row->help, opt_first_sentence(row->help), to);
	fputc(']', to);
	if (row->arg) {
		fputs(opt_may_have_arg(row) ? "::" : ":", to);
		write_zsh_text(row->arg, (int)strlen(row->arg), to);
		fputc(':', to);
		write_zsh_kind(tool, row->complete, row->words, to);
	}
	fputc('\'', to);
}

void opt_write_zsh(const struct tool *tool, FILE *to)
{
	const struct operand_row *o = tool->operands;
	const struct option_row *row;

	fprintf(to, "#compdef %s\n", tool->name);
	write_header(tool, "zsh", sh_helpers, to);
	if (needs_store(tool))
		write_template(tool,
			       "_@_add()\n"
			       "{\n"
			       "\tlocal kind=$1\n"
			       "\tshift\n"
			       "\tcompadd \"$@\" -- ${(f)\"$(_@_$kind)\"}\n"
			       "}\n\n",
			       to);
	write_template(tool, "_@()\n{\n\t_arguments -s -S", to);
	for (unsigned i = 0; (row = opt_row(tool, i)); i++)
		write_zsh_option(tool, row, to);
	for (int i = 0; o && o[i].name; i++) {
		bool last = repeats(&o[i]);

		if (last && o[i].complete == OPT_COMPLETE_COMMAND)
			fputs(" \\\n\t\t'*::", to);
		else if (last)
			fputs(" \\\n\t\t'*:", to);
		else
			fprintf(to, " \\\n\t\t'%d:%s", i + 1, o[i].name[0] == '[' ? ":" : "");
		write_zsh_text(o[i].name, (int)strlen(o[i].name), to);
		fputc(':', to);
		write_zsh_kind(tool, o[i].complete, o[i].words, to);
		fputc('\'', to);
		if (last)
			break;
	}
	write_template(tool, "\n}\n\n_@ \"$@\"\n", to);
}

static void write_fish_kind(const struct tool *tool, enum opt_complete kind, const char *words,
			    FILE *to)
{
	static const char *const offers[] = {
		[OPT_COMPLETE_NONE] = "-x",
		[OPT_COMPLETE_FILE] = "-r -F",
		[OPT_COMPLETE_DIR] = "-x -a '(__fish_complete_directories)'",
		[OPT_COMPLETE_DOMAIN] = "-x -a '(_@_domains)'",
		[OPT_COMPLETE_DISK] = "-x -a '(_@_disks)'",
		[OPT_COMPLETE_COMMAND] = "-x -a '(__fish_complete_subcommand)'",
	};

	if (kind == OPT_COMPLETE_WORDS)
		fprintf(to, "-x -a '%s'", words);
	else
		write_template(tool, offers[kind], to);
}

static void write_fish_option(const struct tool *tool, const struct option_row *row, FILE *to)
{
	fprintf(to, "complete -c %s", tool->name);
	if (opt_letter(row))
		fprintf(to, " -s %c", opt_letter(row));
	fprintf(to, " -l %s ", row->name);
	if (opt_needs_arg(row)) {
		write_fish_kind(tool, row->complete, row->words, to);
		fputc(' ', to);
	}
	fputs("-d '", to);
	for (int i = 0; i < opt_first_sentence(row->help); i++) {
		if (strchr("'\\", row->help[i]))
			fputc('\\', to);
		fputc(row->help[i], to);
	}
	fputs("'\n", to);
}

/* fish offers what any operand may be, wherever it stands. */
void opt_write_fish(const struct tool *tool, FILE *to)
{
	const struct operand_row *o = tool->operands;
	const struct option_row *row;
	bool files = false;

	write_header(tool, "fish", fish_helpers, to);
	for (int i = 0; o && o[i].name; i++)
		files |= o[i].complete == OPT_COMPLETE_FILE;
	if (!files)
		fprintf(to, "complete -c %s -f\n", tool->name);
	for (unsigned i = 0; (row = opt_row(tool, i)); i++)
		write_fish_option(tool, row, to);
	for (int i = 0; o && o[i].name; i++) {
		if (o[i].complete == OPT_COMPLETE_NONE || o[i].complete == OPT_COMPLETE_FILE)
			continue;
		fprintf(to, "complete -c %s ", tool->name);
		write_fish_kind(tool, o[i].complete, o[i].words, to);
		fputc('\n', to);
	}
}
