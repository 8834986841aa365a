# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# limit: 240
# Disks that the guest finds at boot carry file systems, over each data path.
#
# Seen to fail with: a server that answers writes without doing them; one that swaps two pages of a write.
guest_on_paths 128M
for path in $paths; do
	disk=${disk_on[$path]}
	[[ $(guest web1 "blockdev --getsize64 /dev/$disk") == 134217728 ]]
	passed "$path: a guest finds its disk at boot"

	guest web1 "mke2fs -q -t ext4 /dev/$disk && mount /dev/$disk /mnt && cp -a /lib/modules /mnt/tree &&
		(cd /mnt/tree && find . -type f -exec sha256sum {} + >../sums) &&
		dd if=/dev/urandom of=/mnt/synced bs=64k count=32 conv=fsync && umount /mnt"
	tap-attach -d "web1/$disk"
	e2fsck -f -n "/srv/$path.img"
	passed "$path: a file system made by the guest is clean in dom0"

	mount -o loop,ro "/srv/$path.img" /mnt
	(cd /mnt/tree && sha256sum -c --quiet ../sums && [[ $(wc -l <../sums) -gt 20 ]])
	same_files /mnt/tree /lib/modules
	umount /mnt
	passed "$path: files that the guest wrote are the same in dom0"
done
