# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# limit: 240
# Two guests with three disks each, all in one process, all busy at once.
#
# Seen to fail with: a server that hands every disk the first one's image.
serve --all --data-path=map
for name in web1 web2; do
	guest_create "$name"
	for disk in xvda xvdb xvdc; do
		truncate -s 8M "/srv/$name-$disk.img"
		attach "$name/$disk" "/srv/$name-$disk.img"
	done
	guest_unpause "$name"
done
[[ $(tap-attach -lJ | jq "[.items[] | select(.server == $server)] | length") == 6 ]]
passed 'six disks of two guests are served by one process'

declare -A job=()
for name in web1 web2; do
	for disk in xvda xvdb xvdc; do
		guest_device "$name" "$disk"
	done
	# Each block says which guest and disk it is of.
	guest_begin "$name" "for disk in xvda xvdb xvdc; do
		(yes $name-\$disk | dd of=/dev/\$disk bs=64k count=64 iflag=fullblock oflag=direct 2>&1 &&
		fio --name=v --filename=/dev/\$disk --offset=4m --size=4m --rw=randwrite --direct=1 --ioengine=libaio \\
			--iodepth=16 --bs=16k --verify=crc32c --verify_fatal=1 >/run/\$disk 2>&1 && touch /run/\$disk.ok) &
		done; wait; ls /run/xvda.ok /run/xvdb.ok /run/xvdc.ok"
	job[$name]=$last_command
done
for name in web1 web2; do
	last_command=${job[$name]}
	guest_end "$name"
	for disk in xvda xvdb xvdc; do
		cmp <(yes "$name-$disk" | head -c 4194304) <(head -c 4194304 "/srv/$name-$disk.img")
	done
done
passed 'each disk holds what its own guest wrote to it'
