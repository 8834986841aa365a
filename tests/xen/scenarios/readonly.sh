# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# limit: 150
# A read-only disk stays as it is, whatever the guest tries.
#
# Seen to fail with: a request check without its rule on read-only.
serve --all
dd if=/dev/urandom of=/srv/web1.img bs=1M count=32 status=none
before=$(sha256sum </srv/web1.img)
guest_create web1
attach -r web1 /srv/web1.img
guest_unpause web1
guest_device web1 xvda
[[ $(guest web1 'blockdev --getro /dev/xvda') == 1 ]]
passed 'the guest sees that the disk is read-only'
[[ $(guest web1 'sha256sum </dev/xvda') == "$before" ]]
passed 'the guest reads it'
if guest web1 'dd if=/dev/zero of=/dev/xvda bs=4k count=1 oflag=direct'; then
	fail 'the guest wrote to a read-only disk'
fi
[[ $(sha256sum </srv/web1.img) == "$before" ]]
passed "a write by the guest's kernel fails"

# The kernel itself kept that write back. A guest of another kind sends it.
guest web1 'echo vbd-51712 >/sys/bus/xen/drivers/vbd/unbind'
if guest web1 'dd if=/dev/zero bs=4k count=1 | tap-front write --force 51712 0'; then
	fail 'a request to write was answered with success'
fi
counter web1/xvda '.items[0].faults."read-only"' | grep -x '[1-9]'
[[ $(sha256sum </srv/web1.img) == "$before" ]]
passed 'a request to write is refused, and counted'
