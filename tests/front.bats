#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# sim: --domains 2
# tap-front against tap-serve: connecting and closing, each command, and what it says when it fails.
load helper

# What the guest's directory says.
front_node()
{
	xenstore-read "/local/domain/1/device/vbd/51712/$1"
}

attach_and_serve()
{
	make_image "${1-1M}"
	attach
	serve
}

@test "info says what the backend offers" {
	attach_and_serve 1M
	try front info xvda
	status_is 0
	stdout_matches 'size +1048576 \(1\.0 MiB\)'
	stdout_matches 'sector size +512, '
	stdout_matches 'read-only +no'
	stdout_matches 'flush +yes'
	stderr_is ''
	try front -J info xvda
	status_is 0
	json_is '.items[0] | [.disk, .size_bytes, .sector_bytes, .read_only]' '["xvda",1048576,512,false]'
}

@test "a read-only disk says so and is not written" {
	make_image 1M
	attach -r web1 disk.img
	serve
	try front -J info xvda
	json_is '.items[0].read_only' true
	try front write -i disk.img xvda 0
	status_is 6
	stderr_is 'tap-front: xvda: the disk is read-only'
	try front write --force -i disk.img xvda 0
	status_is 7
	json=$(tap-stat -J "$DISK")
	[[ $(jq '.items[0].faults."read-only"' <<<"$json") -ge 1 ]]
	try front bench --rw randwrite --ops 1 xvda
	status_is 6
	try front -J verify --ops 500 xvda
	status_is 0
	json_is '.items[0] | [.writes, .different]' '[0,false]'
}

@test "read gives what the image holds, all of it or a part" {
	attach_and_serve 3M
	front read -o all xvda 0 all
	cmp all disk.img
	front read xvda 512 1M >part
	cmp part <(tail -c +513 disk.img | head -c 1M)
	front read xvda 3145216 512 >last
	cmp last <(tail -c 512 disk.img)
}

@test "write puts a file or standard input where it belongs, and nothing elsewhere" {
	attach_and_serve 3M
	cp disk.img expected
	make_image 1234432 new
	dd if=new of=expected bs=512 seek=3 conv=notrunc status=none
	front write -i new xvda 1536
	cmp disk.img expected
	make_image 512 sector
	dd if=sector of=expected bs=512 seek=100 conv=notrunc status=none
	cat sector | front write xvda 51200
	cmp disk.img expected
}

@test "read and write refuse what does not fit the disk, before they do anything" {
	attach_and_serve 64K
	cp disk.img before
	try front read xvda 0 65K
	status_is 2
	stderr_is 'tap-front: xvda: 66560 bytes at 0 reach behind the end of the disk, 65536'
	try front read xvda 100 512
	status_is 2
	stderr_has 'multiples of 512'
	try front read xvda 1M 512
	status_is 2
	make_image 64K same-size
	try front write -i same-size xvda 512
	status_is 2
	stderr_has 'reach behind the end'
	make_image 700 odd
	try front write -i odd xvda 0
	status_is 2
	stderr_has '700 bytes are no multiple of the sector size, 512'
	try front write -i missing xvda 0
	status_is 3
	cmp disk.img before
}

@test "a pipe that is too long or ends within a sector is an error" {
	attach_and_serve 64K
	try bash -c 'head -c 100K /dev/zero | TAP_SIM_DOMID=1 tap-front write xvda 0'
	status_is 2
	stderr_has 'longer than the disk has room'
	try bash -c 'head -c 1000 /dev/zero | TAP_SIM_DOMID=1 tap-front write xvda 0'
	status_is 2
	stderr_has 'ends in the middle of a sector'
}

@test "a reader that goes away early does not leave the disk open" {
	attach_and_serve 8M
	try bash -c 'TAP_SIM_DOMID=1 tap-front read xvda 0 all | head -c 1000 >/dev/null; exit "${PIPESTATUS[0]}"'
	status_is 9
	stderr_has 'cannot write to standard output: Broken pipe'
	[[ $(front_node state) -eq 1 ]]
}

@test "flush is answered" {
	attach_and_serve
	try front flush xvda
	status_is 0
	stdout_is ''
	stderr_is ''
}

@test "an image that fails is exit 7, named with its place" {
	make_image 64K
	attach
	serve
	# Behind the server's back: reads past the new end find nothing.
	truncate -s 32K disk.img
	try front read -o out xvda 0 all
	status_is 7
	stderr_matches 'cannot read [0-9]+ bytes at [0-9]+: '
	[[ $(front_node state) -eq 1 ]]
}

@test "the disk can be connected again and again, in each layout of the ring" {
	attach_and_serve
	for abi in x86_64 x86_32 native; do
		front --abi "$abi" read -o "$abi" xvda 0 all
		cmp "$abi" disk.img
		[[ $(front_node state) -eq 1 ]]
	done
	try front_node ring-ref
	status_is 1
}

