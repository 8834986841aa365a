#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# sim: --domains 2
# tap-ring: what it shows of a ring, live or in a file, and how it judges it.
load helper
load looking

# A copy of an idle ring in dump, with its first indices changed to these.
broken_dump()
{
	attach_and_serve
	hold
	tap-map --dump "$DISK" >dump
	printf '%b' "$1" | dd of=dump bs=1 seek=$(($(stat -c %s dump) - 4096)) conv=notrunc status=none
}

@test "a ring at rest is idle" {
	attach_and_serve
	hold
	try tap-ring "$DISK"
	status_is 0
	stderr_is ''
	stdout_has 'web1/xvda queue 0: idle: nothing outstanding'
	stdout_has '1 page, 32 slots of 112 bytes, x86_64-abi'
	stdout_has "backend Connected(4), frontend Connected(4), tap-serve $SERVER"
	stdout_has 'shared   req_prod 0  rsp_prod 0  req_event 1  rsp_event 1'
	stdout_has 'private  req_cons 0  rsp_prod_pvt 0'
	try tap-ring --interval 50ms "$DISK"
	status_is 0
	stdout_has 'idle: nothing outstanding'
	[[ $output != *SLOT* ]] || explain 'a table without a request'
}

@test "all slots of a fresh ring are unused" {
	attach_and_serve
	hold --abi x86_32
	try tap-ring --all -J "$DISK"
	status_is 0
	json_is '.items[0] | [.abi, .slots]' '["x86_32-abi",32]'
	json_is '[.items[0].requests[].state] | unique' '["unused"]'
	json_is '[.items[0].requests[].slot] | sort == [range(32)]' true
}

@test "a ring that works is moving" {
	attach_and_serve
	bench
	try tap-ring -J --interval 300ms "$DISK"
	status_is 0
	json_is '.items[0].verdict' moving
	json_is '.items[0] | .moved_requests > 0 and .moved_responses > 0' true
}

@test "a stopped server is told as a stuck backend" {
	attach_and_serve
	bench --bs 8K --iodepth 16
	kill -STOP "$SERVER"
	wait_ring '.outstanding == 16'
	try tap-ring "$DISK"
	status_is 0
	stdout_has 'busy: 16 requests outstanding'
	try tap-ring --interval 100ms "$DISK"
	status_is 1
	stdout_matches 'backend-stuck: 16 requests outstanding, none answered in [0-9.]+ m?s'
	try tap-ring -J --interval 100ms "$DISK"
	status_is 1
	json_is '.items[0] | [.verdict, .outstanding, .moved_responses]' '["backend-stuck",16,0]'
	json_is '.items[0].requests | length' 16
	json_is '[.items[0].requests[] | [.operation, .nr_segments, .sectors]] | unique' '[["READ",2,16]]'
	json_is '[.items[0].requests[].segments[] | [.first_sect, .last_sect]] | unique' '[[0,7]]'
	kill -CONT "$SERVER"
	try tap-ring --interval 300ms "$DISK"
	status_is 0
	stdout_has 'moving'
}

@test "a stopped guest is told as a stuck frontend" {
	attach_and_serve
	bench
	# It asks for all it can and for an event, and then only the answers come.
	kill -STOP "$SERVER"
	wait_ring '.outstanding == 32 and .rsp_event == .rsp_prod + 1'
	kill -STOP "$BENCH"
	kill -CONT "$SERVER"
	wait_ring '.outstanding == 0'
	try tap-ring --all -J --interval 100ms "$DISK"
	status_is 1
	json_is '.items[0] | [.verdict, .outstanding]' '["frontend-stuck",0]'
	json_is '.items[0].untaken' 32
	json_is '[.items[0].requests[] | [.state, .operation, .status]] | unique' '[["response","READ",0]]'
	kill -CONT "$BENCH"
}

@test "a ring whose server died is still there to be seen" {
	attach_and_serve
	bench
	crash "$SERVER"
	wait_ring '.outstanding == 32'
	try tap-ring --interval 100ms "$DISK"
	status_is 1
	stdout_has 'backend-stuck: 32 requests outstanding'
	stdout_has 'no tap-serve'
	[[ $output != *private* ]] || explain 'indices of a dead server'
	crash "$BENCH"
}

@test "before the guest comes there is no ring" {
	attach_and_serve
	try tap-ring "$DISK"
	status_is 3
	stdout_is ''
	stderr_is 'tap-ring: web1/xvda: the frontend has published no ring (backend InitWait(2), frontend Initialising(1))'
}

@test "a queue that is not there is named" {
	attach_and_serve
	hold
	try tap-ring -q 0 "$DISK"
	status_is 0
	try tap-ring -q 1 "$DISK"
	status_is 3
	stderr_is 'tap-ring: web1/xvda: there is no queue 1: the disk has 1'
}

@test "a ring that may not be mapped: 6, or 3 where the grant is gone" {
	attach_and_serve
	hold
	TAP_SIM_FAIL=xengnttab_open:1:EACCES try tap-ring "$DISK"
	status_is 6
	stderr_has 'cannot open the grant device: Permission denied'
	stderr_has tap-sim
	TAP_SIM_FAIL=xengnttab_map_domain_grant_refs:1:EPERM try tap-ring "$DISK"
	status_is 6
	stderr_matches 'cannot map grant [0-9]+ of domain 1: Operation not permitted'
	TAP_SIM_FAIL=xengnttab_map_domain_grant_refs:1:EINVAL try tap-ring "$DISK"
	status_is 3
	stderr_matches 'cannot map 1 page\(s\) from grant [0-9]+ of domain 1: not granted'
	try tap-ring "$DISK"
	status_is 0
}

