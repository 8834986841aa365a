# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# limit: 300
# A guest with two processors takes two queues, one that is told to takes larger rings, and indirect requests
# make them carry more.
#
# Has to fail with (not tried yet): a server that takes queue 1's ring for queue 0's.
serve --all
truncate -s 64M /srv/web1.img
guest_create web1 'vcpus=2' 'cmdline="console=hvc0 quiet panic=1 mitigations=off xen_blkfront.max_ring_page_order=2"'
attach web1 /srv/web1.img
guest_unpause web1
guest_device web1 xvda
front=/local/domain/${domid[web1]}/device/vbd/51712
[[ $(xenstore-read "$front/multi-queue-num-queues") == 2 && $(xenstore-read "$front/ring-page-order") == 2 ]]
[[ $(tap-ring -J web1/xvda | jq -c '[.items[].slots]') == '[128,128]' ]]
passed 'two queues, each with a ring of four pages'
[[ $(guest web1 'cat /sys/block/xvda/queue/max_segments') -gt 11 ]]
passed 'requests of more than eleven segments'
guest web1 'for cpu in 0 1; do fio --name=v$cpu --cpus_allowed=$cpu --filename=/dev/xvda --offset=$((cpu * 32))m --size=8m \
	--rw=randwrite --direct=1 --ioengine=libaio --iodepth=64 --bsrange=4k-256k --verify=crc32c --verify_fatal=1 \
	>/run/fio.$cpu 2>&1 && touch /run/ok.$cpu & done; wait; ls /run/ok.0 /run/ok.1' 200
[[ $(counter web1/xvda '.items[0].faults | add') == 0 ]]
passed 'fio verifies on both at once'
