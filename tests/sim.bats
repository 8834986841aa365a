#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# tap-sim as a program: what it starts, what it leaves behind, and the guest's view of XenStore. Each
# test starts simulators of its own, in a TMPDIR that must be empty at its end.
# shellcheck disable=SC2016 # the scripts in quotes are for the shells inside
load helper

setup()
{
	test_setup
	export TMPDIR=$T/tmp BUILD
	mkdir "$TMPDIR"
}

teardown()
{
	test_teardown
	nothing_left
}

# No folder, and no process that was started in one.
nothing_left()
{
	local left
	left=$(ls -A "$TMPDIR")
	[[ -z $left ]] || fail "left in TMPDIR: $left"
	left=$(grep -lsz "^TAP_SIM_DIR=$TMPDIR/" /proc/[0-9]*/environ || true)
	[[ -z $left ]] || fail "still running: $left"
}

# start_sim SCRIPT [BEFORE]: a simulator whose COMMAND says that it is there between BEFORE and SCRIPT.
# SIM is tap-sim's pid, COMMAND that of the script's shell.
start_sim()
{
	local ready=$T/ready
	mkfifo "$ready"
	READY=$ready in_background tap-sim bash -c "${2-}
		echo \$\$ >\$READY
		$1"
	SIM=$PID
	read -r COMMAND <"$ready" || fail "no simulator"
	rm "$ready"
}

# Pids of a simulator's processes. The hypervisor is tap-sim's child, xenstored the hypervisor's.
hypervisor_of()
{
	ps -o pid= --ppid "$1" | tr -d ' '
}

xenstored_of()
{
	ps -o pid=,comm= --ppid "$(hypervisor_of "$1")" | awk '$2 == "xenstored" { print $1 }'
}

@test "the status of COMMAND is handed on" {
	try tap-sim sh -c 'exit 37'
	status_is 37
	try tap-sim true
	status_is 0
	stdout_is ''
	stderr_is ''
}

@test "a COMMAND that a signal ends: 128 + the signal" {
	try tap-sim sh -c 'kill -KILL $$'
	status_is 137
	try tap-sim sh -c 'kill -TERM $$'
	status_is 143
}

@test "without a COMMAND: the shell" {
	SHELL=/bin/sh try tap-sim <<<'xenstore-read domid; exit 5'
	status_is 5
}

@test "options of COMMAND are its own" {
	try tap-sim --domains 1 echo --held
	status_is 0
	stdout_is --held
}

@test "a COMMAND that does not exist: 3" {
	try tap-sim /no/such/program
	status_is 3
	stderr_is "tap-sim: cannot run '/no/such/program': No such file or directory"
}

@test "a simulator in a simulator is refused: 4" {
	try tap-sim tap-sim true
	status_is 4
	stderr_has 'already in a simulator'
}

@test "outside of a simulator there is nothing to ask: 6" {
	for question in --held --calls --destroy=1; do
		try tap-sim "$question"
		status_is 6
		stderr_has 'not in a simulator'
		stderr_has 'tap-sim COMMAND'
	done
}

@test "no xenstored: 3, and what to install" {
	TAP_SIM_XENSTORED=/no/xenstored try tap-sim true
	status_is 3
	stderr_has "cannot start '/no/xenstored'"
}

@test "a xenstored that does not come up is told" {
	TAP_SIM_XENSTORED=/bin/false try tap-sim true
	status_is 9
	stderr_has "'/bin/false' ended"
}

@test "the domains are there by id and name" {
	try tap-sim --domains 3 sh -c '
		for d in 0 1 2 3; do
			xenstore-read /local/domain/$d/domid /local/domain/$d/name
			TAP_SIM_DOMID=$d xenstore-read domid
		done
		xenstore-list /local/domain'
	status_is 0
	stdout_is "$(printf '%s\n' 0 Domain-0 0 1 web1 1 2 web2 2 3 web3 3 0 1 2 3)"
}

