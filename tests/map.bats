#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# sim: --domains 2
# tap-map: what a disk has granted.
load helper
load looking

front_node()
{
	xenstore-read "/local/domain/1/device/vbd/51712/$1"
}

@test "the ring and the port are those that the guest has published" {
	attach_and_serve
	hold
	ref=$(front_node ring-ref)
	port=$(front_node event-channel)
	try tap-map "$DISK"
	status_is 0
	stderr_is ''
	stdout_has 'web1/xvda: backend Connected(4), frontend Connected(4)'
	stdout_matches "ring +0 +$ref  page 1 of 1"
	stdout_matches "port +0 +$port  event channel"
	stdout_has "tap-serve $SERVER (copy): 0 pages mapped now, 0 of them kept; 0 mapped, 0 unmapped, 0 copied so far"
	try tap-map -J -q 0 "$DISK"
	status_is 0
	json_is '[.items[].use]' '["ring","port","server"]'
	json_is '.items[0] | [.disk, .queue, .gref, .page, .pages]' "[\"web1/xvda\",0,$ref,0,1]"
	json_is '.items[1].port' "$port"
	json_is '.items[2] | [.pid, .pages_mapped_now]' "[$SERVER,0]"
}

@test "pages of requests outstanding, with their direction" {
	attach_and_serve
	bench --rw write --bs 8K --iodepth 4
	kill -STOP "$SERVER"
	wait_ring '.outstanding == 4'
	try tap-map -J "$DISK"
	status_is 0
	json_is '[.items[] | select(.use == "data")] | length' 8
	json_is '[.items[] | select(.use == "data") | [.direction, .operation, .first_sect, .last_sect]] | unique' \
		'[["from-guest","WRITE",0,7]]'
	pages=$(jq -c '[.items[] | select(.use == "data") | [.gref, .sector]]' <<<"$output")
	try tap-ring -J "$DISK"
	json_is '[.items[0].requests[] |
		[.segments[0].gref, .sector], [.segments[1].gref, .sector + 8]]' "$pages"
	try tap-map "$DISK"
	status_is 0
	stdout_matches 'data +0 +[0-9]+  from guest, WRITE id [0-9a-f]+ in slot [0-9]+, sector [0-9]+ \(0-7 of the page\)'
	kill -CONT "$SERVER"
}

@test "pages that a server has mapped are counted, and none is left" {
	attach_and_serve --data-path map
	TAP_SIM_DOMID=1 tap-front verify --ops 200 xvda 2>/dev/null
	hold
	try tap-map -J "$DISK"
	status_is 0
	json_is '.items[2] | .data_path' map
	json_is '.items[2] | .pages_mapped > 0 and .pages_mapped == .pages_unmapped and .pages_mapped_now == 0' true
}

@test "no page stays mapped by a look" {
	attach_and_serve
	hold
	tap-map "$DISK" >list
	tap-map --dump "$DISK" >dump
	tap-map --page "$(front_node ring-ref)" "$DISK" >page
	held=$(tap-sim --held || true)
	[[ $held == *tap-serve* && $held != *tap-map* ]] || fail "$held"
	# The guest ends its grants, which fails while anybody has them mapped.
	stop "$HOLD"
}

@test "--page shows the bytes of one page, --raw writes them" {
	attach_and_serve
	hold
	ref=$(front_node ring-ref)
	tap-map --dump "$DISK" >dump
	tap-map --page "$ref" --raw "$DISK" >raw
	[[ $(stat -c %s raw) -eq 4096 ]]
	tail -c 4096 dump | cmp - raw
	try tap-map --page "$ref" "$DISK"
	status_is 0
	[[ ${#lines[@]} -eq 256 ]]
	# A fresh ring: req_prod 0, req_event 1, rsp_prod 0, rsp_event 1.
	[[ ${lines[0]} == '0000  00 00 00 00 01 00 00 00 00 00 00 00 01 00 00 00  |................|' ]] ||
		explain 'the first line'
	try tap-map -J --page "$ref" "$DISK"
	status_is 0
	json_is '.items[0] | [.disk, .gref, (.bytes | length), .bytes[0:16]]' \
		"[\"web1/xvda\",$ref,8192,\"0000000001000000\"]"
}

@test "a page that is not granted" {
	attach_and_serve
	hold
	try tap-map --page 4000000000 "$DISK"
	status_is 3
	stdout_is ''
	stderr_has 'grant 4000000000 of domain 1: not granted'
	try tap-map --page 4000000000 --raw "$DISK"
	status_is 3
	stdout_is ''
}

@test "raw pages do not go to a terminal" {
	need_terminal
	attach_and_serve
	hold
	for options in --dump "--page $(front_node ring-ref) --raw"; do
		# script(1) gives it one.
		try script -qec "tap-map $options $DISK" /dev/null
		status_is 2
		stdout_has 'raw pages do not go to a terminal'
	done
}

@test "a dump of the server's own indices" {
	attach_and_serve
	hold
	tap-map --dump "$DISK" >dump
	try sed -n '/^$/q; s/^taken-ns [0-9]*$/taken-ns/; p' dump
	stdout_is 'taptools-ring 1
disk web1/xvda
queue 0
abi x86_64-abi
order 0
taken-ns
req-cons 0
rsp-prod-pvt 0'
	stop "$HOLD"
	stop "$SERVER"
}

@test "before the guest comes there is nothing granted" {
	attach_and_serve
	for option in --dump -J; do
		try tap-map "$option" "$DISK"
		status_is 3
		stderr_is 'tap-map: web1/xvda: the frontend has published no ring (backend InitWait(2), frontend Initialising(1))'
	done
	json_is '[.items, .error.exit]' '[[],3]'
}

@test "no such domain, disk, queue" {
	attach_and_serve
	hold
	for line in nobody/xvda web1/xvdz '-q 1 web1/xvda' '--dump -q 3 web1/xvda'; do
		# shellcheck disable=SC2086 # several words are wanted
		try tap-map $line
		status_is 3
		[[ -n $stderr ]] || explain 'no reason'
	done
}

@test "what the command line cannot mean" {
	while read -r line; do
		# shellcheck disable=SC2086 # several words are wanted
		try tap-map $line
		status_is 2
		stdout_is ''
	done <<-'EOF2'

		web1
		web1/xvda web2/xvda
		--dump --page 8 web1/xvda
		--raw web1/xvda
		--page 8 -q 0 web1/xvda
		--page 4294967296 web1/xvda
		--page -1 web1/xvda
		-q 16 web1/xvda
	EOF2
	try tap-map --dump -J web1/xvda
	status_is 2
	json_is '.error.exit' 2
}

@test "output that cannot be written is an error" {
	attach_and_serve
	hold
	for options in --dump -J "--page $(front_node ring-ref)"; do
		try bash -c "tap-map $options $DISK >/dev/full"
		status_is 9
	done
}
