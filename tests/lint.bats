#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
load helper

setup()
{
	test_setup
	cd "$ROOT" || return
}

# Files of the tree, without what is built.
sources()
{
	find . -path './build*' -prune -o -path ./.git -prune -o -type f "$@" -print
}

@test "shellcheck" {
	mapfile -t scripts < <(sources -exec grep -Iqm1 '^#!.*sh$' {} \;)
	shellcheck -x "${scripts[@]}"
	# Words have defaults for all arguments (2119, 2120), scripts to be run in the guest are quoted (2016),
	# bats and tests/xen/runner.sh set variables (2153, 2154) and make subshells (2030, 2031), variables may be
	# for whoever is called (2034); 2001, 2002 are taste.
	shellcheck -x -e SC2119,SC2120,SC2016,SC2153,SC2154,SC2030,SC2031,SC2034,SC2001,SC2002 \
		tests/*.bats tests/*/*.bats tests/helper.bash tests/xen/*.sh tests/xen/scenarios/*.sh
}

@test "clang-format" {
	mapfile -t files < <(sources -name '*.[ch]')
	clang-format --dry-run -Werror "${files[@]}"
}

# The list macros of <sys/queue.h> are read as code; other system headers need not be. Leaks are for
# AddressSanitizer to find: cppcheck does not see that the cleanup attribute releases, or who.
@test "cppcheck" {
	local queue
	queue=$(echo '#include <sys/queue.h>' | ${CC-cc} -E -M -x c - | grep -om1 '/[^ ]*sys/queue.h')
	cppcheck --quiet --error-exitcode=1 --std=c11 --enable=warning,performance,portability \
		--inline-suppr --suppress=missingIncludeSystem --include="$queue" \
		--suppress=normalCheckLevelMaxBranches --suppress=memleak --suppress=resourceLeak \
		-I lib -I "$BUILD" cmd lib
}

@test "manual pages: mandoc finds nothing to warn of" {
	mandoc -T lint -W warning man/*.[1-9]
}

@test "each source begins with its licence" {
	for file in $(sources -name '*.[ch]'); do
		head -1 "$file" | grep -q 'SPDX-License-Identifier: MIT' || fail "$file"
	done
	for file in $(sources -name '*.bats') tests/run tests/need tests/demo man/generate; do
		head -2 "$file" | grep -q 'SPDX-License-Identifier: MIT' || fail "$file"
	done
}
