#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# sim: --domains 3
# What a killed process leaves, and that tap-attach --clean makes the next attach possible.
load helper

BACK=/local/domain/0/backend/tap/1/51712
FRONT=/local/domain/1/device/vbd/51712

# The one stale disk has this reason; --dry-run removes nothing; --clean does, and attach works.
clean_heals()
{
	local before
	try tap-attach --stale
	status_is 1
	stdout_has "$1"
	before=$(xenstore-ls /local/domain)
	try tap-attach --clean --dry-run
	status_is 0
	stdout_has remove
	[[ $(xenstore-ls /local/domain) == "$before" ]] || fail "--dry-run changed XenStore"
	try tap-attach --clean
	status_is 0
	stdout_has "$1"
	try tap-attach --stale
	status_is 0
	stdout_is ''
	attach web1/xvda disk.img
}

# The server is told by XenStore alone; it is still there.
serves_again()
{
	front verify xvda --ops 100
	tap-attach -d web1/xvda
}

# A background process ends by itself.
await_end()
{
	wait "$1" || true
	disown_background "$1"
}

@test "nothing is stale: 0, and nothing is printed" {
	make_image 1M
	attach
	try tap-attach --stale
	status_is 0
	stdout_is ''
	try tap-attach --clean
	status_is 0
	stdout_is ''
	try tap-attach --stale -J
	json_is .items '[]'
	serve
	hold
	try tap-attach --stale
	status_is 0
	stdout_is ''
	stop "$HOLD"
}

@test "tap-attach --wait killed in the middle" {
	make_image 1M
	tap-attach --wait web1 disk.img &
	waiter=$!
	wait_for_node $BACK/state 1
	# while it lives, its disk is its own
	try tap-attach --stale
	status_is 0
	kill -KILL "$waiter"
	wait "$waiter" || true
	clean_heals 'attach was killed'
}

@test "tap-attach --wait killed in the middle, with a server" {
	make_image 1M
	serve --all
	tap-attach --wait web1 disk.img &
	waiter=$!
	wait_for_node $BACK/state 2
	kill -KILL "$waiter"
	wait "$waiter" || true
	clean_heals 'attach was killed'
	serves_again
}

# While a server keeps the ring mapped, nobody can tell a dead frontend from a silent one.
@test "the guest's end killed, the server alive: the next frontend goes on" {
	make_image 1M
	attach
	serve
	hold
	crash "$HOLD"
	try tap-attach --stale
	status_is 0
	front verify xvda --ops 100
	tap-attach -d web1/xvda
	attach web1/xvda disk.img
	await_end "$SERVER"
}

@test "the guest's end killed, the server alive: given up by force, attached again" {
	make_image 1M
	attach
	serve --all
	hold
	crash "$HOLD"
	try tap-attach -d --timeout 100ms web1/xvda
	status_is 4
	stderr_has '--force'
	tap-attach -d --force web1/xvda
	attach web1/xvda disk.img
	serves_again
}

@test "the guest's end killed after its server: detach does not wait for it" {
	make_image 1M
	attach
	serve
	hold
	crash "$SERVER"
	crash "$HOLD"
	try tap-attach -d -v web1/xvda
	status_is 0
	stderr_has 'ring is no longer granted'
	attach web1/xvda disk.img
}

@test "the server and the guest's end killed" {
	make_image 1M
	attach
	serve
	hold
	crash "$SERVER"
	crash "$HOLD"
	clean_heals 'ring is no longer granted'
	[[ ! -e run/1-51712 ]]
	serve
	serves_again
}

@test "the server killed, the guest alive: not stale, shown as unserved, the next server goes on" {
	make_image 1M
	attach
	serve
	hold
	crash "$SERVER"
	try tap-attach --stale
	status_is 0
	try tap-attach -l
	stdout_matches 'Connected\(4\) +Connected\(4\).* unserved'
	try tap-attach --clean
	status_is 0
	[[ $(xenstore-read $BACK/state) == 4 ]]
	serve
	stop "$HOLD"
}

@test "tap-attach -d killed while it waits for the guest" {
	make_image 1M
	attach
	serve
	hold
	kill -STOP "$HOLD"
	tap-attach -d web1/xvda &
	waiter=$!
	wait_for_node $BACK/state 5
	kill -KILL "$waiter"
	wait "$waiter" || true
	try tap-attach -l
	stdout_has 'being detached'
	# the guest still holds it: nothing to clean
	try tap-attach --stale
	status_is 0
	kill -CONT "$HOLD"
	wait_for_node $BACK/state 6
	await_end "$HOLD"
	clean_heals 'closed, but never removed'
	await_end "$SERVER"
}

@test "the server killed while the disk is being detached" {
	make_image 1M
	attach
	serve
	hold
	kill -STOP "$HOLD"
	tap-attach -d --timeout 300ms web1/xvda 2>message &
	waiter=$!
	wait_for_node $BACK/state 5
	crash "$SERVER"
	status=0
	wait "$waiter" || status=$?
	[[ $status -eq 8 ]]
	grep -q 'nobody serves it' message
	kill -CONT "$HOLD"
	await_end "$HOLD"
	tap-attach -d web1/xvda || clean_heals 'closed'
}

@test "a domain that is gone" {
	make_image 1M
	attach web3/xvda disk.img
	serve --all
	tap-sim --destroy 3
	xenstore-rm /local/domain/3
	try tap-attach -l
	stdout_has 'its domain is gone'
	clean_heals 'its domain is gone'
	serves_again
}

@test "a frontend that is gone" {
	make_image 1M
	attach
	serve --all
	xenstore-rm $FRONT
	clean_heals 'its frontend is missing'
	serves_again
}

@test "a backend that is gone, its frontend left" {
	make_image 1M
	attach
	xenstore-rm $BACK
	clean_heals 'its backend is missing'
	try tap-attach --stale
	status_is 0
}

@test "a guest cannot have another's nodes removed by naming them" {
	make_image 1M
	attach web2/xvda disk.img
	xenstore-write $FRONT/backend /local/domain/0/backend/tap/2/51712
	before=$(xenstore-ls /local/domain/2)
	tap-attach --clean
	[[ $(xenstore-ls /local/domain/2) == "$before" ]]
	[[ $(xenstore-read /local/domain/0/backend/tap/2/51712/online) == 1 ]]
}

@test "a frontend whose backend is in another domain is that domain's affair" {
	xenstore-write $FRONT/backend /local/domain/2/backend/tap/1/51712
	try tap-attach --stale
	status_is 0
	stdout_is ''
}

@test "a run-time folder without a disk; others' folders stay" {
	make_image 1M
	attach
	serve
	crash "$SERVER"
	xenstore-rm $BACK
	xenstore-rm $FRONT
	mkdir run/notours
	clean_heals 'run-time folder'
	[[ ! -e run/1-51712 && -d run/notours ]]
}

@test "both ends closed and nobody serves it" {
	make_image 1M
	attach
	xenstore-write $BACK/state 6 $FRONT/state 6
	clean_heals 'closed, but never removed'
}

@test "--clean -J says what was removed" {
	make_image 1M
	attach
	xenstore-rm $FRONT
	try tap-attach --clean --dry-run -J
	json_is '[.items[].step]' "[\"remove $BACK\"]"
	try tap-attach --stale -J
	status_is 1
	json_is '.items[0] | [.disk, .reason, .removed]' '["web1/xvda","its frontend is missing",false]'
	try tap-attach --clean -J
	status_is 0
	json_is '.items[0] | [.disk, .removed, .path]' "[\"web1/xvda\",true,\"$BACK\"]"
}
