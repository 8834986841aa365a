# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# dom0's shell in xen-shell: a file system to keep images in, a guest to start, and what to try.
modprobe brd rd_nr=1 rd_size=716800
mke2fs -q -t ext4 -O ^has_journal /dev/ram0
mount /dev/ram0 /srv
truncate -s 64M /srv/web1.img
cat >/etc/xen/web1.cfg <<END
name="web1"
type="pv"
kernel="/lab/vmlinux"
ramdisk="/lab/guest.img"
cmdline="console=hvc0 quiet shell"
memory=448
END
PS1='dom0# '
# busybox would ask the first process, which waits for this shell to end.
poweroff()
{
	exit
}
cat <<'END'

This is dom0 of a real Xen. Try:

    xl create -q /etc/xen/web1.cfg       # a guest with Debian's kernel
    tap-serve --all &
    tap-attach web1 /srv/web1.img        # prints web1/xvda
    xl console web1                      # its shell, and /dev/xvda in it: mke2fs, mount, fio. Ctrl-] leaves
    tap-stat 1
    tap-ring web1/xvda
    tap-attach -d web1/xvda
    poweroff                             # ends Xen and QEMU

END