@test "fresh grants give the same data" {
	attach_and_serve 3M
	front --fresh-grants read -o all xvda 0 all
	cmp all disk.img
	front --fresh-grants verify --ops 300 xvda
}

@test "a domain given must be the one it runs in" {
	attach_and_serve
	front info web1/xvda
	front info 1/xvda
	try tap-front info web1/xvda
	status_is 3
	stderr_has "cannot be the frontend of domain 'web1': this is domain 0"
	stderr_has 'TAP_SIM_DOMID=1 tap-front'
	GUEST=2 try front info 1/xvda
	status_is 3
	stderr_has 'TAP_SIM_DOMID'
}

@test "a disk that is not there is exit 3, with what there is" {
	try front info xvda
	status_is 3
	stderr_has 'no disk xvda in domain 1'
	stderr_has 'this domain has no disk'
	make_image 1M
	attach
	try front info xvdb
	status_is 3
	stderr_has 'no disk xvdb in domain 1'
	stderr_has 'this domain has xvda'
}

@test "nodes that make no sense are named, and others' are passed over" {
	local front=/local/domain/1/device/vbd
	make_image 1M
	attach
	xenstore-write "$front/banana/backend" /local/domain/0/nothing
	try front info xvdb
	status_is 3
	stderr_is "tap-front: xvdb: no disk xvdb in domain 1"$'\n'"tap-front: this domain has xvda"
	xenstore-rm "$front/banana"
	xenstore-write "$front/51712/backend-id" x
	try front info xvda
	status_is 9
	stderr_has "cannot read '$front/51712/backend-id': Invalid argument"
	xenstore-write "$front/51712/backend" elsewhere
	try front info xvda
	status_is 9
	stderr_has "cannot read '$front/51712/backend'"
}

@test "a disk that is being detached is not waited for: 4" {
	local back=/local/domain/0/backend/tap/1/51712
	make_image 1M
	attach
	xenstore-write "$back/online" 0
	try front info xvda
	status_is 4
	stderr_has 'the disk is being detached: the backend is Initialising(1)'
}

# Nobody serves it: the test is the backend, and has let the guest in.
invite_guest()
{
	make_image 1M
	attach
	xenstore-write "$BACK/state" 2
	in_background front --timeout 20s info xvda
	wait_for_node /local/domain/1/device/vbd/51712/state 3
	disown_background "$PID"
}

@test "a disk that is detached while its guest connects: 4" {
	BACK=/local/domain/0/backend/tap/1/51712
	invite_guest
	xenstore-write "$BACK/online" 0 "$BACK/state" 6
	status=0
	wait "$PID" || status=$?
	[[ $status -eq 4 ]]
	grep -q 'the disk is being detached: the backend is Closed(6), this end Initialised(3)' background.log
}

@test "a backend that is gone while its guest connects" {
	BACK=/local/domain/0/backend/tap/1/51712
	invite_guest
	xenstore-rm "$BACK"
	status=0
	wait "$PID" || status=$?
	[[ $status -eq 9 ]]
	grep -q 'Connection reset by peer: the backend is' background.log
}

@test "without the domain's own id there is no disk to find" {
	local own
	own=$(xenstore-read /local/domain/2/domid)
	xenstore-write /local/domain/2/domid banana
	GUEST=2 try front info xvda
	xenstore-rm /local/domain/2/domid
	status_is 9
	stderr_has "cannot read this domain's own id from XenStore: not a number"
	stderr_has xen-init-dom0
	GUEST=2 try front info xvda
	xenstore-write /local/domain/2/domid "$own"
	status_is 9
	stderr_has "cannot read this domain's own id from XenStore: No such file or directory"
}

@test "without a server it times out and names the states" {
	make_image 1M
	attach
	try front --timeout 200ms info xvda
	status_is 5
	stderr_has 'timed out: the backend is Initialising(1), this end Initialising(1)'
	try front --timeout 200ms -J info xvda
	status_is 5
	json_is '[.items, .error.exit]' '[[],5]'
}

@test "a frontend waits for its server" {
	make_image 1M
	attach
	TAP_SIM_DOMID=1 tap-front read -o all xvda 0 all 3>&- &
	reader=$!
	serve
	wait "$reader"
	cmp all disk.img
}

@test "what a killed frontend left is closed by the next one" {
	attach_and_serve
	hold
	crash "$HOLD"
	[[ $(front_node state) -eq 4 ]]
	front read -o all xvda 0 all
	cmp all disk.img
}

@test "a frontend killed in the middle of its work leaves a disk that works" {
	attach_and_serve 4M
	: >verify.out
	TAP_SIM_DOMID=1 tap-front verify --ops 100000000 xvda >verify.out 2>verify.err 3>&- &
	victim=$!
	background+=("$victim")
	read -r _ < <(tail -f --pid="$victim" verify.out) # it has begun
	crash "$victim"
	front verify --ops 500 xvda
}

