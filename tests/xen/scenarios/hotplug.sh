# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# limit: 400
# A second disk comes and goes twenty times while the guest works on its first.
#
# Seen to fail with: a server that does not unmap the ring at disconnect; one that answers writes without doing them.
serve --all --data-path=map
truncate -s 64M /srv/first.img /srv/second.img
guest_create web1
attach web1/xvda /srv/first.img
guest_unpause web1
guest_device web1 xvda
guest web1 'busy "fio --name=busy --filename=/dev/xvda --rw=randrw --direct=1 --ioengine=libaio \
	--thinktime=50ms --time_based --runtime=600"'
for ((i = 1; i <= 20; i++)); do
	[[ $(attach --wait web1/xvdb /srv/second.img) == web1/xvdb ]]
	guest web1 "device xvdb && dd if=/dev/urandom of=/run/block bs=4k count=16 status=none && dd if=/run/block of=/dev/xvdb bs=4k seek=$((i * 16)) oflag=direct status=none && sha256sum </run/block" >/run/sum
	tap-attach -d web1/xvdb
	dd if=/srv/second.img bs=4k skip=$((i * 16)) count=16 status=none | sha256sum | same_text /run/sum
	guest_device_gone web1 xvdb
done
passed 'a disk attached and detached twenty times holds what the guest wrote each time'

guest web1 'busy_stop && grep "err= 0" /run/busy'
passed "the guest's first disk went on without an error"

tap-attach -d web1/xvda
[[ $(mapped_pages web1 | wc -l) -le 2 ]] # XenStore's ring and the console's
passed 'no page of the guest is mapped by dom0 after its disks are gone'
[[ $(ports | grep -c "Domain ${domid[web1]},") -eq 2 ]]
passed 'no event channel leads to the guest after its disks are gone'
