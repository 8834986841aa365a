#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# sim: --domains 2
# tap-attach beside another one, and told to end in the midst of its work.
load helper

BACK=/local/domain/0/backend/tap/1

# ends_with STATUS PID: of a process in the background.
ends_with()
{
	local status=0
	disown_background "$2"
	wait "$2" || status=$?
	[[ $status -eq $1 ]] || fail "process $2 ended with status $status, not $1"
}

@test "--wait whose disk was detached, with another in its place: that one is left alone" {
	make_image 1M a.img
	make_image 1M b.img
	in_background tap-attach --wait --timeout 2s web1/xvda a.img
	waiter=$PID
	wait_for_node $BACK/51712/taptools-attaching
	kill -STOP "$waiter"
	tap-attach -d web1/xvda
	tap-attach web1/xvda b.img
	kill -CONT "$waiter"
	ends_with 9 "$waiter"
	grep -q 'another disk is in its place' background.log
	[[ $(xenstore-read $BACK/51712/params) == *b.img ]]
	[[ $(xenstore-read $BACK/51712/online) == 1 ]]
}

@test "-d of several, told to end: no other guest is asked to let go" {
	make_image 1M a.img
	make_image 1M b.img
	tap-attach web1/xvda a.img
	tap-attach web1/xvdb b.img
	serve web1/xvda web1/xvdb
	hold
	kill -STOP "$HOLD"
	in_background tap-attach -d web1/xvda web1/xvdb
	detach=$PID
	wait_for_node $BACK/51712/state 5
	kill -INT "$detach"
	ends_with 9 "$detach"
	kill -CONT "$HOLD"
	grep -q 'web1/xvda: interrupted' background.log
	[[ $(xenstore-read $BACK/51728/online) == 1 ]]
	[[ $(xenstore-read $BACK/51728/state) == 2 ]]
	disown_background "$HOLD"
	wait "$HOLD"
}

@test "-d --force that waits for a server to let go can be told to end" {
	make_image 1M
	attach
	serve
	kill -STOP "$SERVER"
	in_background tap-attach -d --force web1/xvda
	detach=$PID
	exec {watcher}< <(exec xenstore-watch $BACK/51712 2>&1)
	watching=$!
	while read -r -u "$watcher" _; do
		xenstore-exists $BACK/51712 || break
	done
	kill "$watching"
	kill -INT "$detach"
	ends_with 9 "$detach"
	kill -CONT "$SERVER"
	grep -q "removed; interrupted before its server (pid $SERVER) let go" background.log
	disown_background "$SERVER"
	wait "$SERVER"
}

# old_ring: what an earlier connection of the guest left in its directory.
old_ring()
{
	TAP_SIM_DOMID=1 XENSTORED_PATH=$TAP_SIM_DIR/xenbus-1 \
		xenstore-write /local/domain/1/device/vbd/51712/ring-ref 7777
}

@test "a ring-ref that an earlier connection left does not make a disk stale" {
	make_image 1M
	attach
	serve
	for option in --queues=4 --ring-order=2; do
		hold "$option"
		old_ring
		try tap-attach --stale
		status_is 0
		# Also while nobody serves it.
		stop "$SERVER"
		try tap-attach --stale
		status_is 0
		stdout_is ''
		try tap-attach -d web1/xvda
		status_is 8
		serve
		stop "$HOLD"
	done
}
