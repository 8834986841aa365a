#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# taptools-protocol(7) names the nodes that the code reads and writes, all of them and no other.
load helper

# Where nodes are read and written by name.
sources()
{
	ls "$ROOT"/lib/{attach.h,attach.c,backend-nodes.c,detach.c,disk.c,disk-nodes.c,front.c} \
		"$ROOT"/lib/{front-connect.c,front-nodes.c,inspect.c,offer.c,plan.c,resize.c} \
		"$ROOT"/lib/{rival.c,settle.c,stale.c,xenbus.c}
}

# Names of one word are common words, too: those count that a call reads or writes.
one_word()
{
	sources | xargs grep -ohE '(store_(read|write)[a-z_]*|plan_write|read_(text|flag|number)|NODE_IMAGE)\b[^;]*"[a-z]+"' |
		grep -oE '"[a-z][a-z]+"' | tr -d '"'
}

# What has a hyphen in it is a node, but for these words.
hyphenated()
{
	sources | xargs grep -ohE '"[a-z]+(-[a-z]+)+(%u)?"' | tr -d '"' |
		grep -vxE 'read-only|read-write|ring-order|(back|front)end-error'
}

in_code()
{
	{ one_word; hyphenated; } | sort -u
}

in_page()
{
	sed -n '/^\.Ss Nodes/,/^\.Ss States/s/^\.It \([a-z%-]*\) Ta .*/\1/p' \
		"$ROOT/man/taptools-protocol.7" | sort -u
}

@test "each node that the code knows is in the page, and no other" {
	in_code >code
	in_page >page
	[[ $(wc -l <code) -gt 40 ]]
	diff code page
}
