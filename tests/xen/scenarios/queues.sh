# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# limit: 500
# All that Linux's blkfront can be told to use at once: four queues, rings of sixteen pages, indirect requests of 256
# segments; with persistent grants and without.
#
# Seen to fail with: a server that takes queue 0's ring for every queue's.
truncate -s 64M /srv/web1.img
for persistent in Y N; do
	serve --all --threads 2
	# With persistent grants blkfront gets a page for each segment of each slot of each queue beforehand: 2 GiB.
	memory=1024
	[[ $persistent == N ]] || memory=2816
	guest_arguments="xen_blkfront.max_queues=4 xen_blkfront.max_ring_page_order=4 \
xen_blkfront.max_indirect_segments=256 xen_blkfront.feature_persistent=$persistent"
	guest_create web1 'vcpus=4' "memory=$memory"
	attach web1 /srv/web1.img
	guest_unpause web1
	guest_device web1 xvda
	front=/local/domain/${domid[web1]}/device/vbd/51712
	[[ $(xenstore-read "$front/multi-queue-num-queues") == 4 && $(xenstore-read "$front/ring-page-order") == 4 ]]
	[[ $(tap-ring -J web1/xvda | jq -c '[.items[].slots]') == '[512,512,512,512]' ]]
	[[ $(guest web1 'cat /sys/block/xvda/queue/max_segments') == 256 ]]
	path=$(tap-map -J web1/xvda | jq -r '.items[].data_path // empty')
	[[ $persistent$path == Ypersistent || $persistent$path == Ncopy ]]
	passed "$path: four queues of 512 slots each, requests of 256 segments"

	guest web1 'for cpu in 0 1 2 3; do fio --name=v$cpu --cpus_allowed=$cpu --filename=/dev/xvda \
		--offset=$((cpu * 16))m --size=6m --rw=randwrite --direct=1 --ioengine=libaio --iodepth=64 \
		--bsrange=4k-1m --verify=crc32c --verify_fatal=1 \
		>/run/fio.$cpu 2>&1 && touch /run/ok.$cpu & done; wait; ls /run/ok.0 /run/ok.1 /run/ok.2 /run/ok.3' 200
	[[ $(counter web1/xvda '.items[0].faults | add') == 0 ]]
	# Each queue carried some of it.
	tap-ring -J web1/xvda | jq -e '[.items[] | select(.rsp_prod > 0)] | length == 4'
	passed "$path: fio verifies on all at once"
	xl destroy web1
	no_domains 20
	tap-attach --clean
	serve_stop
done
