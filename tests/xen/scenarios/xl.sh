# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# limit: 400
# xl hands disks to tap-serve, with the lines of taptools-xl(5): create, block-attach, block-detach, reboot
# from inside, destroy; with xen-blkback loaded and without.
#
# Seen to fail with: a script that does not unbind the device.
page=/lab/taptools-xl.5
disk_line=$(sed -n "s/^disk = \['script=block-taptools.*/&/p" "$page")
attach_line=$(sed -n 's/^# \(xl block-attach .*\)/\1/p' "$page")
detach_line=$(sed -n 's/^# \(xl block-detach .*\)/\1/p' "$page")
serve_line=$(sed -n 's/^# tap-serve \(--all --kind vbd\)$/\1/p' "$page")
[[ -n $disk_line && -n $attach_line && -n $detach_line && -n $serve_line ]]

# Writes in the guest, looks in dom0.
write_to()
{
	guest web1 "dd if=/dev/urandom of=/run/block bs=4k count=8 status=none && dd if=/run/block of=/dev/$1 oflag=direct bs=4k status=none && sha256sum </run/block" >/run/sum
	head -c 32768 "$2" | sha256sum | same_text /run/sum
}

rebooted()
{
	local id

	id=$(xl domid web1 2>/dev/null) && [[ $id != "${domid[web1]}" ]]
}

try_all()
{
	truncate -s 32M /srv/web1.img /srv/second.img
	guest_create web1 "$disk_line" 'on_reboot="restart"'
	guest_unpause web1
	guest_device web1 xvda
	write_to xvda /srv/web1.img
	[[ $(tap-attach -lJ web1 | jq '.items[0] | .kind == "vbd" and .server > 0') == true ]]
	passed "$1: a disk of xl create"

	eval "$attach_line"
	guest_device web1 xvdb
	write_to xvdb /srv/second.img
	passed "$1: a disk of xl block-attach"

	if tap-attach -d web1/xvdb; then
		fail 'tap-attach -d took a disk of libxl'
	fi
	eval "$detach_line"
	guest_device_gone web1 xvdb
	node_gone "/local/domain/0/backend/vbd/${domid[web1]}/51728"
	passed "$1: xl block-detach"

	guest_begin web1 'reboot -f'
	wait_until 60 @introduceDomain rebooted
	domid[web1]=$(xl domid web1)
	guest_is_up web1
	guest_device web1 xvda
	write_to xvda /srv/web1.img
	passed "$1: the disk is there again after a reboot from inside"

	xl destroy web1
	no_domains 30
	no_backends
	passed "$1: xl destroy leaves no node"
}

modprobe xen-blkback
try_all 'with xen-blkback'
for pid in $(pidof tap-serve); do
	wait_end "$pid" 20
done
passed 'with xen-blkback: the servers of the disks ended with them'
remove_module xen-blkback

# shellcheck disable=SC2086 # as the page has it
serve $serve_line
try_all 'without xen-blkback'
serve_stop

# The kind vbd3: libxl's for backendtype=tap, where it knows it, else made as libxl of Xen 4.20 does.
vbd3_by_hand()
{
	local id=${domid[web1]}
	local back=/local/domain/0/backend/vbd3/$id/51712 front=/local/domain/$id/device/vbd/51712

	xenstore-write "$back/frontend" "$front" "$back/frontend-id" "$id" "$back/params" aio:/srv/web1.img \
		"$back/mode" w "$back/online" 1 "$back/state" 1 "$back/device-type" disk "$back/removable" 0 \
		"$front/backend" "$back" "$front/backend-id" 0 "$front/virtual-device" 51712 "$front/state" 1
	xenstore-chmod -r "$back" n0 "r$id"
	xenstore-chmod -r "$front" "n$id" r0
}

disk_line=$(sed -n "s/^disk = .*backendtype=tap.*/&/p" "$page")
serve_line=$(sed -n 's/^# tap-serve \(--all --kind vbd3\)$/\1/p' "$page")
[[ -n $disk_line && -n $serve_line ]]
truncate -s 32M /srv/web1.img
# shellcheck disable=SC2086 # as the page has it
serve $serve_line
if (($(xl info | awk '$1 == "xen_minor" { print $3 }') >= 20)); then
	guest_create web1 "$disk_line"
	made='backendtype=tap'
else
	guest_create web1
	vbd3_by_hand
	made='a disk of the kind vbd3'
fi
guest_unpause web1
guest_device web1 xvda
write_to xvda /srv/web1.img
passed "$made is served"
xl destroy web1
no_domains 20
[[ $made == backendtype=tap ]] || xenstore-rm "/local/domain/0/backend/vbd3/${domid[web1]}"
