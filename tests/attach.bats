#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# sim: --domains 3
# tap-attach: what it refuses, what it writes, how it waits, what it undoes.
load helper

BACK=/local/domain/0/backend/tap/1/51712
FRONT=/local/domain/1/device/vbd/51712

# All of XenStore that an attach touches, to compare before and after.
nodes()
{
	xenstore-ls -p /local/domain/0/backend 2>/dev/null || true
	for domain in 1 2; do
		xenstore-ls -p "/local/domain/$domain/device"
	done
	xenstore-ls /local/domain/0/error 2>/dev/null || true
}

# Runs tap-attach, which must fail with STATUS and change nothing.
refused()
{
	local before
	before=$(nodes)
	try tap-attach "${@:2}"
	status_is "$1"
	[[ $(nodes) == "$before" ]] || explain "it changed XenStore"
}

back()
{
	xenstore-read "$BACK/$1"
}

front_node()
{
	xenstore-read "$FRONT/$1"
}

# --- refusals ---------------------------------------------------------------------------------

@test "without Xen: 6, and the hint names tap-sim" {
	make_image 1M
	try env -u LD_PRELOAD -u TAP_SIM_DIR XENSTORED_PATH="$T/nothing" XENSTORED_RUNDIR="$T" \
		tap-attach web1 disk.img
	status_is 6
	stderr_has 'cannot connect to XenStore'
	stderr_has 'tap-sim'
}

@test "an unknown domain: 3, and those that there are" {
	make_image 1M
	refused 3 nobody disk.img
	stderr_has "no domain 'nobody'"
	stderr_has 'web1'
	refused 3 77 disk.img
	stderr_has 'no domain 77'
	refused 3 -d nobody/xvda
}

@test "an image that cannot be served is refused before anything is written" {
	refused 3 web1 missing.img
	stderr_has 'missing.img'
	mkdir folder
	refused 7 web1 folder
	stderr_has 'directory'
	touch empty.img
	refused 7 web1 empty.img
	stderr_has 'empty'
	head -c 1000 /dev/zero >odd.img
	refused 7 web1 odd.img
	stderr_has '512'
	make_image 1M
	chmod 000 disk.img
	if [[ $EUID -ne 0 ]]; then
		refused 7 web1 disk.img
		stderr_has 'Permission'
	fi
}

@test "the command line: 2, and a hint" {
	make_image 1M
	refused 2
	refused 2 web1
	stderr_has '--help'
	refused 2 web1 disk.img more
	refused 2 web1/xvd disk.img
	refused 2 'web1/' disk.img
	refused 2 -d
	refused 2 -d -l
	refused 2 -d -r web1/xvda
	refused 2 --force web1 disk.img
	refused 2 -l --dry-run
	refused 2 --stale web1
	refused 2 --timeout -1 web1 disk.img
	refused 2 --device-type floppy web1 disk.img
	refused 2 --kind a/b web1 disk.img
	refused 2 --sector-size 1024 web1 disk.img
	refused 2 --max-queues 17 web1 disk.img
	refused 2 --max-queues 0 web1 disk.img
	refused 2 --max-ring-order 5 web1 disk.img
	refused 2 --max-segments 257 web1 disk.img
	refused 2 -d --no-discard web1/xvda
	refused 2 -c web1/xvda 12Q
}

@test "over an existing disk: 4, naming it" {
	make_image 1M
	make_image 1M other.img
	attach web1/xvdb disk.img
	refused 4 web1/xvdb other.img
	stderr_has 'there is a disk web1/xvdb already'
	stderr_has 'Initialising(1)'
	stderr_has 'tap-attach -l'
}

@test "over a frontend whose backend is somewhere else: 4" {
	make_image 1M
	xenstore-write $FRONT/backend /local/domain/2/backend/vbd/1/51712
	refused 4 web1/xvda disk.img
}

@test "an image in use by another disk: 4, naming that disk, also under another name" {
	make_image 1M
	attach
	ln -s disk.img link.img
	ln disk.img hard.img
	for image in disk.img link.img hard.img "file:$T/disk.img"; do
		refused 4 web2 "$image"
		stderr_has 'in use by disk web1/xvda'
	done
	refused 4 -r web2 disk.img
}

