#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# sim: --domains 2
#
# One call fails, the 1st, the 2nd ... of all that a tool makes in a scenario: hypervisor, libaio, XenStore,
# memory. What follows is an error answer or a clean refusal, never a leak, a hang, a crash or wrong data;
# and a server that was ready stays, and serves the next guest. FAIL_POINTS is how many of the calls are
# tried in each test, spread evenly; FAIL_POINTS=all is what `make fail-nth` does.
load helper

LIMIT=20 # seconds: what takes longer hangs

setup()
{
	test_setup
	make_image 1M
	attempt=0
}

# tool COMMAND [ARGUMENT...]: its status, in STATUS. Hangs, crashes and what a sanitizer found fail.
tool()
{
	STATUS=0
	timeout -k 5 "$LIMIT" "$@" >>"$T/tool.log" 2>&1 || STATUS=$?
	sound "$STATUS" "$*"
}

sound()
{
	[[ $1 -ne 124 && $1 -ne 137 ]] || fail "$WHERE: $2 hangs"
	[[ $1 -le 9 ]] || fail "$WHERE: $2 ended with status $1: $(tail -n 50 "$T"/*.log)"
}

# The calls of a class that the last process called COMMAND has made.
calls_of()
{
	local names
	case $2 in
	any) names=^xen ;;
	aio) names=^io_ ;;
	xenstore) names=^xs_ ;;
	memory) names='alloc|memalign|mmap|strdup' ;;
	esac
	tap-sim --calls --json |
		jq --arg command "$1" --arg names "$names" '[.items[] | select(.command == $command)] | last |
			[.calls | to_entries[] | select(.key | test($names)) | .value] | add // 0'
}

# points TOTAL: those of the calls that are tried.
points()
{
	local stride=1
	[[ ${FAIL_POINTS-12} == all ]] || stride=$((($1 + ${FAIL_POINTS-12} - 1) / ${FAIL_POINTS-12}))
	[[ $1 -gt 0 ]] || return 0
	seq 1 "$((stride > 0 ? stride : 1))" "$1"
}

# each_call COMMAND CLASS SCENARIO [ARGUMENT...]: SCENARIO is given RULE, and run in a folder of its own.
each_call()
{
	local command=$1 class=$2 total n
	shift 2

	RULE=$class:1000000000
	WHERE="no fault"
	"$@"
	[[ $GOOD == yes ]] || fail "without a fault it does not work: $(tail -n 50 "$T"/*.log)"
	total=$(calls_of "$command" "$class")
	[[ $total -gt 0 ]] || fail "$command makes no call of class $class"
	for n in $(points "$total"); do
		RULE=$class:$n
		WHERE="$command, call $n of $total ($class)"
		"$@"
		assert_nothing_held || fail "$WHERE"
	done
	echo "# $command: $(points "$total" | wc -l) of $total calls of class $class" >&3
}

# Starts tap-serve with the fault. READY says whether it came so far.
serve_failing()
{
	local ready=$T/ready.$((attempt += 1)) status=0

	mkfifo "$ready"
	timeout -k 5 $((LIMIT * 3)) env TAP_SIM_FAIL="$RULE" tap-serve --ready-fd 9 "$@" web1/xvda \
		9>"$ready" >>"$T/serve.log" 2>&1 3>&- &
	SERVER=$!
	background+=("$SERVER")
	read -r -t "$LIMIT" -N 1 _ <"$ready" || status=$?
	rm "$ready"
	[[ $status -le 128 ]] || fail "$WHERE: tap-serve is neither ready nor gone"
	READY=$([[ $status -eq 0 ]] && echo yes || echo no)
}

end_server()
{
	local status=0

	disown_background "$SERVER"
	[[ $READY == no ]] || kill -TERM "$SERVER" || true
	wait "$SERVER" || status=$?
	sound "$status" tap-serve
	[[ $READY == no || $status -eq 0 ]] ||
		fail "$WHERE: the server was ready, and ended with $status: $(tail -n 20 "$T/serve.log")"
	[[ $READY == yes || $status -ne 0 ]] || fail "$WHERE: the server was never ready, and says nothing"
}

# A guest's operations: each is answered, right or with an error; or the disk says in XenStore why it goes
# no further. DONE says whether all went well.
use_disk()
{
	local error=/local/domain/0/error/backend/tap/1/51712/error watcher watching killer

	xenstore-rm "$error" 2>/dev/null || true
	timeout -k 10 "$LIMIT" env TAP_SIM_DOMID=1 tap-front --timeout=4s --ops=30 --range=512K --seed=7 \
		verify xvda >>"$T/tool.log" 2>&1 3>&- &
	FRONT=$!
	exec {watcher}< <(exec xenstore-watch "$error" 2>&1)
	watching=$!
	while read -r -u "$watcher" _; do
		! xenstore-exists "$error" || kill -TERM "$FRONT" 2>/dev/null || true
	done 3>&- &
	killer=$!
	STATUS=0
	wait "$FRONT" || STATUS=$?
	kill "$watching"
	wait "$killer" || true
	exec {watcher}<&-
	[[ $STATUS -ne 143 ]] || STATUS=6 # told to end, as above
	sound "$STATUS" tap-front
	[[ $STATUS -ne 1 ]] || fail "$WHERE: wrong data: $(tail -n 5 "$T/tool.log")"
	[[ $STATUS -ne 5 ]] || grep -q cannot "$T/serve.log" || fail "$WHERE: not connected, and not a word why"
	DONE=$([[ $STATUS -eq 0 ]] && echo yes || echo no)
}

