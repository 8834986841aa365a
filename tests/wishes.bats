#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# sim: --domains 2
# What an operator may ask of a disk, from tap-attach's options to what the guest sees: discards,
# sector size, kind of device, caps; and what they cost in grants.
load helper

BACK=/local/domain/0/backend/tap/1/51712
PLUGIN=$BUILD/nbdkit-taptools-plugin.so

# back NODE...: their values, on one line.
back()
{
	xenstore-read "${@/#/$BACK/}" | xargs
}

# in_guest COMMAND: runs it with $uri, as an NBD client of the guest's disk.
in_guest()
{
	local asan
	[[ -e $PLUGIN ]] || skip 'the nbdkit plugin is not built: nbdkit-plugin-dev is missing'
	asan=$(ldd "$PLUGIN" | awk '/libasan/ { print $3 }')
	LD_PRELOAD=${asan:+$asan:}$LD_PRELOAD ASAN_OPTIONS=$ASAN_OPTIONS:detect_leaks=0 \
		TAP_SIM_DOMID=1 nbdkit -U - "$PLUGIN" disk=xvda \
		--run "export LD_PRELOAD= TMPDIR=$T; $1"
}

# The image's file system has no holes: the server cannot discard there.
need_holes()
{
	fallocate --punch-hole --offset 0 --length 4096 disk.img || skip 'no holes in files here'
}

# --- discards -----------------------------------------------------------------------------------

@test "a discard makes a hole in the image, and zeros for the guest" {
	make_image 8M
	need_holes
	cp disk.img want.img
	fallocate --punch-hole --offset 1M --length 4M want.img
	attach
	serve
	blocks=$(stat -c %b disk.img)
	in_guest 'qemu-io -f raw -c "discard 1M 4M" "$uri"'
	[[ $((blocks - $(stat -c %b disk.img))) -eq 8192 ]]
	cmp disk.img want.img
	front read xvda 0 all | cmp - want.img
	[[ $(tap-stat -J web1/xvda | jq '.items[0].discard.done') -ge 1 ]]
}

@test "discards are offered with what the image is made of" {
	make_image 1M
	need_holes
	attach
	serve
	[[ $(back discard-enable feature-discard discard-alignment discard-secure) == '1 1 0 0' ]]
	[[ $(back discard-granularity) == "$(stat -c %o disk.img)" ]]
}

@test "--no-discard, and a read-only disk: none are offered" {
	make_image 1M
	for option in --no-discard --read-only; do
		attach "$option" web1 disk.img
		serve
		[[ $(back discard-enable feature-discard) == '0 0' ]]
		run ! xenstore-exists $BACK/discard-granularity
		in_guest '! nbdinfo --can trim "$uri"'
		tap-attach -d "$DISK"
	done
}

# --- sector size --------------------------------------------------------------------------------

@test "--sector-size 4096: the guest is told, keeps to it, and its data arrives on each path" {
	make_image 8M
	for path in map copy; do
		attach --sector-size 4096 web1 disk.img
		serve --data-path "$path" "$DISK"
		front verify xvda --ops 2000
		[[ $(back sectors sector-size) == '16384 4096' ]]
		[[ $(back physical-sector-size) -ge 4096 ]]
		try front info -J xvda
		json_is '.items[0].sector_bytes' 4096
		front read xvda 0 all | cmp - disk.img
		tap-attach -d "$DISK"
	done
}

@test "--sector-size 4096: indirect and scattered requests, on each path and in each ABI" {
	make_image 8M
	for path in map copy persistent; do
		attach --sector-size 4096 web1 disk.img
		serve --data-path "$path" "$DISK"
		front --scatter verify xvda --ops 1000
		front --indirect 256 verify xvda --ops 1000
		front --indirect 100 --scatter --persistent --queues 2 verify xvda --ops 1000
		front --indirect 32 --scatter --abi x86_32 verify xvda --ops 1000
		tap-attach -d "$DISK"
	done
}

@test "--sector-size 4096 of an image that is no multiple of it: 7, nothing is written" {
	truncate -s 1049088 disk.img
	try tap-attach --sector-size 4096 web1 disk.img
	status_is 7
	stderr_has 'not a multiple of 4096'
	try xenstore-read $BACK/state
	status_is 1
	attach --sector-size 512 web1 disk.img
}

@test "a taptools-sector-size that is none: the disk is not served, and the error says why" {
	make_image 1M
	attach
	xenstore-write $BACK/taptools-sector-size 2048
	try tap-serve "$DISK"
	status_is 9
	stderr_has 'taptools-sector-size'
}

# --- kinds of device ----------------------------------------------------------------------------

@test "a cdrom is read-only and removable, for the toolstack and for the guest" {
	make_image 1M
	attach --device-type cdrom web1 disk.img
	serve
	front read xvda 0 all | cmp - disk.img
	[[ $(back mode device-type removable info) == 'r cdrom 1 7' ]]
	try front write xvda 0 512 </dev/zero
	[[ $status -ne 0 ]]
}

@test "--removable and --direct-io-safe" {
	make_image 1M
	attach --removable --direct-io-safe web1 disk.img
	serve
	front read xvda 0 512 >/dev/null
	[[ $(back mode device-type removable direct-io-safe info) == 'w disk 1 1 2' ]]
}

# --- caps ---------------------------------------------------------------------------------------

@test "what is offered keeps to the caps" {
	make_image 1M
	attach --max-queues 2 --max-ring-order 1 --max-segments 64 web1 disk.img
	serve
	[[ $(back multi-queue-max-queues max-ring-page-order max-ring-pages) == '2 1 2' ]]
	[[ $(back feature-max-indirect-segments) == 64 ]]
	front verify xvda --ops 500
}

@test "--max-segments 11: no indirect requests" {
	make_image 1M
	attach --max-segments 11 web1 disk.img
	serve
	[[ $(back multi-queue-max-queues) == 16 ]]
	run ! xenstore-exists $BACK/feature-max-indirect-segments
}

# --- grants -------------------------------------------------------------------------------------

@test "grants: told with -v and --dry-run, in JSON always" {
	make_image 1M
	try tap-attach --dry-run --max-queues 1 --max-ring-order 0 --max-segments 32 web1 disk.img
	status_is 0
	stderr_is "tap-attach: web1/xvda: may need 1057 grants (1057 if the guest takes all that is \
offered), all its disks 1057, of 32760 by Xen's default"
	try tap-attach --dry-run -J --max-segments 11 web1 disk.img
	json_is '.items[-1].grants' 1412
	try tap-attach -J web1 disk.img
	status_is 0
	json_is '.items[0] | [.grants, .grants_of_domain, .grants_limit, .grants_limit_known]' \
		'[4228,4228,32760,false]'
}

@test "grants: a warning when the guest's disks come near its limit, and not before" {
	make_image 1M
	attach --max-queues 4 --max-segments 128 web1/xvda disk.img # 16516
	try tap-attach --max-queues 4 web1/xvdb null:1M                # 4228
	status_is 0
	stderr_is ''
	try tap-attach web1/xvdc null:1M
	status_is 0
	stderr_has "web1/xvdc: warning: with this disk the guest's 3 may need 24972 grants, of 32760"
	stderr_has '--max-queues'
	try tap-attach web2/xvda null:1M
	stderr_is ''
}
