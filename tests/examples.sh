#!/bin/bash
# SPDX-License-Identifier: MIT
# Runs the EXAMPLES of a manual page, so that they stay true.
#
#   tests/examples.sh PAGE
#
# In the `.Bd -literal` blocks of EXAMPLES, a line that begins with "# " is a command; one that ends
# in a backslash goes on in the next line. A line `.\" setup: COMMAND` anywhere in the page is a
# command that prepares them. All of a page runs in one shell, in a simulator with domains web1 and
# web2, with a folder in place of /srv that holds web1.img and web2.img. Where the page shows a
# guest's prompt ("web1# "), the command runs in that domain. Any command that fails ends it.
set -euo pipefail

# The page's commands as a script on stdout.
script_of()
{
	awk '
	function unescape(text) {
		gsub(/\\-/, "-", text)
		gsub(/\\&/, "", text)
		gsub(/\\\(dq/, "\"", text)
		gsub(/\\e/, "\\", text)
		return text
	}
	function command(text) {
		go_on = text ~ /\\$/
		print text
	}
	/^\.\\" setup: / { command(substr($0, 12)); next }
	/^\.Sh / { examples = $0 ~ /EXAMPLES/ }
	!examples { next }
	/^\.Bd .*-literal/ { literal = 1; next }
	/^\.Ed/ { literal = 0; next }
	!literal { next }
	go_on { command(unescape($0)); next }
	/^# / { command(unescape(substr($0, 3))); next }
	/^web[0-9]+# / {
		text = unescape($0)
		domid = substr(text, 4, index(text, "#") - 4)
		command("TAP_SIM_DOMID=" domid " " substr(text, index(text, "#") + 2))
	}
	' "$1"
}

page=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/srv"
head -c 4M /dev/urandom >"$work/srv/web1.img"
head -c 4M /dev/urandom >"$work/srv/web2.img"
script_of "$page" | sed "s,/srv\>,$work/srv,g" >"$work/script"
[[ -s $work/script ]] || {
	echo "$page: its EXAMPLES have no command" >&2
	exit 1
}
cd "$work"
export TAPTOOLS_RUNDIR=$work/run
unset LD_PRELOAD TAP_SIM_DIR
tap-sim --domains 2 bash -euxo pipefail "$work/script" </dev/null