@test "a connected guest is told of a new size" {
	attach_and_serve 1M
	mkfifo out
	TAP_SIM_DOMID=1 tap-front hold xvda >out 2>hold.log 3>&- &
	background+=($!)
	exec 7<out
	wait_for_node /local/domain/1/device/vbd/51712/state 4
	tap-attach -c "$DISK" 3M
	read -r line <&7
	[[ $line == 'xvda: now 3145728 bytes' ]]
}

@test "hold lets go when the disk is detached; --busy does not" {
	attach_and_serve
	hold
	tap-attach -d --timeout 10 "$DISK"
	disown_background "$HOLD"
	wait "$HOLD"
	stop "$SERVER"
	attach
	serve
	hold --busy
	try tap-attach -d --timeout 300ms "$DISK"
	status_is 4
	kill -0 "$HOLD"
	stop "$HOLD"
	tap-attach -d "$DISK"
}

@test "SIGTERM in the middle of a verify closes the disk in order" {
	attach_and_serve
	: >verify.out
	TAP_SIM_DOMID=1 tap-front verify --ops 100000000 xvda >verify.out 2>verify.err &
	pid=$!
	wait_for_node /local/domain/1/device/vbd/51712/state 4
	kill -TERM "$pid"
	status=0
	wait "$pid" || status=$?
	[[ $status -eq 143 ]] || fail "ended with $status: $(cat verify.err)"
	[[ $(front_node state) -eq 1 ]]
	grep -q interrupted verify.err
}

@test "verify finds no difference, says its seed, and repeats by it" {
	attach_and_serve
	try front verify --ops 400 --seed 4711 xvda
	status_is 0
	stdout_matches 'seed 4711, 1\.0 MiB, 400 operations at depth 32'
	stdout_has 'no difference: 400 operations'
	cp disk.img after-first
	front verify --ops 400 --seed 4711 --iodepth 7 xvda
	cmp disk.img after-first
	front verify --ops 400 --seed 4712 xvda
	run ! cmp -s disk.img after-first
}

@test "verify finds a sector that somebody else changed" {
	make_image 1M
	attach
	serve --buffered "$DISK" # so that both writers go through the one page cache
	: >verify.out
	TAP_SIM_DOMID=1 tap-front verify --ops 100000000 xvda >verify.out 2>verify.err &
	pid=$!
	background+=("$pid")
	read -r _ < <(tail -f --pid="$pid" verify.out)
	# Until it is seen: a write of verify may cover the damage.
	while kill -0 "$pid" 2>/dev/null; do
		printf 'damage' | dd of=disk.img bs=1 seek=$((RANDOM * 30)) conv=notrunc status=none
	done
	disown_background "$pid"
	status=0
	wait "$pid" || status=$?
	[[ $status -eq 1 ]] || fail "ended with $status: $(cat verify.err)"
	grep -E 'difference at byte [0-9]+: expected [0-9a-f ]+, seen [0-9a-f ]+' verify.err
	grep -E -- 'again: --seed [0-9]+ --range 1048576 --ops 100000000' verify.err
}

@test "verify stays in its range" {
	attach_and_serve
	cp disk.img before
	front verify --ops 300 --range 256K xvda
	cmp <(tail -c +262145 before) <(tail -c +262145 disk.img)
	run ! cmp -s <(head -c 256K before) <(head -c 256K disk.img)
}

@test "bench counts what it was told to do" {
	attach_and_serve
	for rw in read write randread randwrite; do
		try front -J bench --rw "$rw" --ops 500 --bs 8K xvda
		status_is 0
		json_is ".items[0] | [.rw, .block_bytes, .iodepth, (.read // .write).operations]" \
			"[\"$rw\",8192,32,500]"
		json_is '.items[0] | (.read // .write).latency_ns | .min <= .p50 and .p50 <= .p99 and .p99 <= .max' true
	done
	try front -J bench --rw randrw --ops 500 xvda
	json_is '.items[0] | .read.operations + .write.operations' 500
	json_is '.items[0] | .read.operations > 100 and .write.operations > 100' true
	try front bench --runtime 100ms xvda
	status_is 0
	stdout_matches 'randread, blocks of 4\.0 KiB, depth 32, [0-9.]+ ms'
	stdout_matches 'read: [0-9]+ IOPS'
	stdout_has '99.9%'
}

@test "a new capacity is seen by the next connection" {
	attach_and_serve 1M
	tap-attach -c "$DISK" 2M
	try front -J info xvda
	json_is '.items[0].size_bytes' 2097152
}

@test "a command line that is wrong is exit 2 with a hint" {
	for args in '' 'info' 'frobnicate xvda' 'read xvda 0' 'info xvda 0' 'read xvda x 1' \
		'read xvda 0 -1' '--abi z80 info xvda' '--rw up bench xvda' '--iodepth 0 verify xvda'; do
		# shellcheck disable=SC2086 # they are words
		try front $args
		status_is 2
		[[ ${stderr_lines[0]} == 'tap-front: '* ]] || explain "no line of tap-front"
	done
}
