# SPDX-License-Identifier: MIT
# The words that the tests are written in. A test file begins with
#
#	# sim: --domains 2      (only when it needs the simulator: tests/run starts one for the file)
#	load helper
#
# and each of its tests has a folder of its own to work in (it starts there), ends every server that
# it started, and fails when something is still mapped or bound after that. A file with a setup() or
# teardown() of its own calls test_setup and test_teardown in them.
# shellcheck shell=bash disable=SC2154 # status, output, stderr are bats' own

bats_require_minimum_version 1.5.0
bats_load_library bats-support
bats_load_library bats-assert

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
BUILD=${TAPTOOLS_BUILD-$ROOT/${B-build}}
[[ :$PATH: == *:$BUILD:* ]] || PATH=$BUILD:$PATH

setup()
{
	test_setup
}

teardown()
{
	test_teardown
}

test_setup()
{
	T=$BATS_TEST_TMPDIR
	cd "$T" || return
	export TAPTOOLS_RUNDIR=$T/run
	background=()
}

# Each failure is collected: bats runs this where a command that fails does not end it.
test_teardown()
{
	local bad=0

	if [[ -z ${BATS_TEST_COMPLETED-} ]]; then
		show_logs
		kill_all
	fi
	stop_all || bad=1
	if [[ -n ${TAP_SIM_DIR-} ]]; then
		assert_nothing_held || bad=1
		forget_disks
	fi
	return "$bad"
}

# What servers said, where a test failed.
show_logs()
{
	local log
	for log in "$T"/*.log; do
		[[ ! -s $log ]] || sed "s/^/${log##*/}: /" "$log"
	done
}

# The next test of the file finds a XenStore without disks, whatever this one left.
forget_disks()
{
	local domain
	xenstore-rm /local/domain/0/backend 2>/dev/null || true
	for domain in $(xenstore-list /local/domain); do
		xenstore-rm "/local/domain/$domain/device/vbd" 2>/dev/null || true
	done
}

# make_image SIZE [FILE]: random bytes in disk.img.
make_image()
{
	head -c "$1" /dev/urandom >"${2-disk.img}"
}

# attach [DOM[/VDEV] IMAGE] [OPTION...]: web1 gets disk.img; DISK is the address.
attach()
{
	[[ $# -gt 0 ]] || set -- web1 disk.img
	DISK=$(tap-attach "$@")
}

# serve [ARGUMENT...]: serves DISK in the background and returns when it is ready; SERVER is the pid.
serve()
{
	local ready=$T/ready.$BASHPID.${#background[@]}

	[[ $# -gt 0 ]] || set -- "$DISK"
	mkfifo "$ready"
	tap-serve --ready-fd 9 "$@" 9>"$ready" >>"$T/serve.log" 2>&1 3>&- &
	SERVER=$!
	background+=("$SERVER")
	read -r -N 1 _ <"$ready" || fail "tap-serve $* was not ready: $(cat "$T/serve.log")"
	rm "$ready"
}

# front ARGUMENT...: tap-front in the guest (GUEST, or domain 1).
front()
{
	TAP_SIM_DOMID=${GUEST-1} tap-front "$@"
}

# hold [OPTION...]: a frontend that stays connected in the background; HOLD is its pid.
hold()
{
	mkfifo hold.ready
	TAP_SIM_DOMID=${GUEST-1} tap-front "$@" --ready-fd 9 hold xvda 9>hold.ready >>hold.log 2>&1 3>&- &
	HOLD=$!
	background+=("$HOLD")
	read -r -N 1 _ <hold.ready || fail "tap-front hold did not connect: $(cat hold.log)"
	rm hold.ready
}

# in_background COMMAND...: PID is its pid. It is told to end at the end of the test.
in_background()
{
	# A function would run in a shell, and that shell's pid is not the tool's.
	[[ $1 != front ]] || set -- env "TAP_SIM_DOMID=${GUEST-1}" tap-front "${@:2}"
	"$@" >>"$T/background.log" 2>&1 3>&- &
	PID=$!
	background+=("$PID")
}

# wait_for_node PATH [VALUE]: until XenStore has the node (with that value); a watch, no polling.
wait_for_node()
{
	local event watcher
	exec {watcher}< <(exec xenstore-watch "$1" 2>&1)
	local pid=$!
	while read -r -u "$watcher" event; do # the first event comes at once
		if [[ $# -eq 1 ]] && xenstore-exists "$1"; then break; fi
		if [[ $# -eq 2 && $(xenstore-read "$1" 2>/dev/null) == "$2" ]]; then break; fi
	done
	kill "$pid"
	exec {watcher}<&-
	[[ -n $event ]] || fail "xenstore-watch $1 ended"
}

# Forget a background process: the test itself ends it.
disown_background()
{
	local pid
	local -a rest=()
	for pid in "${background[@]}"; do
		[[ $pid == "$1" ]] || rest+=("$pid")
	done
	background=("${rest[@]}")
}

# stop PID: asks it to end. Fails when it does not end well.
stop()
{
	local status=0
	disown_background "$1"
	kill -TERM "$1" 2>/dev/null || true
	wait "$1" || status=$?
	[[ $status -eq 0 ]] || fail "process $1 ended with status $status when told to stop"
}

# crash PID: SIGKILL, and gone.
crash()
{
	disown_background "$1"
	kill -KILL "$1"
	wait "$1" || true
}

# The last one first: a guest cannot close its disk without the server that was there before it.
stop_all()
{
	local bad=0 i

	for ((i = ${#background[@]} - 1; i >= 0; i--)); do
		stop "${background[i]}" || bad=1
	done
	return "$bad"
}

kill_all()
{
	local pid
	for pid in "${background[@]}"; do
		kill -KILL "$pid" 2>/dev/null || true
		wait "$pid" || true
	done
	background=()
}

assert_nothing_held()
{
	local held
	held=$(tap-sim --held) || fail "still held at the end:"$'\n'"$held"
}

# try COMMAND...: runs it, with stdout and stderr apart, for the checks below.
try()
{
	run --separate-stderr "$@"
}

# A chroot may have no /dev/pts.
need_terminal()
{
	script -qec true /dev/null >/dev/null 2>&1 || skip "no pseudo-terminals here"
}

# explain WHAT: fails with all that is known of the command.
explain()
{
	printf '%s\n' "-- $1" "status: $status" "stdout:" "$output" "stderr:" "$stderr" "--" | fail
}

status_is()
{
	[[ $status -eq $1 ]] || explain "status is not $1"
}

stdout_is()
{
	[[ $output == "$1" ]] || explain "stdout is not: $1"
}

stderr_is()
{
	[[ $stderr == "$1" ]] || explain "stderr is not: $1"
}

stdout_has()
{
	[[ $output == *"$1"* ]] || explain "stdout has no: $1"
}

stderr_has()
{
	[[ $stderr == *"$1"* ]] || explain "stderr has no: $1"
}

stdout_matches()
{
	[[ $output =~ $1 ]] || explain "stdout does not match: $1"
}

stderr_matches()
{
	[[ $stderr =~ $1 ]] || explain "stderr does not match: $1"
}

# json_is FILTER VALUE: what jq makes of stdout.
json_is()
{
	local value
	value=$(jq -rc "$1" <<<"$output") || explain "stdout is no JSON"
	[[ $value == "$2" ]] || explain "$1 is '$value', not '$2'"
}
