# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# limit: 150
# An image grows under a mounted file system.
#
# Seen to fail with: a server that writes `sectors` without writing `state` again.
truncate -s 32M /srv/web1.img
guest_on tap /srv/web1.img
guest web1 'mke2fs -q -t ext4 /dev/xvda && mount /dev/xvda /mnt && echo before >/mnt/before'
tap-attach -c web1/xvda 96M
guest web1 'until_event "[[ \$(blockdev --getsize64 /dev/xvda) == 100663296 ]]"'
passed 'the guest sees the new size'
guest web1 'resize2fs /dev/xvda && dd if=/dev/urandom of=/mnt/big bs=1M count=60 conv=fsync && sha256sum </mnt/big >/mnt/sum && umount /mnt'
tap-attach -d web1/xvda
e2fsck -f -n /srv/web1.img
mount -o loop,ro /srv/web1.img /mnt
[[ $(cat /mnt/before) == before ]]
sha256sum </mnt/big | cmp - /mnt/sum
umount /mnt
passed 'the file system grew into it and is clean'
