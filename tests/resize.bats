#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# sim: --domains 3
# tap-attach -c: a new capacity, and what an image may not become.
load helper

BACK=/local/domain/0/backend/tap/1/51712

back()
{
	xenstore-read "$BACK/$1"
}

@test "-c: the guest sees what the file has grown to" {
	make_image 1M
	attach
	serve
	hold
	try tap-attach -c web1/xvda 2M
	status_is 0
	stdout_is 2097152
	[[ $(stat -c %s disk.img) == 2097152 ]]
	[[ $(back sectors) == 4096 ]]
	truncate -s 3M disk.img
	try tap-attach -c -J web1/xvda
	json_is '.items[0].size_bytes' 3145728
	try tap-attach -c web1/xvda 1M
	status_is 8
	[[ $(stat -c %s disk.img) == 3145728 ]]
	try tap-attach -c web1/xvda 3145729
	status_is 2
	stop "$HOLD"
}

@test "-c: a size that is no multiple of the disk's sectors is refused before the file grows" {
	make_image 1M
	attach --sector-size 4096 web1 disk.img
	serve
	try tap-attach -c web1/xvda 1025K
	status_is 2
	stderr_has 'a multiple of 4096'
	[[ $(stat -c %s disk.img) == 1048576 ]]
	tap-attach -c web1/xvda 1028K
}

@test "-c: what cannot grow is refused, and said why" {
	attach web1 null:1M
	serve
	try tap-attach -c web1/xvda 2M
	status_is 7
	stderr_has 'it is no file'
	make_image 1M
	attach web2 disk.img
	serve
	try tap-attach -c web2/xvda 0
	status_is 2
	mv disk.img away.img
	mkdir disk.img
	try tap-attach -c web2/xvda 2M
	status_is 7
	stderr_has disk.img
	rmdir disk.img
	mv away.img disk.img
	# Behind the server's back.
	truncate -s 512K disk.img
	try tap-attach -c web2/xvda
	status_is 8
	stderr_has 'the image shrank to 1024 sectors, the guest has 2048'
	truncate -s 1M disk.img
	kill -STOP "$SERVER"
	try tap-attach -c --timeout 50ms web2/xvda 2M
	kill -CONT "$SERVER"
	status_is 5
	stderr_has 'no answer in time'
}

@test "-c of a disk that nobody serves: 3, and the file stays as it is" {
	make_image 1M
	attach
	try tap-attach -c web1/xvda 2M
	status_is 3
	stderr_has 'tap-serve'
	[[ $(stat -c %s disk.img) == 1048576 ]]
}

@test "tap-attach -c while a detach waits: it still does" {
	make_image 1M
	attach
	serve
	hold
	kill -STOP "$HOLD"
	try tap-attach -d --timeout 100ms web1/xvda
	status_is 4
	tap-attach -c web1/xvda 2M
	[[ $(back state) == 5 ]]
	[[ $(back sectors) == 4096 ]]
	kill -CONT "$HOLD"
	tap-attach -d web1/xvda
}

@test "an image that grew while nobody served it: its guest hears of it from the next server" {
	make_image 1M
	attach
	serve
	hold
	stop "$SERVER"
	truncate -s 2M disk.img
	[[ $(back sectors) == 2048 ]]
	serve
	wait_for_node "$BACK/sectors" 4096
	# It never shrinks under a guest.
	stop "$SERVER"
	truncate -s 1M disk.img
	serve
	[[ $(back sectors) == 4096 ]]
	stop "$HOLD"
}

@test "-c: a file that has become something else is left alone" {
	make_image 1M
	attach
	serve
	mv disk.img away.img
	ln -s /dev/null disk.img
	try tap-attach -c web1/xvda 2M
	status_is 7
	stderr_has "cannot grow '$T/disk.img': it is no regular file"
	rm disk.img
	mv away.img disk.img
	tap-attach -c web1/xvda 2M
	[[ $(back sectors) == 4096 ]]
}

@test "-c: more than the file can be is refused, and it stays as it is" {
	make_image 1M
	attach
	serve
	try bash -c "trap '' XFSZ && ulimit -f 2048 && tap-attach -c web1/xvda 4M"
	status_is 7
	stderr_has "cannot grow '$T/disk.img': File too large"
	[[ $(stat -c %s disk.img) == 1048576 ]]
}

@test "-c: a disk whose nodes name no image" {
	local image
	make_image 1M
	attach
	serve
	image=$(back params)
	xenstore-write "$BACK/params" qcow2:disk.img
	try tap-attach -c web1/xvda
	status_is 2
	stderr_has "'qcow2'"
	xenstore-rm "$BACK/params"
	try tap-attach -c web1/xvda
	status_is 3
	stderr_has "no image in '$BACK/params'"
	xenstore-write "$BACK/params" "$image"
	tap-attach -c web1/xvda 2M
	[[ $(back sectors) == 4096 ]]
}
