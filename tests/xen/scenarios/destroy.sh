# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# limit: 240
# A guest is destroyed with I/O in flight, and one crashes; nothing of theirs is left.
#
# Has to fail with (not tried yet): a server that does not unmap at disconnect (the domain stays, dying).
for path in copy map persistent; do
	serve "--data-path=$path"
	truncate -s 64M /srv/web1.img
	for ending in 'xl destroy web1' 'guest_begin web1 "echo c >/proc/sysrq-trigger"' 'guest_begin web1 "reboot -f"'; do
		guest_create web1 'on_reboot="destroy"'
		attach web1 /srv/web1.img
		guest_unpause web1
		guest_device web1 xvda
		# In the background of the guest, so that it can be told to crash.
		guest web1 'fio --name=busy --filename=/dev/xvda --rw=randrw --direct=1 --ioengine=libaio --bs=16k \
			--iodepth=32 --time_based --runtime=600 >/dev/null 2>&1 &'
		wait_busy web1/xvda
		before=$(counter web1/xvda '.items[0].requests')
		((before > 0))
		eval "$ending"
		wait_until 60 @releaseDomain no_domains
		passed "$path: after '${ending#guest_begin web1 }' under load no page is mapped: the domain is gone"
		tap-attach --clean
		no_backends
		tap-attach --stale
		kill -0 "$server"
	done
	serve_stop
	passed "$path: no node is left after tap-attach --clean, and the server goes on"
done
