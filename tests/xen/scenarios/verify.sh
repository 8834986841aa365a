# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# limit: 300
# fio in the guest writes mixed sizes at several depths and checks each block, over each data path.
#
# Seen to fail with: a server that swaps two pages of a write; one that answers writes without doing them.
guest_on_paths 96M
for path in $paths; do
	disk=${disk_on[$path]}
	# One fio for all: it takes seconds to load.
	guest web1 "fio --filename=/dev/$disk --rw=randwrite --direct=1 --ioengine=libaio --verify=crc32c \
		--verify_fatal=1 --do_verify=1 \
		--name=small --stonewall --iodepth=1 --bsrange=512-4k --size=256k \
		--name=deep --stonewall --iodepth=8 --bsrange=4k-64k --size=8m \
		--name=large --stonewall --iodepth=32 --bsrange=4k-1m --size=24m --offset=32m" 200
	passed "$path: fio verifies all it wrote"
	[[ $(tap-map -J "web1/$disk" | jq -r '.items[].data_path // empty') == "$path" ]]
	counter "web1/$disk" '.items[0] | [.read.failed, .write.failed, .image_errors] | add' | grep -x 0
	counter "web1/$disk" '.items[0].faults | add' | grep -x 0
	passed "$path: no request failed or was refused"
done
