#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# sim: --domains 2
# What the two ends can agree on, in combinations: queues, sizes of rings, indirect requests, data
# paths, ABIs; the operations beyond read and write; and each way through the states that frontends
# take.
#
# VERIFY_OPS is how many random operations each combination gets.
load helper

VERIFY_OPS=${VERIFY_OPS-250}

front_dir=/local/domain/1/device/vbd/51712
backend_dir=/local/domain/0/backend/tap/1/51712

attach_and_serve()
{
	make_image "${1-4M}"
	attach
	serve "${@:2}" "$DISK"
}

# combine DATA-PATH QUEUES ORDER INDIRECT ABI [OPTION...]: random operations, and a look at what is
# in use.
combine()
{
	local segments=$(($4 > 11 ? $4 : 11)) queues=$2 pages=$((1 << $3))
	local -a options=(--queues "$2" --ring-order "$3" --indirect "$4" --abi "$5" "${@:6}")

	try front "${options[@]}" -J info xvda
	status_is 0
	json_is '.items[0] | [.queues, .ring_pages, .segments]' "[$queues,$pages,$segments]"
	try front "${options[@]}" verify --ops "$VERIFY_OPS" xvda
	[[ $status -eq 0 ]] || explain "$1 ${options[*]}"
}

# Requests that the server took since it began to serve.
requests()
{
	tap-stat -J "$DISK" | jq '.items[0].requests'
}

# Every pair of values of different parameters comes up in one of these.
@test "random operations find no difference, whatever was agreed on: map" {
	attach_and_serve 4M --data-path=map
	combine map 1 0 0 x86_64
	combine map 1 2 32 x86_32
	combine map 1 4 256 native
	combine map 4 0 32 x86_64 --fresh-grants
	combine map 4 2 256 x86_32 --scatter
	combine map 4 4 0 native
	combine map 16 0 256 x86_32
	combine map 16 2 0 native --scatter
	combine map 16 4 32 x86_64
}

@test "random operations find no difference, whatever was agreed on: copy" {
	attach_and_serve 4M --data-path=copy
	combine copy 1 0 256 native --scatter
	combine copy 1 2 0 x86_64
	combine copy 1 4 32 x86_32
	combine copy 4 0 0 x86_32
	combine copy 4 2 32 native --scatter
	combine copy 4 4 256 x86_64
	combine copy 16 0 32 native
	combine copy 16 2 256 x86_64 --fresh-grants
	combine copy 16 4 0 x86_32
}

@test "random operations find no difference: all there is, several threads, more in flight than fits" {
	attach_and_serve 16M --threads=4
	front --queues max --ring-order max --indirect max --scatter --barriers --flush-data \
		verify --ops 1000 --iodepth 300 xvda
}

@test "the older way to tell of a ring's size is understood" {
	attach_and_serve
	hold --ring-dialect pages --ring-order 3
	[[ $(xenstore-read "$front_dir/num-ring-pages") -eq 8 ]]
	run ! xenstore-exists "$front_dir/ring-page-order"
	[[ $(tap-ring -J "$DISK" | jq '.items[0].pages') -eq 8 ]]
	stop "$HOLD"
	front --ring-dialect pages --ring-order 3 --queues 2 verify --ops "$VERIFY_OPS" xvda
	front --ring-dialect pages verify --ops "$VERIFY_OPS" xvda
}

@test "operations go to all queues" {
	attach_and_serve
	hold --queues 4
	[[ $(xenstore-read "$front_dir/multi-queue-num-queues") -eq 4 ]]
	run ! xenstore-exists "$front_dir/ring-ref"
	stop "$HOLD"
	run ! xenstore-exists "$front_dir/queue-0"
	run ! xenstore-exists "$front_dir/multi-queue-num-queues"
	in_background front --queues 4 bench --runtime 60s xvda
	wait_for_node "$front_dir/state" 4
	until [[ $(tap-ring -J "$DISK" | jq '[.items[] | select(.req_prod > 10)] | length') -eq 4 ]]; do
		kill -0 "$PID"
	done
}

@test "an indirect request carries as much as many others" {
	attach_and_serve 4M
	before=$(requests)
	front read -o plain xvda 0 1M
	[[ $(($(requests) - before)) -eq 24 ]] # of 11 pages
	before=$(requests)
	front --indirect 256 read -o indirect xvda 0 1M
	[[ $(($(requests) - before)) -eq 1 ]]
	before=$(requests)
	front --indirect 32 read -o smaller xvda 0 1M
	[[ $(($(requests) - before)) -eq 8 ]]
	cmp plain <(head -c 1M disk.img)
	cmp plain indirect
	cmp plain smaller
}

