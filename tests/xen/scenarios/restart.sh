# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# limit: 200
# The server is stopped and started again under a busy guest, which does not notice.
#
# Seen to fail with: a server that switches to Closed when it stops.
truncate -s 64M /srv/web1.img
guest_create web1
attach web1 /srv/web1.img
serve --all --data-path=map
guest_unpause web1
guest_device web1 xvda
guest web1 'busy "fio --name=v --filename=/dev/xvda --rw=randwrite --direct=1 --ioengine=libaio --iodepth=16 --bs=8k \
	--verify=crc32c --verify_fatal=1 --size=32m && touch /run/fio.ok"'
for ((i = 1; i <= 4; i++)); do
	wait_busy web1/xvda
	serve_stop
	[[ $i == 2 ]] && path=copy || path=map
	serve --all "--data-path=$path"
done
guest web1 'busy_end 150; tail -n 20 /run/busy; test -e /run/fio.ok' 160
passed 'fio verifies across four servers'