@test "an image in use by a disk of another kind: 4" {
	make_image 1M
	xenstore-write /local/domain/0/backend/qdisk/2/51712/params "aio:$T/disk.img" \
		/local/domain/0/backend/qdisk/2/51712/mode w
	refused 4 web1 disk.img
	stderr_has 'web2/xvda'
	stderr_has 'qdisk'
}

@test "an image that a process has locked: 4, naming the process" {
	make_image 1M
	mkfifo held release
	# An OFD lock as qemu and tap-serve take it.
	python3 -c '
import fcntl, struct
f = open("disk.img", "r+b")
fcntl.fcntl(f, 37, struct.pack("hhqqi4x", fcntl.F_WRLCK, 0, 0, 0, 0))
open("held", "w").close()
open("release").read()
' 3>&- &
	locker=$!
	read -r _ <held || true
	refused 4 web1 disk.img
	stderr_has "$locker"
	echo >release
	wait "$locker"
	attach
}

@test "readers share an image, and so do disks that all ask for it" {
	make_image 1M
	attach -r web1 disk.img
	attach -r web2 disk.img
	refused 4 web3 disk.img
	refused 4 --share web3 disk.img
	make_image 1M both.img
	attach --share web1 both.img
	attach --share web2 both.img
	refused 4 web3 both.img
	[[ $(xenstore-read /local/domain/0/backend/tap/2/51728/taptools-shared) == 1 ]]
}

@test "null images are in nobody's way" {
	attach web1 null:1G
	attach web2 null:1G
	try tap-attach -l -J
	json_is '[.items[].size_bytes] | unique' '[1073741824]'
}

# --- what is written ---------------------------------------------------------------------------

@test "attach prints the address with the name as it was given" {
	make_image 1M a.img
	make_image 1M b.img
	try tap-attach web1 a.img
	status_is 0
	stdout_is web1/xvda
	stderr_is ''
	try tap-attach 1/51728 b.img
	stdout_is 1/xvdb
}

