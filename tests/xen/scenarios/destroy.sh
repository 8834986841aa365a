# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# limit: 240
# A guest is destroyed, reboots and crashes with I/O in flight on each data path; nothing of it is left.
#
# Seen to fail with: a server that does not unmap the ring at disconnect (the domain stays, dying).
serve --all --kind other # takes none of these disks, and goes on whatever becomes of them
beside=$server
for ending in 'xl destroy web1' 'guest_begin web1 "echo c >/proc/sysrq-trigger"' 'guest_begin web1 "reboot -f"'; do
	guest_on_paths 64M 'on_reboot="destroy"'
	# In the background of the guest, so that it can be told to crash.
	guest web1 "fio --direct=1 --ioengine=libaio --rw=randrw --bs=16k --iodepth=32 --time_based --runtime=600 \
		--name=copy --filename=/dev/xvda --name=map --filename=/dev/xvdb --name=persistent --filename=/dev/xvdc \
		>/dev/null 2>&1 &"
	for path in $paths; do
		wait_busy "web1/${disk_on[$path]}"
	done
	eval "$ending"
	no_domains 60
	passed "after '${ending#guest_begin web1 }' under load no page is mapped: the domain is gone"
	tap-attach --clean
	no_backends
	tap-attach --stale
done
kill -0 "$beside"
passed 'no node is left after tap-attach --clean'
