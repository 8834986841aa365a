#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# sim: --domains 3
# Frontends that mean harm: web1 attacks its disk while web2, whose disk is served by the same process,
# verifies its own. `hostile --list` says what each class does; hostile itself judges each answer, what
# the server counted, and that the disk works again; here is the rest.
load ../helper

PATH=$BUILD/hostile:$PATH
VICTIM_OPS=${VICTIM_OPS-1000}

# begin [OPTION...]: two guests' disks, and one server for both. ATTACH are options for web1's.
begin()
{
	make_image 4M attacked.img
	make_image 4M victim.img
	# shellcheck disable=SC2086 # several options are wanted
	tap-attach ${ATTACH-} web1/xvda attacked.img
	tap-attach web2/xvda victim.img
	serve "$@" web1/xvda web2/xvda
}

# during COMMAND...: runs it beside the victim's verify, whose pid is VICTIM; both must end well.
during()
{
	local lines began=$SECONDS

	lines=$(grep -c web1 serve.log || true)
	GUEST=2 in_background front verify --ops "$VICTIM_OPS" xvda
	VICTIM=$PID
	"$@"
	disown_background "$VICTIM"
	wait "$VICTIM" || fail "the victim: $(<background.log)"
	kill -0 "$SERVER"
	# However long it lasts, web1 does not fill the log.
	lines=$(($(grep -c web1 serve.log || true) - lines))
	[[ $lines -le $((10 * (SECONDS - began + 1))) ]] || fail "$lines lines of log"
}

play()
{
	hostile --until "$VICTIM" "$@" xvda >said || fail "$1"
	cat said
	nothing_of_web1
}

# Of a guest that has closed its disk, the server has nothing left.
nothing_of_web1()
{
	local held
	held=$(tap-sim --held | grep -w 'of domain 1' || true)
	[[ -z $held ]] || fail "still held: $held"
}

# finish: the disks go, and the server with them.
finish()
{
	tap-attach -d --force web1/xvda web2/xvda
	wait "$SERVER"
	disown_background "$SERVER"
	assert_nothing_held
}

# attack CLASS: with the data path that is the default.
attack()
{
	begin
	during play "$1"
}

# attack_paths CLASS: with each data path, since each has its own way to unwind.
attack_paths()
{
	local path
	for path in map copy persistent; do
		begin --data-path "$path"
		if [[ $path == persistent ]]; then
			during play --persistent "$1"
		else
			during play "$1"
		fi
		finish
	done
}

@test "req_prod far ahead: the ring is stopped, and good again after a reconnect" {
	attack req_prod-far-ahead
	[[ $(tap-stat -J web1/xvda | jq '.items[0].broken_rings') -ge 5 ]]
	[[ $(tap-stat -J web2/xvda | jq '.items[0].broken_rings') -eq 0 ]]
}

@test "req_prod behind what was answered: the same" {
	attack req_prod-behind
}

@test "req_prod lowered with requests in flight: the same" {
	attack req_prod-lowered
}

@test "req_prod across 2^32: sound rings go on, broken ones are stopped" {
	attack req_prod-wrapping
}

@test "req_prod impossible before the connect: the same" {
	attack req_prod-at-connect
}

@test "the server's own indices overwritten" {
	attack other-indices
}

@test "slots full of noise, in both ABIs" {
	begin
	during play garbage
	during play --abi x86_32-abi garbage
}

@test "slots that change after they were pushed" {
	attack_paths slot-changes
}

@test "duplicate ids: as many answers as requests" {
	attack duplicate-ids
}

@test "nr_segments 0, 11, 12, 255 for each operation, in both ABIs" {
	begin
	during play nr_segments
	during play --abi x86_32-abi nr_segments
}

@test "unknown operations: EOPNOTSUPP each" {
	attack unknown-operations
}

@test "first_sect > last_sect, last_sect 8 to 255" {
	attack segment-bounds
}

