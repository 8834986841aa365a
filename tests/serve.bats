#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# sim: --domains 3
load helper

# The backend's directory of DISK's number VDEV in domain 1.
back()
{
	echo "/local/domain/0/backend/tap/1/${1-51712}"
}

# stat_of FILTER: of tap-stat's JSON for web1/xvda.
stat_of()
{
	tap-stat -J web1/xvda | jq -rc ".items[0] | $1"
}

@test "a disk that is not there: 3, and it is named" {
	try tap-serve web1/xvda
	status_is 3
	stderr_has "web1/xvda"
	try tap-serve nobody/xvda
	status_is 3
	stderr_has "nobody"
}

@test "no disk named, and --all with one: 2" {
	try tap-serve
	status_is 2
	try tap-serve --all web1/xvda
	status_is 2
	stderr_has "--help"
}

@test "a disk that is served already: 4, with the pid" {
	make_image 1M
	attach
	serve
	try tap-serve "$DISK"
	status_is 4
	stderr_has "$SERVER"
	# and the first server did not notice
	front verify xvda --ops 100
}

@test "an image that vanished after the attach: 3, and the error node says so" {
	make_image 1M
	attach
	rm disk.img
	try tap-serve "$DISK"
	status_is 3
	stderr_has disk.img
	try xenstore-read /local/domain/0/error/backend/tap/1/51712/error
	stdout_has disk.img
}

@test "reads and writes arrive, on both data paths and in both ABIs" {
	for path in map copy; do
		for abi in x86_64 x86_32 native; do
			make_image 8M
			attach
			serve --data-path "$path" "$DISK"
			front verify --abi "$abi" xvda --ops 2000
			front read xvda 0 all >seen
			tap-attach -d "$DISK"
			wait "$SERVER"
			disown_background "$SERVER"
			cmp seen disk.img
			assert_nothing_held
		done
	done
}

@test "no page is still mapped when its answer arrives" {
	make_image 8M
	for path in map copy; do
		attach
		serve --data-path "$path" "$DISK"
		front verify --fresh-grants xvda --ops 2000
		tap-attach -d "$DISK"
	done
}

@test "batches: fewer than one page operation, io_submit and notify in four requests" {
	make_image 64M
	for path in map copy; do
		attach
		serve --data-path "$path" "$DISK"
		front bench xvda --rw randread --bs 4K --iodepth 32 --ops 20000
		requests=$(stat_of .requests)
		[[ $requests -ge 20000 ]]
		echo "$path: $(stat_of '[.requests,.map_calls,.unmap_calls,.copy_calls,.io_submits,.notifies]')"
		[[ $((4 * $(stat_of '.map_calls + .unmap_calls + .copy_calls'))) -lt $requests ]]
		[[ $((4 * $(stat_of .io_submits))) -lt $requests ]]
		[[ $((4 * $(stat_of .notifies))) -lt $requests ]]
		tap-attach -d "$DISK"
	done
}

@test "a server told to stop leaves the disk Connected, and the next one goes on" {
	make_image 16M
	attach
	serve
	in_background front verify xvda --ops 50000 --seed 7
	front_pid=$PID
	wait_for_node "$(back)/state" 4
	for _ in 1 2 3; do
		stop "$SERVER"
		try xenstore-read "$(back)/state"
		stdout_is 4
		serve
	done
	wait "$front_pid"
	disown_background "$front_pid"
}

@test "many disks of several guests in one server, and it ends with the last one" {
	for n in 1 2 3; do
		for v in xvda xvdb; do
			make_image 2M "$n$v.img"
			tap-attach "web$n/$v" "$n$v.img"
		done
	done
	serve web1/xvda web1/xvdb web2/xvda web2/xvdb web3/xvda web3/xvdb
	guests=()
	for n in 1 2 3; do
		for v in xvda xvdb; do
			GUEST=$n front verify "$v" --ops 500 &
			guests+=($!)
		done
	done
	for guest in "${guests[@]}"; do
		wait "$guest"
	done
	tap-attach -d web{1,2,3}/xvd{a,b}
	wait "$SERVER"
	disown_background "$SERVER"
}

@test "--all serves what is there and what comes" {
	make_image 1M a.img
	make_image 1M b.img
	attach web1 a.img
	serve --all
	front verify xvda --ops 200
	tap-attach --wait --timeout 20s web2 b.img &
	waiter=$!
	wait_for_node /local/domain/2/device/vbd/51712/state
	GUEST=2 front verify xvda --ops 200
	wait "$waiter"
	tap-attach -d web1/xvda web2/xvda
	attach web1 a.img # again: the server is still there
	front verify xvda --ops 200
	tap-attach -d "$DISK"
	kill -0 "$SERVER"
}

@test "--all: a disk that cannot be served does not disturb the others" {
	make_image 1M a.img
	make_image 1M b.img
	attach web1 a.img
	attach web2 b.img
	rm a.img
	serve --all
	GUEST=2 front verify xvda --ops 200
	grep -q 'web1/xvda.*a.img' serve.log
	try xenstore-read /local/domain/0/error/backend/tap/1/51712/error
	stdout_has a.img
}

