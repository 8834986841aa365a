#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# sim: --domains 3
# The duties that published advisories leave to a backend, a test each. Most are one look at what
# tests/hostile/ plays at length; where a unit test shows it better, that one is run.
load helper

PATH=$BUILD/hostile:$PATH

# begin [OPTION...]: web1's disk, served. ATTACH are options for tap-attach.
begin()
{
	[[ -e disk.img ]] || make_image 4M
	# shellcheck disable=SC2086 # several options are wanted
	attach ${ATTACH-} web1/xvda disk.img
	serve "$@" "$DISK"
}

# unit PROGRAM TEST: one test of a unit test.
unit()
{
	CMOCKA_MESSAGE_OUTPUT=TAP "$BUILD/unit/$1" 2>&1 | grep -q "^ok.* $2\$" || fail "$1: $2"
}

# end: the disk goes, and the server with it.
end()
{
	tap-attach -d "$DISK"
	wait "$SERVER"
	disown_background "$SERVER"
	assert_nothing_held
}

# stat_of FILTER: of tap-stat's JSON for the disk.
stat_of()
{
	tap-stat -J "$DISK" | jq -r ".items[0] | $1"
}

# How often the server's threads slept and were woken.
wakings()
{
	awk '/^voluntary/ { n += $2 } END { print n }' /proc/"$SERVER"/task/*/status
}

@test "XSA-155, 478: copy, then check the copy; also for indirect pages" {
	begin
	hostile slot-changes xvda
	hostile indirect-changes xvda
	end
	begin --data-path map
	hostile slot-changes xvda
	hostile indirect-changes xvda
}

@test "XSA-216: no stack bytes in responses" {
	unit test-ring response_padding
	# hostile looks at the padding of each answer
	begin
	hostile garbage xvda
	hostile --abi x86_32-abi garbage xvda
}

@test "XSA-142, CVE-2013-2140: read-only per operation, discard included, and O_RDONLY underneath" {
	make_image 4M
	cp disk.img before.img
	ATTACH=-r
	begin
	hostile read-only xvda
	cmp disk.img before.img
	local fd flags
	for fd in /proc/"$SERVER"/fd/*; do
		[[ $(readlink "$fd") == "$T/disk.img" ]] || continue
		flags=$(awk '/^flags/ { print $2 }' "/proc/$SERVER/fdinfo/${fd##*/}")
		echo "descriptor ${fd##*/}: flags $flags"
		[[ $((flags & 3)) -eq 0 ]]
	done
	[[ -n ${flags-} ]]
}

@test "XSA-48: never probe the image format" {
	# A guest writes what makes an image of its disk, with a file of the host behind it.
	make_image 4M
	make_image 1M secret.img
	begin
	qemu-img create -q -f qcow2 -b "$T/secret.img" -F raw header.img 1M
	truncate -s 1M header.img
	front write -i header.img xvda 0
	end
	begin
	front read xvda 0 1M | cmp - header.img
	[[ $(front -J info xvda | jq '.items[0].size_bytes') -eq $((4 << 20)) ]]
}

@test "XSA-71: no mapping leaked on any error path: counted, and zero at detach" {
	local path
	for path in map copy persistent; do
		begin --data-path "$path"
		hostile grants-bad xvda
		hostile grants-read-only xvda
		hostile indirect-segments xvda
		[[ $(stat_of '.pages_mapped - .pages_unmapped') -eq 0 ]]
		end
		if grep 'still mapped' serve.log; then fail "$path"; fi
	done
}

@test "XSA-175, 178: the frontend's directory is guest-writable: numbers bounded, identity from our side" {
	begin
	hostile ring-order xvda
	hostile ring-ref xvda
	hostile queues xvda
	# backend and backend-id that say something else
	hostile features xvda
	hostile directory-huge xvda
}

@test "XSA-180: every log line that a guest can cause is limited" {
	begin
	local began=$SECONDS
	hostile states-refused xvda
	hostile states-toggled xvda
	hostile req_prod-far-ahead xvda
	[[ $(grep -c web1 serve.log) -le $((5 * (SECONDS - began + 2))) ]]
	# of all its disks together
	unit test-account its_disks_share_the_lines
}

@test "XSA-332: unmask after the work, bound the work per wake-up" {
	begin
	local began=$SECONDS
	hostile storm-notify xvda
	# Of the 20000 that were sent, those are taken that are good for something, and few others.
	[[ $(stat_of '.wakeups - .batches') -le $((100 + 1000 * (SECONDS - began + 1))) ]]
	unit test-share useless_events_are_not_asked_for
	# Work is bounded, and the others are next.
	unit test-share whoever_always_has_work_gets_the_same
}

@test "XSA-349: watch only what is needed, drain fast, coalesce" {
	begin
	hostile storm-watch xvda
	# Nodes of the guest that are not its state are no event for the server.
	local before nodes=() n
	for ((n = 0; n < 1000; n++)); do
		nodes+=(/local/domain/1/device/vbd/51712/other "$n")
	done
	before=$(wakings)
	xenstore-write "${nodes[@]}"
	# One that is: whatever else there was came before it.
	xenstore-write /local/domain/1/device/vbd/51712/state 6
	wait_for_node /local/domain/0/backend/tap/1/51712/state 6
	[[ $(($(wakings) - before)) -lt 300 ]]
}

@test "XSA-350: teardown is idempotent under connect and disconnect toggling" {
	begin
	hostile states-pairs xvda
	hostile states-toggled xvda
	hostile states-reconnecting xvda
	[[ $(xenstore-read /local/domain/0/backend/tap/1/51712/state) == 2 ]]
	assert_nothing_held
	front verify --ops 100 xvda
}

@test "XSA-361, 362, 365, 371: status per reference, no abort on a grant error, exact unwinding" {
	local path
	for path in map copy persistent; do
		begin --data-path "$path"
		hostile grants-bad xvda
		hostile grants-foreign xvda
		hostile grants-all-bad xvda
		front verify --ops 100 xvda
		end
	done
}
