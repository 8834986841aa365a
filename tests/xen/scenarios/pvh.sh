# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# limit: 300
# A PVH guest: another kind of grant mapping in the guest, the same disk.
#
# Seen to fail with: a server that answers writes without doing them.
serve --all --data-path=map
truncate -s 64M /srv/web1.img
guest_create web1 'type="pvh"'
attach web1 /srv/web1.img
guest_unpause web1
guest_device web1 xvda
guest web1 'mke2fs -q -t ext4 /dev/xvda && mount /dev/xvda /mnt && cp -a /lib/modules /mnt/tree && umount /mnt'
tap-attach -d web1/xvda
e2fsck -f -n /srv/web1.img
mount -o loop,ro /srv/web1.img /mnt
same_files /mnt/tree /lib/modules
umount /mnt
passed 'files that a PVH guest wrote are the same in dom0'