@test "256 segments at odd places of their pages give the same data" {
	attach_and_serve 4M
	make_image 2M new
	for path in map copy; do
		stop "$SERVER"
		serve --data-path=$path "$DISK"
		front --indirect 256 --scatter write -i new xvda 1536
		cmp new <(tail -c +1537 disk.img | head -c 2M)
		front --indirect 256 --scatter read -o back xvda 1536 2M
		cmp new back
		front read -o back xvda 1536 2M
		cmp new back
		make_image 2M new
	done
}

@test "more than the backend offers is refused, with what it offers; max takes that" {
	make_image 1M
	attach
	xenstore-write "$backend_dir/taptools-max-queues" 2
	xenstore-write "$backend_dir/taptools-max-ring-order" 1
	xenstore-write "$backend_dir/taptools-max-segments" 64
	serve
	try front --queues 3 info xvda
	status_is 2
	[[ ${stderr_lines[0]} == "tap-front: xvda: option '--queues': 3 is more than the backend offers, 2" ]] ||
		explain "another message"
	stderr_has '--queues=max'
	try front --ring-order 2 info xvda
	status_is 2
	stderr_has "option '--ring-order': 2 is more than the backend offers, 1"
	try front --indirect 65 info xvda
	status_is 2
	stderr_has "option '--indirect': 65 is more than the backend offers, 64"
	try front -J --queues max --ring-order max --indirect max info xvda
	status_is 0
	json_is '.items[0] | [.queues, .ring_pages, .segments]' '[2,2,64]'
	json_is '.items[0] | [.max_queues, .max_ring_pages, .max_indirect_segments]' '[2,2,64]'
	front --queues max --ring-order max --indirect max verify --ops "$VERIFY_OPS" xvda
	try front --queues 17 info xvda
	status_is 2
	stderr_has 'from 1 to 16'
}

@test "a disk that offers no indirect requests, and one queue" {
	make_image 1M
	attach
	xenstore-write "$backend_dir/taptools-max-queues" 1
	xenstore-write "$backend_dir/taptools-max-ring-order" 0
	xenstore-write "$backend_dir/taptools-max-segments" 0
	serve
	front --queues max --ring-order max --indirect max verify --ops "$VERIFY_OPS" xvda
	try front -J --queues max --ring-order max --indirect max info xvda
	json_is '.items[0] | [.queues, .ring_pages, .segments, .max_indirect_segments]' '[1,1,11,0]'
	try front --indirect 12 info xvda
	status_is 2
}

@test "a frontend that asks for more than was offered is not connected, and told why" {
	attach_and_serve
	hold
	crash "$HOLD"
	xenstore-write "$front_dir/state" 6
	wait_for_node "$backend_dir/state" 6
	xenstore-write "$front_dir/multi-queue-num-queues" 17
	xenstore-write "$front_dir/state" 3
	wait_for_node "/local/domain/0/error/backend/tap/1/51712/error"
	[[ $(xenstore-read "/local/domain/0/error/backend/tap/1/51712/error") == *multi-queue-num-queues* ]]
	[[ $(xenstore-read "$backend_dir/state") -ne 4 ]]
	front --queues 2 verify --ops "$VERIFY_OPS" xvda
}

@test "barriers and flushes with data are done, among others in flight" {
	attach_and_serve
	for queues in 1 4; do
		try front -J --queues "$queues" --barriers --flush-data verify --ops 1500 xvda
		status_is 0
		json_is '.items[0] | .barriers > 5 and .flushes > 5' true
	done
	front barrier xvda
	front --queues 3 flush xvda
}

@test "what a barrier carried is in the image when it is answered" {
	attach_and_serve 1M
	front --barriers --abi x86_32 --queues 2 verify --seed 7 --ops 500 xvda
	cp disk.img with
	# The same operations again, the other way round the data path.
	stop "$SERVER"
	make_image 1M
	serve --data-path=map "$DISK"
	front --barriers --scatter verify --seed 7 --ops 500 xvda
	cmp with disk.img
}

@test "what is not offered is not asked for" {
	make_image 1M
	attach -r web1 disk.img
	serve
	try front discard xvda 0 all
	status_is 6
	stderr_is 'tap-front: xvda: the disk is read-only'
	try front --discards any verify xvda
	status_is 7
	stderr_is 'tap-front: xvda: the backend offers no discard'
	try front discard xvda 1M 512
	status_is 2
	stderr_has 'reach behind the end'
	try front discard xvda 0 100
	status_is 2
	stderr_has 'multiples of 512'
}

@test "discarded ranges of a file read as zeros, the others stay" {
	attach_and_serve 4M
	[[ $(front -J info xvda | jq '.items[0].discard') == true ]] || skip 'discard is not offered here'
	cp disk.img expected
	dd if=/dev/zero of=expected bs=512 seek=1000 count=3000 conv=notrunc status=none
	front discard xvda 512000 1536000
	front read -o back xvda 0 all
	cmp back expected
	front --discards zeros --queues 4 --indirect 32 verify --ops 1500 xvda
	front --discards any --barriers --abi x86_32 verify --ops 1500 xvda
	try front --secure discard xvda 0 4K
	status_is 7
	stderr_is 'tap-front: xvda: the backend offers no secure discard'
	front discard xvda 0 all
	cmp disk.img <(head -c 4M /dev/zero)
}

