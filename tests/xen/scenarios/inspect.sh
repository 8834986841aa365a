# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# limit: 400
# tap-ring, tap-map and tap-stat on a disk served by tap-serve, by xen-blkback and by QEMU, busy and at rest.
#
# Seen to fail with: indices that are those of the first look, for ever.
ring()
{
	tap-ring -J web1/xvda | jq ".items[0].$1"
}

# Reads, writes and flushes that the guest's block layer has finished.
guests_count()
{
	guest web1 "awk '{ print \$1 + \$5 + \$16 }' /sys/block/xvda/stat"
}

look_while_busy()
{
	local first second=0 end=$((SECONDS + 60))

	guest web1 'busy "fio --name=busy --filename=/dev/xvda --rw=randrw --direct=1 --ioengine=libaio --bs=4k --size=8m \
		--iodepth=16 --time_based --runtime=600"'
	first=$(ring req_prod)
	# tap-ring's interval is the wait.
	while ((second <= first && end > SECONDS)); do
		tap-ring -J --interval=500ms web1/xvda >/run/ring.json
		second=$(jq '.items[0].req_prod' /run/ring.json)
	done
	((second > first))
	jq -e '.items[0] | .verdict != "stuck" and .verdict != "broken" and .slots == 32' /run/ring.json
	passed "$1: indices move while the guest is busy"

	tap-map -J web1/xvda >/run/map.json
	jq -e '[.items[] | select(.use == "ring")] | length == 1' /run/map.json
	tap-map --dump web1/xvda | tap-ring -J - | jq -e '.items[0].slots == 32'
	passed "$1: its grants are listed and its ring is dumped"

	tap-stat -J web1/xvda 1 3 | jq -s -e 'last.items[0].interval_requests > 0'
	passed "$1: tap-stat sees it at work"
	guest web1 busy_stop
}

look_at_rest()
{
	local before_ring before_guest

	before_ring=$(ring req_prod)
	before_guest=$(guests_count)
	guest web1 'dd if=/dev/xvda of=/dev/null bs=4k count=50 iflag=direct; dd if=/dev/zero of=/dev/xvda bs=8k count=30 oflag=direct'
	[[ $(ring verdict) == '"idle"' && $(ring outstanding) == 0 ]]
	[[ $(($(ring req_prod) - before_ring)) -eq $(($(guests_count) - before_guest)) ]]
	[[ $(($(ring req_prod) - before_ring)) -ge 80 ]]
	passed "$1: at rest the ring has moved by what the guest counted"
}

for kind in tap vbd qdisk; do
	if [[ $kind == qdisk && ! -x /usr/libexec/xen-qemu-system-i386 ]]; then
		skipped 'qdisk: this release has no QEMU for Xen'
		continue
	fi
	image=/srv/web1.img
	truncate -s 32M "$image"
	[[ $kind != vbd ]] || image=/dev/ram1
	guest_on "$kind" "$image"
	look_while_busy "$kind"
	look_at_rest "$kind"
	xl destroy web1
	no_domains 20
	tap-attach --clean
	remove_module xen-blkback
	rm -f /srv/web1.img
done