@test "a guest has the rights that libxl gives it" {
	try tap-sim sh -c '
		export TAP_SIM_DOMID=1
		may() { xenstore-write "$1" x 2>/dev/null && echo "may $1" || echo "may not $1"; }
		may data/a
		may control/shutdown
		may name
		may device/vbd
		may /local/domain/2/data/a
		may /local/domain/0/backend
		xenstore-read /local/domain/1/name
		xenstore-read /libxl/1 2>/dev/null || echo no libxl'
	status_is 0
	stdout_is 'may data/a
may control/shutdown
may not name
may not device/vbd
may not /local/domain/2/data/a
may not /local/domain/0/backend
web1
no libxl'
}

@test "guests write at the same time through one ring" {
	try tap-sim bash -c '
		for i in {1..30}; do
			TAP_SIM_DOMID=1 xenstore-write "data/$i" "$i" &
			TAP_SIM_DOMID=2 xenstore-write "data/$i" "$i" &
		done
		wait
		for i in {1..30}; do
			[[ $(TAP_SIM_DOMID=1 xenstore-read "data/$i") == "$i" ]] || exit 1
			[[ $(TAP_SIM_DOMID=2 xenstore-read "data/$i") == "$i" ]] || exit 1
		done'
	status_is 0
}

@test "values longer than the ring reach a guest and come from it" {
	try tap-sim bash -c '
		long=$(printf "%02000d" 7) longer=$(printf "%03900d" 8)
		TAP_SIM_DOMID=1 xenstore-write data/long "$long" || exit 1
		[[ $(TAP_SIM_DOMID=1 xenstore-read data/long) == "$long" ]] || exit 2
		[[ $(xenstore-read /local/domain/1/data/long) == "$long" ]] || exit 3
		xenstore-write /local/domain/1/longer "$longer" || exit 4
		[[ $(TAP_SIM_DOMID=1 xenstore-read longer) == "$longer" ]] || exit 5'
	status_is 0
}

@test "a watch in a guest fires, and is gone with its process" {
	start_sim '
		mkfifo events
		for i in {1..130}; do
			TAP_SIM_DOMID=1 xenstore-watch -n 1 data/w >/dev/null || exit 4
		done
		TAP_SIM_DOMID=1 xenstore-watch -n 2 data/w >events &
		watcher=$!
		exec 3<events
		read -r first <&3
		TAP_SIM_DOMID=1 xenstore-write data/w/below x
		read -r second <&3
		wait $watcher && echo "$first $second" >result'
	wait "$SIM"
	disown_background "$SIM"
	[[ $(cat "$T/result") == 'data/w data/w/below' ]]
}

@test "what is held is listed, and nothing when nothing is" {
	try tap-sim bash -c 'tap-sim --held; echo $?; tap-sim -J --held; "$0" held; tap-sim --held' \
		"$BUILD/sim/holder"
	status_is 0
	stdout_matches '^0
\{"version":1,"tool":"tap-sim","items":\[\]\}
port   domain 0  pid [0-9]+  holder  port [0-9]+ bound to port [0-9]+ of domain 1
grant  domain 0  pid [0-9]+  holder  maps 3 pages of domain 1 from ref [0-9]+ on, read-only
port   domain 1  pid [0-9]+  holder  port [0-9]+ bound to port [0-9]+ of domain 0$'
}

@test "calls are counted for each process, ended ones too" {
	try tap-sim bash -c '"$0" held >/dev/null; "$0" held >/dev/null; tap-sim --json --calls' \
		"$BUILD/sim/holder"
	status_is 0
	json_is '[.items[] | select(.command == "holder")] | length' 2
	json_is '[.items[] | select(.command == "holder")][1].calls.xengnttab_map_domain_grant_refs' 1
	json_is '[.items[] | select(.command == "holder")][1].calls.xenevtchn_open' 2
	json_is '[.items[] | select(.command == "holder")][1].domid' 1
}

@test "a process that made no call has no counters: 3" {
	try tap-sim bash -c 'tap-sim --calls=$$'
	status_is 3
	stderr_has 'made no call'
}

@test "the Nth call fails in each process that is told so" {
	try tap-sim env TAP_SIM_FAIL=xenevtchn_open:2:EMFILE bash -c '"$0" held; "$0" held' \
		"$BUILD/sim/holder"
	status_is 1
	stderr_is "holder: xenevtchn_open: Too many open files
holder: xenevtchn_open: Too many open files"
}

