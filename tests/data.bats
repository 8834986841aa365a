#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# sim: --domains 2
# Data through the ring is right, on each data path and with each kind of frontend.
#
# VERIFY_OPS is how many random operations each combination gets.
load helper

VERIFY_OPS=${VERIFY_OPS-3000}

# verify PATH [OPTION...]
verify()
{
	make_image 32M
	attach
	serve "--data-path=$1" "$DISK"
	front "${@:2}" verify --ops "$VERIFY_OPS" --iodepth 32 xvda
}

@test "random operations find no difference: map, pool of grants" {
	verify map
}

@test "random operations find no difference: copy, pool of grants" {
	verify copy
}

@test "random operations find no difference: map, fresh grants" {
	verify map --fresh-grants
}

@test "random operations find no difference: copy, fresh grants" {
	verify copy --fresh-grants
}

@test "random operations find no difference: map, 32-bit ring" {
	verify map --abi x86_32
}

@test "random operations find no difference: copy, 32-bit ring" {
	verify copy --abi x86_32
}

@test "random operations find no difference: through the page cache" {
	make_image 8M
	attach
	serve --buffered "$DISK"
	front verify --ops "$VERIFY_OPS" xvda
}

@test "random operations find no difference: one at a time" {
	make_image 1M
	attach
	serve --data-path=map "$DISK"
	front verify --ops 300 --iodepth 1 xvda
}

@test "random operations find no difference: more in flight than the ring has slots" {
	make_image 32M
	attach
	serve --data-path=map "$DISK"
	front verify --ops "$VERIFY_OPS" --iodepth 200 xvda
}

@test "random operations find no difference: hardly any room" {
	make_image 8K
	attach
	serve --data-path=map "$DISK"
	front verify --ops 300 xvda
}

@test "two disks of two guests at once do not mix" {
	make_image 4M one.img
	make_image 4M two.img
	attach web1 one.img
	one=$DISK
	attach web2 two.img
	serve --data-path=map "$one" "$DISK"
	GUEST=1 in_background front verify --ops "$VERIFY_OPS" xvda
	first=$PID
	GUEST=2 front verify --ops "$VERIFY_OPS" xvda
	disown_background "$first"
	wait "$first" || fail "$(<background.log)"
}
