#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
load helper

tools()
{
	basename -s .c -a "$ROOT"/cmd/tap-*.c
}

# A tool where there is neither Xen nor a simulator.
without_xen()
{
	env -u LD_PRELOAD -u TAP_SIM_DIR -u TAP_SIM_DOMID -u XENSTORED_PATH "$@"
}

@test "what is generated is what is committed" {
	mkdir generated
	cp -r "$ROOT/man" before
	"$ROOT/man/generate" generated
	rm before/generate
	diff -r before generated/man || fail "run make docs"
	diff -r "$ROOT/completions" generated/completions || fail "run make docs"
}

@test "each tool has a page, with what is generated in it" {
	for tool in $(tools); do
		page=$(compgen -G "$ROOT/man/$tool.[1-9]") || fail "$tool has no page"
		for part in '.\" generated: OPTIONS' '.\" generated: EXIT STATUS'; do
			grep -qxF "$part" "$page" || fail "$page has no line $part"
		done
		grep -q '^\.Sh EXAMPLES' "$page" || fail "$page has no EXAMPLES"
	done
}

@test "each page's EXAMPLES are run by a test" {
	for page in "$ROOT"/man/*.[1-9]; do
		grep -q '^\.Sh EXAMPLES' "$page" || continue
		grep -qw "examples ${page##*/}" "$ROOT/tests/examples.bats" ||
			fail "examples.bats does not run those of ${page##*/}"
	done
}

@test "--help and --version go to stdout and need no Xen" {
	for tool in $(tools); do
		for option in --help --version; do
			try without_xen "$tool" "$option"
			status_is 0
			stdout_has "$tool"
			stderr_is ''
		done
	done
}

@test "--help shows each option of the table" {
	for tool in $(tools); do
		try without_xen "$tool" --help
		options=$("$tool" --generate=bash | grep -o "compgen -W '-[^']*'" | grep -o -- '--[a-z-]*')
		for option in $options; do
			stdout_has "$option"
		done
	done
}

@test "a wrong option is a usage error with a hint, and needs no Xen" {
	for tool in $(tools); do
		try without_xen "$tool" --no-such-option
		status_is 2
		stdout_is ''
		stderr_is "$tool: unknown or ambiguous option '--no-such-option'
$tool: try '$tool --help'"
	done
}

@test "output that cannot be written is an error" {
	for tool in $(tools); do
		try without_xen bash -c "$tool --help >/dev/full"
		status_is 9
		stderr_has "cannot write to standard output"
	done
}

@test "the completions are good bash" {
	for file in "$ROOT"/completions/bash/*; do
		bash -n "$file"
		shellcheck -s bash "$file"
	done
}

@test "the completions are good zsh" {
	for file in "$ROOT"/completions/zsh/*; do
		zsh -n "$file"
	done
}

@test "the completions are good fish" {
	for file in "$ROOT"/completions/fish/*; do
		fish --no-execute "$file"
	done
}

@test "an option that takes a number or a time names itself when it is given neither" {
	local tool option tried=0
	for tool in $(tools); do
		for option in $("$tool" --help | sed -nE 's/^ .*(--[a-z-]+)=(N|TIME)( .*)?$/\1/p'); do
			try "$tool" "$option=x"
			status_is 2
			stderr_has "option '$option': 'x' is not a "
			tried=$((tried + 1))
		done
	done
	[[ $tried -gt 12 ]] || fail "$tried options only"
}
