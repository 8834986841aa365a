#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# sim: --domains 2
# Programs that know nothing of rings judge the server, through the nbdkit plugin: nbdcopy, nbdinfo,
# qemu-img, qemu-io and fio drive it as NBD clients.
#
# NBD_SIZE is the size of the copied images.
load helper

NBD_SIZE=${NBD_SIZE-64M}
PLUGIN=$BUILD/nbdkit-taptools-plugin.so

setup()
{
	[[ -e $PLUGIN ]] || skip 'the nbdkit plugin is not built: nbdkit-plugin-dev is missing'
	test_setup
}

# guest_nbdkit ARGUMENT...: nbdkit in the guest.
guest_nbdkit()
{
	local asan
	# The plugin's sanitizer has to come before all else and to start first (Makefile), and nbdkit's own
	# leaks are not ours.
	asan=$(ldd "$PLUGIN" | awk '/libasan/ { print $3 }')
	LD_PRELOAD=${asan:+$asan:$BUILD/asan-first.so:}$LD_PRELOAD ASAN_OPTIONS=${ASAN_OPTIONS-}:detect_leaks=0 \
		TAP_SIM_DOMID=${GUEST-1} nbdkit "$@"
}

# nbd [PARAMETER...] COMMAND: runs it with $uri, nbdkit in the guest; the disk is closed after it.
nbd()
{
	local command=${*: -1}
	guest_nbdkit -U - "$PLUGIN" "disk=${DISK#*/}" "${@:1:$#-1}" \
		--run "export LD_PRELOAD= TMPDIR=$T; $command"
}

# copy_there_and_back PATH [PARAMETER...]
copy_there_and_back()
{
	make_image "$NBD_SIZE" new
	truncate -s "$NBD_SIZE" disk.img
	attach
	serve "--data-path=$1" "$DISK"
	nbd "${@:2}" 'nbdcopy --flush new "$uri"'
	cmp disk.img new
	nbd "${@:2}" 'nbdcopy "$uri" back'
	cmp back new
	nbd "${@:2}" 'qemu-img compare "$uri" new'
}

@test "nbdcopy writes a random image and reads it back equal: map" {
	copy_there_and_back map
}

@test "nbdcopy writes a random image and reads it back equal: copy" {
	copy_there_and_back copy
}

@test "nbdcopy and qemu-img agree on a 32-bit ring with fresh grants" {
	NBD_SIZE=8M
	copy_there_and_back map abi=x86_32 fresh-grants=true
}

@test "nbdinfo sees the disk's size and abilities" {
	make_image 1M
	attach
	serve
	nbd 'nbdinfo --size "$uri"' >size
	[[ $(<size) == 1048576 ]]
	nbd 'nbdinfo --can flush "$uri" && nbdinfo --can multi-conn "$uri" && ! nbdinfo --is read-only "$uri"'
}

@test "a read-only disk is read-only to NBD clients" {
	make_image 1M
	cp disk.img same # qemu-img respects the server's lock on the image itself
	attach -r web1 disk.img
	serve
	nbd 'nbdinfo --is read-only "$uri"'
	nbd 'qemu-img compare "$uri" same'
}

@test "qemu-img notices one changed byte" {
	make_image 1M
	attach
	serve
	cp disk.img changed
	printf x | dd of=changed bs=1 seek=700000 conv=notrunc status=none
	try nbd 'qemu-img compare "$uri" changed'
	status_is 1
}

@test "qemu-io reads the patterns it wrote, also across and within sectors" {
	make_image 4M
	attach
	serve
	nbd 'qemu-io -f raw \
		-c "write -P 1 0 1M" -c "write -P 2 1000000 100000" -c "write -P 3 4194303 1" \
		-c "aio_write -P 4 2M 64k" -c "aio_write -P 5 2162688 512" -c aio_flush -c flush \
		-c "read -P 1 0 1000000" -c "read -P 2 1000000 100000" -c "read -P 3 4194303 1" \
		-c "read -P 4 2M 64k" -c "read -P 5 2162688 512" "$uri"' >out || fail "$(<out)"
	refute grep -i 'fail\|error' out
}

@test "fio verifies what it wrote, at depth" {
	make_image 16M
	attach
	serve
	nbd 'fio --name=mixed --ioengine=nbd --uri="$uri" --rw=randwrite --bsrange=512-128k \
		--blockalign=512 --iodepth=32 --size=16M --verify=crc32c --verify_fatal=1 \
		--verify_backlog=64' >out || fail "$(<out)"
	grep -q 'err= 0' out
}

@test "parameters, all of them together" {
	make_image 4M
	attach
	serve
	nbd abi=x86_64 queues=2 ring-order=1 indirect=max fresh-grants=false 'nbdcopy "$uri" back'
	cmp back disk.img
	nbd abi=x86_32 queues=max ring-order=max indirect=32 fresh-grants=yes 'nbdcopy "$uri" back'
	cmp back disk.img
}

# refused MESSAGE PARAMETER...: nbdkit does not start and says why. One that did would serve a client on stdin,
# which is at its end: so none waits, no socket is left, and the status is nbdkit's, not that of a command.
refused()
{
	try guest_nbdkit -s "$PLUGIN" "${@:2}" </dev/null
	status_is 1
	stderr_has "$1"
}

@test "parameters that cannot be are refused, each with a word of it" {
	local key
	refused 'disk=[DOM/]VDEV is missing'
	refused 'unknown parameter colour=red' disk=xvda colour=red
	refused 'abi=sparc is neither x86_64 nor x86_32' disk=xvda abi=sparc
	refused 'boolean (perhaps)' disk=xvda fresh-grants=perhaps
	for key in queues=0 queues=17; do
		refused "$key is neither max nor a number from 1 to 16" disk=xvda "$key"
	done
	for key in ring-order=5 ring-order=-1 ring-order= ring-order=2x; do
		refused "$key is neither max nor a number from 0 to 4" disk=xvda "$key"
	done
	refused 'indirect=257 is neither max nor a number from 0 to 256' disk=xvda indirect=257
}

@test "disks that cannot be, and more than the backend offers: nbdkit does not start" {
	refused "'nonsense'" disk=nonsense
	refused "this is domain 1" disk=web2/xvda # this is web1
	refused 'xvdq: ' disk=xvdq
	make_image 1M
	attach --max-queues 2 --max-ring-order 1 --max-segments 32 web1 disk.img
	serve
	refused "option '--queues': 3 is more than the backend offers, 2" disk=xvda queues=3
	refused "option '--ring-order': 2 is more than the backend offers, 1" disk=xvda ring-order=2
	refused "33 is more than the backend offers, 32" disk=xvda indirect=33
}