@test "sector_number at the end of the disk and near 2^64" {
	attack capacity
}

@test "discards that wrap, of nothing, with any flag" {
	attack discard
	finish
	ATTACH=--no-discard
	attack discard
}

@test "unaligned requests of a disk of 4096-byte sectors, and of 512" {
	attack alignment
	finish
	ATTACH=--sector-size=4096
	attack alignment
}

@test "every way to write to a read-only disk" {
	ATTACH=-r
	begin
	cp attacked.img before.img
	during play read-only
	cmp attacked.img before.img
}

@test "indirect: 0, 1, max, max + 1 segments" {
	attack_paths indirect-counts
}

@test "indirect: operations that there are not" {
	attack indirect-operations
}

@test "indirect: a bad page of segments" {
	attack_paths indirect-pages
}

@test "indirect: one bad segment of many" {
	attack_paths indirect-segments
}

@test "indirect: a page that changes after submission" {
	attack_paths indirect-changes
}

@test "bad grants at each position of a batch" {
	attack_paths grants-bad
}

@test "foreign grants at each position of a batch" {
	attack_paths grants-foreign
}

@test "revoked grants at each position of a batch" {
	attack_paths grants-revoked
}

@test "read-only grants to be read into, at each position of a batch" {
	attack_paths grants-read-only
}

@test "batches of bad grants alone" {
	attack_paths grants-all-bad
}

@test "one page in all segments of all requests" {
	attack_paths grants-same-page
}

@test "the ring itself as a page of data" {
	attack_paths grants-ring
}

@test "ring-page-order -1, 5, 31, x, nothing; num-ring-pages no better" {
	attack ring-order
}

@test "ring-ref missing, 0, repeated, not to be mapped" {
	attack ring-ref
}

@test "event-channel bogus, or another's" {
	attack event-channel
}

@test "protocol garbage" {
	attack protocol
}

@test "queues 0, max + 1, more than published" {
	attack queues
}

@test "two queues with one ring and one port" {
	attack queues-alike
}

@test "features that say nothing" {
	attack features
}

@test "a directory as huge as XenStore lets it be" {
	attack directory-huge
}

@test "the frontend's directory deleted: closed, and good for a new attach" {
	begin
	during play directory-removed
	[[ $(xenstore-read /local/domain/0/backend/tap/1/51712/state) == 6 ]]
	finish
	tap-attach web1/xvda attacked.img
	serve web1/xvda
	front verify --ops 100 xvda
}

@test "every pair of states, and values that are none" {
	attack states-pairs
}

@test "states toggled fast" {
	attack states-toggled
}

@test "one connection after the other" {
	attack states-reconnecting
}

@test "Closing, and the ring in use all the same: served until Closed" {
	attack states-in-use
}

@test "one bad connection after the other: few lines of log" {
	attack states-refused
}

@test "an event channel hammered with nothing to do" {
	attack storm-notify
}

@test "a state node written all the time" {
	attack storm-watch
}

@test "a ring full of the largest requests" {
	attack_paths storm-requests
}

# The guest dies with its ring full, and its nodes with it.
destroyed()
{
	local attacker

	TAP_SIM_DOMID=1 tap-front bench --runtime 1h --rw randrw xvda >bench.log 2>&1 3>&- &
	attacker=$!
	until [[ $(tap-stat -J web1/xvda | jq '.items[0].requests') -gt 500 ]]; do
		kill -0 "$attacker"
	done
	tap-sim --destroy web1
	wait "$attacker" || true
	wait_for_node /local/domain/0/backend/tap/1/51712/state 6
	nothing_of_web1
	tap-attach --clean
}

@test "the guest destroyed with requests in flight" {
	begin
	during destroyed
}

@test "each class of hostile --list is played by a test of this file" {
	hostile --list | while read -r class _; do
		grep -q "\b$class\$" "$BATS_TEST_FILENAME" || fail "$class is not"
	done
}
