# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# limit: 240
# A disk that the guest finds at boot carries a file system, over each data path.
#
# Has to fail with (not tried yet): a server that answers writes without doing them; one that swaps two pages of a write.
for path in copy map persistent; do
	serve "--data-path=$path"
	truncate -s 128M /srv/web1.img
	guest_create web1
	[[ $(attach web1 /srv/web1.img) == web1/xvda ]]
	guest_unpause web1
	guest_device web1 xvda
	guest web1 'blockdev --getsize64 /dev/xvda | grep -x 134217728'
	passed "$path: a guest finds its disk at boot"

	guest web1 'mke2fs -q -t ext4 /dev/xvda && mount /dev/xvda /mnt && cp -a /lib/modules /mnt/tree &&
		(cd /mnt/tree && find . -type f -exec sha256sum {} + >../sums) &&
		dd if=/dev/urandom of=/mnt/synced bs=64k count=32 conv=fsync && umount /mnt'
	tap-attach -d web1/xvda
	e2fsck -f -n /srv/web1.img
	passed "$path: a file system made by the guest is clean in dom0"

	mount -o loop,ro /srv/web1.img /mnt
	(cd /mnt/tree && sha256sum -c --quiet ../sums && [[ $(wc -l <../sums) -gt 20 ]])
	same_files /mnt/tree /lib/modules
	umount /mnt
	passed "$path: files that the guest wrote are the same in dom0"

	xl destroy web1
	serve_stop
	rm /srv/web1.img
done
