#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# sim: --domains 3
# Queues served in threads. `make check-tsan` runs this under ThreadSanitizer.
load helper

# web1 verifies, in the background; its pid is $guest.
guest_at_work()
{
	TAP_SIM_DOMID=1 tap-front verify xvda --ops 20000 >verify.out &
	guest=$!
	wait_for_node /local/domain/1/device/vbd/51712/state 4
}

@test "--threads wants a number that makes sense" {
	for bad in 0 65 x -1; do
		try tap-serve --threads "$bad" web1/xvda
		status_is 2
		stderr_has --threads
	done
}

@test "disks of several guests in several threads: no difference, nothing held, an orderly end" {
	names=()
	for n in 1 2 3; do
		make_image 8M "$n.img"
		tap-attach "web$n" "$n.img"
		names+=("web$n/xvda")
	done
	for path in map copy; do
		serve --threads 3 --data-path "$path" "${names[@]}"
		guests=()
		for n in 1 2 3; do
			TAP_SIM_DOMID=$n tap-front verify xvda --ops 3000 &
			guests+=($!)
		done
		for guest in "${guests[@]}"; do
			wait "$guest"
		done
		stop "$SERVER"
	done
	tap-attach -d "${names[@]}"
}

@test "stopped and started again under load, with another number of threads each time" {
	make_image 8M
	attach
	serve --threads 2 "$DISK"
	guest_at_work
	for threads in 1 4 2; do
		stop "$SERVER"
		serve --threads "$threads" "$DISK"
	done
	wait "$guest"
	grep -q 'no difference' verify.out
}

@test "a server that leaves because of an error answers what it took, and the next one goes on" {
	make_image 8M
	attach
	serve
	guest_at_work
	stop "$SERVER"
	for threads in 1 2 4; do
		try tap-serve --threads "$threads" "$DISK" web1/xvdq
		status_is 3
		stderr_has 'left Connected'
	done
	serve --threads 2 "$DISK"
	wait "$guest"
	grep -q 'no difference' verify.out
}

@test "a server that cannot start loses nothing of what the last one left" {
	make_image 8M
	attach
	serve
	guest_at_work
	stop "$SERVER"
	# With requests in the ring that nobody has taken; the first call is the image's own.
	until [[ $(tap-ring -J "$DISK" | jq '.items[0] | .req_prod - .rsp_prod') -gt 0 ]]; do :; done
	TAP_SIM_FAIL=io_setup:2:EAGAIN try tap-serve "$DISK"
	status_is 9
	stderr_has 'asynchronous I/O'
	serve
	wait "$guest"
	grep -q 'no difference' verify.out
}

@test "a guest whose nodes are spoilt keeps no neighbour's server from starting" {
	make_image 1M 1.img
	make_image 1M 2.img
	tap-attach web1 1.img
	tap-attach web2 2.img
	serve web1/xvda web2/xvda
	hold
	stop "$SERVER"
	ring=$(xenstore-read /local/domain/1/device/vbd/51712/ring-ref)
	xenstore-write /local/domain/1/device/vbd/51712/ring-ref x
	serve web1/xvda web2/xvda
	grep -q "web1/xvda: cannot use node '.*/ring-ref'" serve.log
	try xenstore-read /local/domain/0/error/backend/tap/1/51712/error
	stdout_has ring-ref
	GUEST=2 front verify --ops 200 xvda
	# Once they are sound, its next state has it served.
	xenstore-write /local/domain/1/device/vbd/51712/ring-ref "$ring" \
		/local/domain/1/device/vbd/51712/state 4
	stop "$HOLD"
	front verify --ops 200 xvda
	run ! xenstore-exists /local/domain/0/error/backend/tap/1/51712/error
	tap-attach -d web1/xvda web2/xvda
}

# Two guests' disks; the first one's guest is connected, and no server runs.
left_connected()
{
	make_image 1M 1.img
	make_image 1M 2.img
	tap-attach web1 1.img
	tap-attach web2 2.img
	serve web1/xvda
	hold
	stop "$SERVER"
}

# Both are served, and of the first one's guest is said "$1".
served_all_the_same()
{
	serve web1/xvda web2/xvda
	grep -q "web1/xvda: $1" serve.log
	try xenstore-read /local/domain/0/error/backend/tap/1/51712/error
	stdout_has "$1"
	GUEST=2 front verify --ops 200 xvda
}

# Its next frontend is served.
good_after_reconnect()
{
	front verify --ops 200 xvda
	run ! xenstore-exists /local/domain/0/error/backend/tap/1/51712/error
	tap-attach -d web1/xvda web2/xvda
}

@test "a guest whose ring is no longer granted keeps no neighbour's server from starting" {
	left_connected
	crash "$HOLD"
	served_all_the_same "cannot map the frontend's ring"
	good_after_reconnect
}

@test "a guest whose port cannot be bound keeps no neighbour's server from starting" {
	left_connected
	port=$(xenstore-read /local/domain/1/device/vbd/51712/event-channel)
	xenstore-write /local/domain/1/device/vbd/51712/event-channel $((port + 1))
	served_all_the_same "cannot bind the frontend's event channel"
	crash "$HOLD"
	good_after_reconnect
}

@test "a ring left in flight is not gone on with, also where it could not be looked at at first" {
	make_image 1M
	attach
	serve
	TAP_SIM_DOMID=1 tap-front bench --runtime 1h xvda >bench.log 2>&1 3>&- &
	guest=$!
	background+=("$guest")
	nodes=/local/domain/1/device/vbd/51712
	wait_for_node $nodes/state 4
	kill -STOP "$SERVER"
	until tap-ring -J "$DISK" | jq -e '.items[0].outstanding > 0'; do kill -0 "$guest"; done
	crash "$SERVER"
	ring=$(xenstore-read $nodes/ring-ref)
	xenstore-write $nodes/ring-ref x
	serve
	xenstore-write $nodes/ring-ref "$ring" $nodes/state 4
	wait_for_node /local/domain/0/error/backend/tap/1/51712/error \
		'the last server died with requests in flight: going on could lose or repeat some'
	[[ $(tap-stat -J | jq '.items[0].requests') -eq 0 ]]
	crash "$guest"
	front verify --ops 200 xvda
}

@test "what the system lacks for a connected guest's ring ends the server" {
	left_connected
	for call in xengnttab_map_domain_grant_refs:1:ENOMEM xengnttab_open:1:EMFILE \
		xenevtchn_bind_interdomain:1:ENOSPC; do
		TAP_SIM_FAIL=$call try tap-serve web1/xvda web2/xvda
		status_is 9
		stderr_has web1/xvda
	done
	serve web1/xvda web2/xvda
	stop "$HOLD"
	tap-attach -d web1/xvda web2/xvda
}

@test "a resize reaches the thread that serves" {
	make_image 1M
	attach
	serve --threads 2 "$DISK"
	hold
	tap-attach -c "$DISK" 2M
	try xenstore-read /local/domain/0/backend/tap/1/51712/sectors
	stdout_is 4096
	tap-attach -d "$DISK"
}