@test "a TAP_SIM_FAIL that makes no sense is refused" {
	for rule in xenevtchn_open xenevtchn_open:0 no_such_call:1 xenevtchn_open:1:EFOO any:1:; do
		TAP_SIM_FAIL=$rule try tap-sim "$BUILD/sim/holder" held
		status_is 2
		stderr_is "tap-sim: TAP_SIM_FAIL: cannot understand '$rule': want NAME:N[:ERROR]"
	done
}

@test "a destroyed domain is gone, and others let go of its pages later" {
	try tap-sim "$BUILD/sim/holder" destroyed
	status_is 0
	try tap-sim bash -c 'tap-sim --destroy web2 && xenstore-list /local/domain && tap-sim --destroy 2'
	status_is 3
	stdout_is $'0\n1'
	try tap-sim tap-sim --destroy 0
	status_is 6
	try tap-sim bash -c 'TAP_SIM_DOMID=2 sleep 1000 & tap-sim --destroy 2; TAP_SIM_DOMID=2 xenstore-read domid'
	status_is 1
}

@test "daemons that COMMAND leaves are asked to end, then killed" {
	mkfifo up up2
	try tap-sim bash -c '
		setsid bash -c "trap \"echo >asked; exit\" TERM; echo >up; sleep 1000 & wait" &
		read -r _ <up
		setsid bash -c "trap \"\" TERM; echo >up2; exec sleep 1001" &
		read -r _ <up2'
	status_is 0
	[[ -e asked ]]
}

@test "COMMAND is in the process group of tap-sim: it may use the terminal" {
	try tap-sim sh -c 'ps -o pgid= -p $$'
	status_is 0
	stdout_is "$(ps -o pgid= -p "$BASHPID")"
}

@test "SIGTERM goes to COMMAND" {
	start_sim 'sleep 1000 & wait' 'trap "echo told >told; exit 19" TERM'
	disown_background "$SIM"
	kill -TERM "$SIM"
	wait "$SIM" || status=$?
	[[ $status -eq 19 ]]
	[[ $(cat "$T/told") == told ]]
}

@test "COMMAND killed: nothing is left" {
	start_sim 'setsid sleep 1000 & sleep 1001'
	disown_background "$SIM"
	kill -KILL "$COMMAND"
	wait "$SIM" || status=$?
	[[ $status -eq 137 ]]
}

@test "the hypervisor killed: told, and nothing is left" {
	start_sim 'setsid sleep 1000 & sleep 1001'
	disown_background "$SIM"
	kill -KILL "$(hypervisor_of "$SIM")"
	wait "$SIM" || status=$?
	[[ $status -eq 9 ]]
	grep -q 'hypervisor was killed' "$T/background.log"
}

@test "xenstored killed: XenStore calls fail in dom0 and in guests, and nothing is left" {
	mkfifo go
	start_sim '
		mkfifo connected
		"$BUILD/sim/holder" connected >connected &
		read -r _ <connected
		echo >go
		wait $! || exit 1
		xenstore-read domid && exit 2
		TAP_SIM_DOMID=1 xenstore-read domid && exit 3
		exit 33'
	disown_background "$SIM"
	read -r _ <"$T/go"
	kill -KILL "$(xenstored_of "$SIM")"
	wait "$SIM" || status=$?
	[[ $status -eq 33 ]]
}

@test "tap-sim killed: nothing is left" {
	start_sim 'setsid sleep 1000 & sleep 1001'
	disown_background "$SIM"
	hypervisor=$(hypervisor_of "$SIM")
	kill -KILL "$SIM"
	wait "$SIM" || status=$?
	[[ $status -eq 137 ]]
	timeout 20 tail --pid="$hypervisor" -f /dev/null
}

@test "tap-sim and COMMAND killed as one process group: nothing is left" {
	set -m
	start_sim 'setsid sleep 1000 & sleep 1001'
	disown_background "$SIM"
	hypervisor=$(hypervisor_of "$SIM")
	kill -KILL -- "-$SIM"
	wait "$SIM" || status=$?
	[[ $status -eq 137 ]]
	timeout 20 tail --pid="$hypervisor" -f /dev/null
}