@test "nodes that make no sense are named" {
	attach_and_serve
	hold
	xenstore-write /local/domain/1/device/vbd/51712/ring-page-order 7
	try tap-ring "$DISK"
	status_is 1
	stderr_has "/local/domain/1/device/vbd/51712/ring-page-order'"
	try tap-ring -J "$DISK"
	status_is 1
	json_is '[.items, .error.exit]' '[[],1]'
	xenstore-rm /local/domain/1/device/vbd/51712/ring-page-order
}

@test "a dump shows what the ring shows" {
	attach_and_serve
	bench
	kill -STOP "$SERVER"
	wait_ring '.outstanding == 32'
	tap-ring -J "$DISK" >live
	tap-map --dump "$DISK" >dump
	kill -CONT "$SERVER"
	for file in dump ./dump "$T/dump"; do
		try tap-ring -J "$file"
		status_is 0
		json_is '.items[0] | [.disk, .queue, .verdict]' '["web1/xvda",0,"busy"]'
		[[ $(jq '.items[0].requests' <<<"$output") == "$(jq '.items[0].requests' live)" ]] ||
			explain 'other requests than live'
	done
	try tap-ring - <dump
	status_is 0
	stdout_has 'web1/xvda queue 0: busy: 32 requests outstanding'
	mkdir web1 && mv dump web1/xvda
	try tap-ring ./web1/xvda
	status_is 0
	stdout_has '32 requests outstanding'
}

@test "more requests than the ring holds: broken" {
	broken_dump '\x21\0\0\0'
	try tap-ring dump
	status_is 1
	stdout_has 'broken: req_prod 33 is 33 ahead of rsp_prod 0: the ring holds no more than 32'
	try tap-ring --all -J dump
	status_is 1
	json_is '.items[0] | [.verdict, .outstanding, (.requests | length)]' '["broken",0,32]'
	json_is '[.items[0].requests[].state] | unique' '["unknown"]'
}

@test "a ring that was stopped is told so, though its indices are good again" {
	attach_and_serve
	stopped_ring
	try tap-ring "$DISK"
	status_is 1
	stdout_has 'web1/xvda queue 0: ring-stopped: its indices were impossible; the server takes no request of it until the frontend reconnects'
	try tap-ring -J --interval 10ms "$DISK"
	status_is 1
	json_is '.items[0] | [.verdict, .outstanding]' '["ring-stopped",0]'
	tap-map --dump "$DISK" >dump
	try tap-ring dump
	status_is 1
	stdout_has 'ring-stopped: its indices were impossible'
	stop "$STOPPED"
	hold
	try tap-ring "$DISK"
	status_is 0
}

@test "more answers than requests: broken" {
	broken_dump '\0\0\0\0\0\0\0\0\x01\0\0\0'
	try tap-ring dump
	status_is 1
	stdout_has 'broken: rsp_prod 1 is 1 ahead of req_prod 0: more was answered than asked'
}

@test "slots full of garbage are decoded within bounds" {
	attach_and_serve
	hold
	tap-map --dump "$DISK" | head -c -4096 >dump
	printf '\x20\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0%048d' 0 >>dump
	head -c 4032 /dev/zero | tr '\0' '\377' >>dump
	try tap-ring -J dump
	status_is 0
	json_is '.items[0].requests | length' 32
	json_is '[.items[0].requests[] | [.operation, .nr_segments, .sectors, (.segments | length)]] | unique' \
		'[["UNKNOWN",255,0,11]]'
	try tap-ring dump
	status_is 0
	stdout_has '4294967295[255-255]'
}

@test "what is no ring copy is refused, and says why" {
	attach_and_serve
	hold
	tap-map --dump "$DISK" >dump
	head -c -1 dump >short
	{ cat dump; echo; } >long
	sed 's/^order 0$/order 1/' dump >order
	sed 's/^abi .*$/abi vax/' dump >abi
	sed 's/^queue/colour/' dump >key
	: >empty
	head -c 4096 /dev/urandom >noise
	while read -r file why; do
		try tap-ring "$file"
		status_is 2
		stdout_is ''
		stderr_has "cannot read '$file': $why"
	done <<-'EOF2'
		short it ends within the ring's pages
		long bytes follow the ring's pages
		order it ends within the ring's pages
		abi line 4: impossible value of 'abi'
		key line 3: unknown key
		empty it is no ring copy
		noise it is no ring copy
	EOF2
	try tap-ring -J empty
	status_is 2
	json_is '[.items, .error.exit]' '[[],2]'
}

@test "no such file, domain, disk" {
	try tap-ring nothing.ring
	status_is 3
	stderr_is "tap-ring: cannot open 'nothing.ring': No such file or directory"
	try tap-ring nobody/xvda
	status_is 3
	stderr_has nobody
	try tap-ring web1/xvdz
	status_is 3
	stderr_has xvdz
	try tap-ring -J web1/xvdz
	status_is 3
	json_is '[.tool, .items, .error.exit]' '["tap-ring",[],3]'
}

@test "what the command line cannot mean" {
	while read -r line; do
		# shellcheck disable=SC2086 # several words are wanted
		try tap-ring $line
		status_is 2
		stdout_is ''
	done <<-'EOF2'

		web1/xvda web2/xvda
		-q 16 web1/xvda
		-q -1 web1/xvda
		-q x web1/xvda
		--interval 0 web1/xvda
		--interval 25h web1/xvda
		--interval x web1/xvda
		--interval 1s /dev/null
		-q 0 /dev/null
	EOF2
}
