# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# limit: 300
# fio in the guest writes mixed sizes at several depths and checks each block, over each data path.
#
# Has to fail with (not tried yet): a server that swaps two pages of a write; one that drops the last sector.
for path in copy map persistent; do
	serve "--data-path=$path"
	truncate -s 96M /srv/web1.img
	guest_create web1
	attach web1 /srv/web1.img
	guest_unpause web1
	guest_device web1 xvda
	for job in '--iodepth=1 --bsrange=512-4k --size=256k' '--iodepth=8 --bsrange=4k-64k --size=8m' \
		'--iodepth=32 --bsrange=4k-1m --size=24m --offset=32m'; do
		guest web1 "fio --name=verify --filename=/dev/xvda --rw=randwrite --direct=1 --ioengine=libaio \
			--verify=crc32c --verify_fatal=1 --do_verify=1 --blocksize_unaligned=0 $job" 200
	done
	passed "$path: fio verifies all it wrote"
	counter web1/xvda '.items[0] | [.read.failed, .write.failed, .image_errors] | add' | grep -x 0
	counter web1/xvda '.items[0].faults | add' | grep -x 0
	passed "$path: no request failed or was refused"
	xl destroy web1
	tap-attach --clean
	serve_stop
done
