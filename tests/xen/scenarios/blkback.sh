# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# limit: 150
# The lab's disks: a guest on xen-blkback, which tap-serve is compared with.
#
# Seen to fail with: block-phy that does not write physical-device.
modprobe xen-blkback
dd if=/dev/zero of=/dev/ram1 bs=1M count=4 2>/run/why
guest_start web1 'disk=["phy:/dev/ram1,xvda,w"]'
guest_device web1 xvda
guest web1 'mke2fs -q -t ext4 /dev/xvda 64M && mount /dev/xvda /mnt && dd if=/dev/urandom of=/mnt/f bs=64k count=100 && umount /mnt'
e2fsck -f -n /dev/ram1
passed 'a file system made on xen-blkback is clean in dom0'
xl destroy web1