# Attached, served with one fault, used; a guest that meets the fault is not the last. Detached.
serve_and_use()
{
	GOOD=no
	rm -f "$T"/*.log
	tap-attach web1 disk.img >/dev/null
	serve_failing "$@"
	if [[ $READY == yes ]]; then
		use_disk
		[[ $DONE == no ]] || GOOD=yes
		use_disk
		[[ $DONE == yes ]] || use_disk
		[[ $DONE == yes ]] || fail "$WHERE: no guest is served any more ($STATUS): $(tail -n 20 "$T"/*.log)"
	fi
	end_server
	tap-attach -d web1/xvda >/dev/null || fail "$WHERE: cannot be detached"
}

# Attached and detached by a tool that fails once: what is refused leaves no trace.
attach_failing()
{
	GOOD=no
	rm -f "$T"/*.log
	tool env TAP_SIM_FAIL="$RULE" tap-attach web1 disk.img
	if [[ $STATUS -eq 0 ]]; then
		GOOD=yes
		tap-attach -d web1/xvda >/dev/null || fail "$WHERE: cannot be detached"
	fi
	no_disk_left
}

detach_failing()
{
	GOOD=no
	rm -f "$T"/*.log
	tap-attach web1 disk.img >/dev/null
	tool env TAP_SIM_FAIL="$RULE" tap-attach -d web1/xvda
	[[ $STATUS -ne 0 ]] || GOOD=yes
	# All of it or nothing: what is still there can be detached.
	if [[ $STATUS -ne 0 ]] && xenstore-exists /local/domain/0/backend/tap/1/51712; then
		tap-attach -d web1/xvda >/dev/null || fail "$WHERE: cannot be detached any more"
	fi
	no_disk_left
}

# A guest that fails once: an error, or all its data; and the next one has the disk as it should be.
front_failing()
{
	GOOD=no
	rm -f "$T"/*.log
	tool env TAP_SIM_FAIL="$RULE" TAP_SIM_DOMID=1 tap-front --timeout=4s --ops=30 --range=512K --seed=7 "$@" \
		verify xvda
	[[ $STATUS -ne 1 ]] || fail "$WHERE: wrong data: $(tail -n 5 "$T/tool.log")"
	if [[ $STATUS -eq 0 ]]; then
		GOOD=yes
		return
	fi
	use_disk
	[[ $DONE == yes ]] || fail "$WHERE: the next guest gets nothing ($STATUS): $(tail -n 20 "$T"/*.log)"
}

# each_call_of_front CLASS [OPTION...]: with one server for all of them.
each_call_of_front()
{
	tap-attach web1 disk.img >/dev/null
	serve web1/xvda
	each_call tap-front "$1" front_failing "${@:2}"
}

no_disk_left()
{
	# A directory without a disk in it is no trace of one.
	! xenstore-exists /local/domain/0/backend/tap/1/51712 || fail "$WHERE: the backend's nodes are left"
	! xenstore-exists /local/domain/1/device/vbd/51712 || fail "$WHERE: the frontend's nodes are left"
}

# In a build for coverage the counting itself allocates, at the end of each process.
need_memory_of_its_own()
{
	[[ ! -e $BUILD/lib/num.gcno ]] || skip 'libgcov does not survive a malloc() that fails'
}

@test "serve: hypervisor calls, copying" {
	each_call tap-serve any serve_and_use --data-path=copy
}

@test "serve: hypervisor calls, mapping" {
	each_call tap-serve any serve_and_use --data-path=map
}

@test "serve: libaio" {
	each_call tap-serve aio serve_and_use
}

@test "serve: XenStore" {
	each_call tap-serve xenstore serve_and_use
}

@test "serve: memory" {
	need_memory_of_its_own
	each_call tap-serve memory serve_and_use --data-path=map
}

@test "attach: XenStore" {
	each_call tap-attach xenstore attach_failing
}

@test "attach: memory" {
	need_memory_of_its_own
	each_call tap-attach memory attach_failing
}

@test "detach: XenStore" {
	each_call tap-attach xenstore detach_failing
}

@test "detach: memory" {
	need_memory_of_its_own
	each_call tap-attach memory detach_failing
}

@test "front: XenStore" {
	each_call_of_front xenstore
}

@test "front: hypervisor calls" {
	each_call_of_front any --fresh-grants --indirect=32
}

@test "front: memory" {
	need_memory_of_its_own
	each_call_of_front memory
}