# --- ways through the states ---------------------------------------------------------------------

@test "a frontend that goes straight to Connected, as UEFI does" {
	attach_and_serve
	front --states uefi read -o all xvda 0 all
	cmp all disk.img
	for _ in 1 2 3; do
		front --states uefi --queues 2 --ring-order 1 verify --ops "$VERIFY_OPS" xvda
		front --queues 4 --indirect 32 verify --ops "$VERIFY_OPS" xvda # the kernel takes over
	done
}

@test "a frontend that goes straight to Connected before there is a server" {
	make_image 1M
	attach
	in_background front --states uefi read -o all xvda 0 all
	wait_for_node "$front_dir/state" 4
	serve
	disown_background "$PID"
	wait "$PID" || fail "$(<background.log)"
	cmp all disk.img
}

@test "a frontend that stays at Initialised and never closes, as boot loaders do" {
	attach_and_serve
	front --states boot --iodepth 1 read -o all xvda 0 all
	cmp all disk.img
	[[ $(xenstore-read "$front_dir/state") -eq 3 ]]
	[[ $(xenstore-read "$backend_dir/state") -eq 4 ]]
	# Nobody closed: such a disk is in use, and the next one closes for it.
	front --states boot verify --ops "$VERIFY_OPS" xvda
	[[ $(xenstore-read "$front_dir/state") -eq 3 ]]
	front --states uefi verify --ops "$VERIFY_OPS" xvda
	[[ $(xenstore-read "$front_dir/state") -eq 1 ]]
}

@test "a server takes over a disk whose frontend stays at Initialised" {
	attach_and_serve
	hold --states boot
	stop "$SERVER"
	serve
	[[ $(xenstore-read "$backend_dir/state") -eq 4 ]]
	stop "$HOLD"
	front verify --ops "$VERIFY_OPS" xvda
}

@test "connected again and again, each time with something else" {
	attach_and_serve 1M
	for i in {1..24}; do
		front --queues $((i % 16 + 1)) --ring-order $((i % 5)) --indirect $((i * 10)) \
			flush xvda
		[[ $(xenstore-read "$front_dir/state") -eq 1 ]]
	done
	front read -o all xvda 0 all
	cmp all disk.img
}

@test "killed in the middle of its work, again and again, each time with something else" {
	attach_and_serve 4M
	for options in '--queues 4' '--ring-order 3 --queues 2' '--indirect 256 --fresh-grants' \
		'--queues 16 --barriers' '--states uefi --queues 3' '--states boot --abi x86_32'; do
		: >verify.out
		# shellcheck disable=SC2086 # they are words
		TAP_SIM_DOMID=1 tap-front $options verify --ops 100000000 xvda >verify.out 2>&1 3>&- &
		victim=$!
		background+=("$victim")
		read -r _ < <(tail -f --pid="$victim" verify.out)
		crash "$victim"
	done
	front --queues 2 verify --ops "$VERIFY_OPS" xvda
}

@test "a frontend whose directory is removed while it is connected" {
	attach_and_serve
	hold --queues 4 --ring-order 2
	xenstore-rm "$front_dir"
	disown_background "$HOLD"
	status=0
	wait "$HOLD" || status=$?
	[[ $status -eq 9 ]] || fail "ended with $status: $(cat hold.log)"
	grep 'the backend went away' hold.log
	wait_for_node "$backend_dir/state" 6
	kill -0 "$SERVER"
	stop "$SERVER"
	tap-attach -d --force "$DISK"
}

@test "a frontend that works while its backend is asked to close" {
	attach_and_serve
	: >verify.out
	TAP_SIM_DOMID=1 tap-front --queues 4 --ring-order 2 verify --ops 2000 xvda >verify.out 2>&1 3>&- &
	worker=$!
	background+=("$worker")
	read -r _ < <(tail -f --pid="$worker" verify.out)
	tap-attach -d --timeout 60 "$DISK"
	disown_background "$worker"
	wait "$worker" || fail "$(<verify.out)"
	grep 'no difference' verify.out
}

@test "a resize is told to a frontend of many queues, and takes effect in each" {
	attach_and_serve 1M
	mkfifo out
	TAP_SIM_DOMID=1 tap-front --queues 4 hold xvda >out 2>hold.log 3>&- &
	background+=($!)
	exec 7<out
	wait_for_node "$front_dir/state" 4
	tap-attach -c "$DISK" 3M
	read -r line <&7
	[[ $line == 'xvda: now 3145728 bytes' ]]
	exec 7<&-
}