@test "--run: the command's status, and the server ends with it" {
	make_image 1M
	attach
	try tap-serve -q --run 'TAP_SIM_DOMID=1 tap-front verify xvda --ops 100 && exit 5' "$DISK"
	status_is 5
	try tap-serve -q --run 'kill -9 $$' "$DISK"
	status_is 137
}

@test "--pidfile is there once ready, and gone at the end" {
	make_image 1M
	attach
	serve --pidfile serve.pid "$DISK"
	# Not that of another one, which cannot start.
	try tap-serve --pidfile serve.pid "$DISK"
	status_is 4
	[[ $(<serve.pid) == "$SERVER" ]]
	[[ $(<serve.pid) == "$SERVER" ]]
	stop "$SERVER"
	[[ ! -e serve.pid ]]
}

@test "-J names what is served, and is valid when it fails" {
	make_image 1M
	attach
	try tap-serve -J -q --run true "$DISK"
	json_is .items[0].disk web1/xvda
	try tap-serve -J web2/xvdq
	status_is 3
	json_is .error.exit 3
	json_is .items '[]'
}

@test "a read-only disk refuses writes, and says so to the guest" {
	make_image 1M
	cp disk.img before.img
	attach -r web1 disk.img
	serve
	try front write xvda 0 -i before.img
	status_is 6 || status_is 7
	cmp disk.img before.img
}

@test "resize: the connected guest sees the new size" {
	make_image 1M
	attach
	serve
	front info -J xvda >before.json
	tap-attach -c "$DISK" 2M
	try front info -J xvda
	json_is .items[0].size_bytes 2097152
	try tap-attach -c "$DISK" 1M
	status_is 8
}

@test "a frontend with a bad ring-ref, port or protocol: the reason is said, others do not notice" {
	make_image 1M a.img
	make_image 1M b.img
	attach web1 a.img
	attach web2 b.img
	serve web1/xvda web2/xvda
	dir=/local/domain/1/device/vbd/51712
	error=/local/domain/0/error/backend/tap/1/51712/error
	publish()
	{
		xenstore-write -- "$dir/ring-ref" "$1" "$dir/event-channel" "$2" "$dir/protocol" "$3" \
			"$dir/state" 3
	}
	error_has()
	{
		wait_for_node "$error"
		xenstore-read "$error" | grep -q -- "$1"
		grep -q -- "web1/xvda: .*$1" serve.log
		xenstore-write "$dir/state" 1
		wait_for_node "$(back)/state" 2
		xenstore-rm "$error"
	}
	publish 99999 1 x86_64-abi
	error_has 'ring-ref 99999'
	publish -1 1 x86_64-abi
	error_has "/ring-ref'"
	publish 8 4000000000 x86_64-abi
	error_has "/event-channel'"
	publish 8 7 sparc-abi
	error_has "/protocol'"
	[[ $(xenstore-read "$(back)/state") != 4 ]]
	GUEST=2 front verify xvda --ops 500
	xenstore-rm "$dir/ring-ref"
	xenstore-rm "$dir/event-channel"
	front verify xvda --ops 500
}

@test "a server killed in the midst: the next one refuses, and says the way out" {
	make_image 16M
	attach
	serve
	in_background front verify xvda --ops 1000000
	front_pid=$PID
	until [[ $(stat_of .requests) -gt 1000 ]]; do :; done
	kill -STOP "$SERVER"
	crash "$SERVER"
	try tap-serve "$DISK"
	# quiet by chance: then going on is right, which the verify shows
	status_is 8
	stderr_has 'tap-attach -d --force'
	tap-attach -d --force "$DISK"
	disown_background "$front_pid"
	wait "$front_pid" && fail "the guest saw no error"
	tap-attach --clean
	attach
	serve
	front verify xvda --ops 100
}

@test "--kind: a disk that libxl made as vbd3 for backendtype=tap is served, and grows" {
	local back=/local/domain/0/backend/vbd3/1/51712 front=/local/domain/1/device/vbd/51712
	make_image 1M
	xenstore-write $back/frontend $front $back/frontend-id 1 $back/params "aio:$T/disk.img" $back/mode w \
		$back/online 1 $back/state 1 $back/device-type disk $front/backend $back $front/backend-id 0 \
		$front/virtual-device 51712 $front/state 1
	xenstore-chmod -r $back n0 r1
	xenstore-chmod -r $front n1 r0
	serve --all --kind vbd3
	wait_for_node $back/state 2
	head -c 8192 /dev/urandom >data
	front write -i data xvda 4096
	cmp -n 8192 -i 4096:0 disk.img data
	front info xvda
	tap-attach -c web1/xvda 2M
	[[ $(stat -c %s disk.img) == 2097152 ]]
	xenstore-rm $front
	xenstore-rm $back
}
