# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# limit: 120
# Each fsync of the guest arrives as a flush.
#
# Seen to fail with: feature-flush-cache and feature-barrier written as 0.
truncate -s 32M /srv/web1.img
guest_on tap /srv/web1.img
[[ $(guest web1 'cat /sys/block/xvda/queue/write_cache') == 'write back' ]]
passed 'the guest knows that the disk has a cache to flush'
before=$(counter web1/xvda '.items[0].flush.done')
guest web1 'for i in 1 2 3 4 5 6 7; do dd if=/dev/zero of=/dev/xvda bs=4k count=1 seek=$i conv=fsync; done'
[[ $(counter web1/xvda '.items[0].flush.done') -eq $((before + 7)) ]]
passed 'seven fsyncs are seven flushes'
[[ $(guest web1 "awk '{ print \$16 }' /sys/block/xvda/stat") -eq $((before + 7)) ]]
passed 'the guest counted as many'