@test "the nodes and permissions are libxl's" {
	make_image 1M
	attach
	[[ $(xenstore-ls -p $BACK | sed 's/ [ .]*(/ (/') == "$(cat <<-END
		frontend = "$FRONT" (n0,r1)
		frontend-id = "1" (n0,r1)
		online = "1" (n0,r1)
		removable = "0" (n0,r1)
		bootable = "1" (n0,r1)
		state = "1" (n0,r1)
		dev = "xvda" (n0,r1)
		mode = "w" (n0,r1)
		device-type = "disk" (n0,r1)
		discard-enable = "1" (n0,r1)
		params = "file:$T/disk.img" (n0,r1)
	END
	)" ]]
	[[ $(xenstore-ls -p $FRONT | sed 's/ [ .]*(/ (/') == "$(cat <<-END
		backend = "$BACK" (n1,r0)
		backend-id = "0" (n1,r0)
		state = "1" (n1,r0)
		virtual-device = "51712" (n1,r0)
		device-type = "disk" (n1,r0)
	END
	)" ]]
}

@test "the guest reads its backend and cannot write it" {
	make_image 1M
	attach
	[[ $(TAP_SIM_DOMID=1 xenstore-read $BACK/mode) == w ]]
	TAP_SIM_DOMID=1 xenstore-write $FRONT/state 1
	run ! env TAP_SIM_DOMID=1 xenstore-write $BACK/mode r
	run ! env TAP_SIM_DOMID=2 xenstore-read $BACK/mode
	run ! env TAP_SIM_DOMID=2 xenstore-write $FRONT/state 4
}

@test "-r, --device-type and --kind are in the nodes" {
	make_image 1M
	attach -r --device-type cdrom --kind tapx web1/hdc disk.img
	dir=/local/domain/0/backend/tapx/1/5632
	[[ $(xenstore-read $dir/mode $dir/device-type $dir/removable $dir/dev) == $'r\ncdrom\n1\nhdc' ]]
	[[ $(xenstore-read /local/domain/1/device/vbd/5632/device-type) == cdrom ]]
}

@test "--dry-run prints the writes in order and makes none" {
	make_image 1M
	before=$(nodes)
	try tap-attach --dry-run web1 disk.img
	status_is 0
	[[ $(nodes) == "$before" ]]
	[[ ${lines[0]} == "make $FRONT" ]]
	[[ ${lines[1]} == "permit $FRONT owner 1, reader 0" ]]
	stdout_has "write $BACK/params = file:$T/disk.img"
	printed=$output
	attach
	# and each write printed is one that was made
	sed -n 's/^write //p' <<<"$printed" | while read -r path _ value; do
		[[ $(xenstore-read "$path") == "$value" ]] || fail "$path is not $value"
	done
	refused 4 --dry-run web2 disk.img
}

@test "the next free xvd skips disks, their partitions, and other toolstacks' frontends" {
	make_image 1M a.img
	make_image 1M b.img
	make_image 1M c.img
	attach web1/xvda1 a.img
	xenstore-write /local/domain/1/device/vbd/51728/state 1
	try tap-attach web1 b.img
	stdout_is web1/xvdc
	for letter in {d..p}; do
		truncate -s 1M "$letter.img"
		tap-attach "web1/xvd$letter" "$letter.img"
	done
	try tap-attach web1 c.img
	stdout_is web1/xvdq
	[[ -n $(xenstore-list /local/domain/0/backend/tap/1/268439552) ]]
}

@test "two attaches of one image at once: one wins" {
	make_image 1M
	for _ in {1..10}; do
		tap-attach web1 disk.img >one 2>&1 &
		first=$!
		tap-attach web2 disk.img >two 2>&1 &
		second=$!
		sum=0
		wait $first || sum=$?
		wait $second || sum=$((sum + $?))
		[[ $sum -eq 4 ]] || fail "statuses add up to $sum: $(cat one two)"
		tap-attach -d "$(cat one two | grep -x 'web./xvda')"
	done
}

# --- waiting -----------------------------------------------------------------------------------

@test "--wait returns when both ends are Connected" {
	make_image 1M
	serve --all
	tap-attach --wait -v web1 disk.img >out 2>steps &
	waiter=$!
	wait_for_node $BACK/state 2
	[[ -n $(back taptools-attaching) ]]
	hold
	wait "$waiter"
	[[ $(<out) == web1/xvda ]]
	[[ $(back state) == 4 && $(front_node state) == 4 ]]
	run ! back taptools-attaching
	grep -q 'web1/xvda: backend InitWait(2), frontend Initialising(1)' steps
	grep -q 'web1/xvda: backend Connected(4), frontend Connected(4)' steps
	stop "$HOLD"
}

@test "--wait that nobody serves: 5, undone, and it says so" {
	make_image 1M
	before=$(nodes)
	try tap-attach --wait --timeout 100ms web1 disk.img
	status_is 5
	stdout_is ''
	stderr_has 'tap-attach: web1/xvda: not connected in time: backend Initialising(1), frontend Initialising(1)'
	stderr_has 'the attach is undone'
	stderr_has 'nobody serves it'
	stderr_has 'tap-serve web1/xvda'
	[[ $(nodes) == "$before" ]]
}

@test "--wait for a guest that does not come: 5, undone, and the image is free at once" {
	make_image 1M
	serve --all
	before=$(nodes)
	try tap-attach --wait --timeout 300ms web1 disk.img
	status_is 5
	stderr_has 'the guest does not answer'
	[[ $(nodes) == "$before" ]]
	attach web2 disk.img
}

@test "--wait for a backend that fails: 7 with its reason, undone" {
	make_image 1M
	before=$(nodes)
	mkfifo go
	tap-attach --wait web1 disk.img 2>message &
	waiter=$!
	wait_for_node $BACK/state 1
	xenstore-write /local/domain/0/error/backend/tap/1/51712/error 'no such luck'
	status=0
	wait "$waiter" || status=$?
	[[ $status -eq 7 ]] || fail "$status: $(<message)"
	grep -q 'no such luck.*undone' message
	[[ $(nodes) == "$before" ]]
}

@test "--wait interrupted: undone" {
	make_image 1M
	before=$(nodes)
	tap-attach --wait web1 disk.img 2>message &
	waiter=$!
	wait_for_node $BACK/state 1
	kill -INT "$waiter"
	status=0
	wait "$waiter" || status=$?
	[[ $status -eq 9 ]] || fail "$status: $(<message)"
	grep -q 'interrupted.*undone' message
	[[ $(nodes) == "$before" ]]
}

# --- detach ------------------------------------------------------------------------------------

@test "detach of a disk in use: both ends close first, and the image is free at once" {
	make_image 1M
	before=$(nodes)
	attach
	serve
	hold
	try tap-attach -d -v web1/xvda
	status_is 0
	stdout_is ''
	stderr_has 'web1/xvda: backend Connected(4), frontend Connected(4)'
	# which of the steps between are seen depends on who is faster; the last one does not
	[[ ${stderr_lines[-1]} =~ frontend\ Closed\(6\)$ ]] || explain "removed before it was closed"
	[[ $(nodes) == "$before" ]]
	[[ ! -e run/1-51712 ]]
	attach web2 disk.img
	wait "$SERVER" && disown_background "$SERVER"
	wait "$HOLD" || true
	disown_background "$HOLD"
}

@test "detach of a disk that is not there: 3" {
	try tap-attach -d web1/xvda
	status_is 3
	stderr_has 'web1/xvda'
	make_image 1M
	attach web1/xvdc disk.img
	try tap-attach -d web1/xvda
	status_is 3
	stderr_has 'there are: web1/xvdc'
}

@test "several at once: the others are detached, and the first failure is the status" {
	make_image 1M a.img
	make_image 1M b.img
	attach web1 a.img
	attach web2 b.img
	try tap-attach -d web1/xvda web1/xvdz web2/xvda
	status_is 3
	stderr_has 'web1/xvdz'
	try tap-attach -l -J
	json_is .items '[]'
}

@test "a guest that holds the disk: 4 at the deadline, and the request finishes later" {
	make_image 1M
	before=$(nodes)
	attach
	serve
	hold
	kill -STOP "$HOLD"
	try tap-attach -d --timeout 200ms web1/xvda
	kill -CONT "$HOLD"
	status_is 4
	stderr_has 'the guest holds it (backend Closing(5), frontend Connected(4))'
	stderr_has 'the request stays'
	stderr_has '--force'
	[[ $(back online) == 0 ]]
	try tap-attach -d web1/xvda
	status_is 0
	[[ $(nodes) == "$before" ]]
	wait "$HOLD" || true
	disown_background "$HOLD"
}

@test "a guest that says why it holds the disk: 4 with its words, made printable" {
	make_image 1M
	attach
	serve
	hold
	kill -STOP "$HOLD"
	xenstore-write /local/domain/1/error/device/vbd/51712/error $'16 in use\033[2J'
	try tap-attach -d --timeout 100ms web1/xvda
	kill -CONT "$HOLD"
	status_is 4
	stderr_has '16 in use?[2J'
	tap-attach -d web1/xvda
	wait "$HOLD" || true
	disown_background "$HOLD"
}

@test "a server that does not react: 5, with its pid" {
	make_image 1M
	attach
	serve
	kill -STOP "$SERVER"
	try tap-attach -d --timeout 100ms web1/xvda
	kill -CONT "$SERVER"
	status_is 5
	stderr_has "server pid $SERVER"
	tap-attach -d web1/xvda
}

@test "nobody serves it and the guest's end is up: 8, nothing is changed, tap-serve helps" {
	make_image 1M
	attach
	serve
	hold
	stop "$SERVER"
	before=$(nodes)
	try tap-attach -d web1/xvda
	status_is 8
	stderr_has 'nobody serves it'
	stderr_has 'tap-serve web1/xvda'
	[[ $(nodes) == "$before" ]]
	serve
	tap-attach -d web1/xvda
	wait "$HOLD" || true
	disown_background "$HOLD"
}

@test "--force removes at once and says what is lost" {
	make_image 1M
	before=$(nodes)
	attach
	serve
	hold
	kill -STOP "$HOLD"
	try tap-attach -d --force web1/xvda
	kill -CONT "$HOLD"
	status_is 0
	stderr_has 'removed by force'
	stderr_has 'Connected(4)'
	stderr_matches '[0-9]+ requests in flight'
	[[ $(nodes) == "$before" ]]
	wait "$HOLD" || true
	disown_background "$HOLD"
	attach web2 disk.img
}

@test "--force without a server" {
	make_image 1M
	before=$(nodes)
	attach
	serve
	hold
	crash "$SERVER"
	try tap-attach -d --force web1/xvda
	status_is 0
	[[ $(nodes) == "$before" ]]
	wait "$HOLD" || true
	disown_background "$HOLD"
	[[ ! -e run/1-51712 ]]
}

@test "detach --force --dry-run prints what it would do: remove, and ask nobody" {
	make_image 1M
	attach
	try tap-attach -d --force --dry-run web1/xvda
	status_is 0
	refute_output --partial state
	refute_output --partial wait
	stdout_has "remove $BACK"
}

@test "JSON is valid whatever an image is called, and whatever is wrong" {
	make_image 1M $'x\xff.img'
	try tap-attach --dry-run -J web1 $'x\xff.img'
	status_is 0
	json_is '[.items[].step | strings] | length > 5' true
	try tap-attach -J -d
	status_is 2
	json_is '.error.exit' 2
	try tap-attach -J -d web1/xvdq
	status_is 3
	json_is '.error.disk' web1/xvdq
	try tap-serve -J
	status_is 2
	json_is '.error.exit' 2
}

@test "detach --dry-run prints and changes nothing" {
	make_image 1M
	attach
	before=$(nodes)
	try tap-attach -d --dry-run web1/xvda
	status_is 0
	stdout_is "write $BACK/online = 0
write $BACK/state = 5
wait until both ends are Closed(6)
remove $FRONT
remove $BACK"
	[[ $(nodes) == "$before" ]]
	try tap-attach -d --dry-run -J web1/xvda
	json_is '[.items[].step] | length' 5
	json_is '.items[4].step' "remove $BACK"
}

@test "a disk of libxl's is left to libxl" {
	xenstore-write /local/domain/0/backend/vbd/1/51712/state 4 $FRONT/state 4 \
		$FRONT/backend /local/domain/0/backend/vbd/1/51712 /libxl/1/device/vbd/51712 ''
	refused 8 -d web1/xvda
	stderr_has 'xl block-detach 1 51712'
	refused 8 -d --force web1/xvda
	xenstore-rm /libxl/1
}

# --- list --------------------------------------------------------------------------------------

@test "-l: both states, mode, size, server, image and what is wrong" {
	make_image 1M
	attach -r web1 disk.img
	try tap-attach -l
	status_is 0
	[[ ${lines[0]} =~ ^DISK\ +KIND\ +BACKEND\ +FRONTEND\ +MODE\ +SIZE\ +SERVER\ +IMAGE\ +PROBLEM$ ]]
	[[ ${lines[1]} =~ ^web1/xvda\ +tap\ +Initialising\(1\)\ +Initialising\(1\)\ +r\ +1.0\ MiB\ +-\ +file:.*\ unserved$ ]]
	serve
	hold
	try tap-attach -l
	[[ ${lines[1]} =~ ^web1/xvda\ +tap\ +Connected\(4\)\ +Connected\(4\)\ +r\ +1.0\ MiB\ +$SERVER\ +file:.*\ -$ ]]
	try tap-attach -l web2
	status_is 0
	[[ ${#lines[@]} -eq 1 ]]
	try tap-attach -l nobody
	status_is 3
	stop "$HOLD"
}

@test "-l of all kinds, and JSON that is valid when empty and on an error" {
	try tap-attach -l -J
	status_is 0
	json_is . '{"version":1,"tool":"tap-attach","items":[]}'
	xenstore-write /local/domain/0/backend/vbd/1/51728/params /dev/null
	xenstore-write /local/domain/0/backend/vif/1/0/state 4
	make_image 1M
	attach
	try tap-attach -l -J
	json_is '[.items[] | .disk + " " + .kind]' '["web1/xvda tap","web1/xvdb vbd"]'
	json_is '.items[0] | [.domid, .vdev, .size_bytes, .server, .problem]' '[1,51712,1048576,null,"unserved"]'
	try tap-attach -l -J --kind vbd
	json_is '[.items[].disk]' '["web1/xvdb"]'
	try tap-attach -J web1/xvda disk.img
	status_is 4
	json_is '[.items, .error.exit]' '[[],4]'
}
