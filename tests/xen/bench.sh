#!/bin/bash
# SPDX-License-Identifier: MIT
# Runs in dom0: a guest's fio on null_blk, served by each backend in turn, in several rounds. A line each:
#
#   @@ bench ROUND BACKEND WORKLOAD IOPS DOM0-NANOSECONDS-PER-IO
set -uo pipefail
# shellcheck source=tests/xen/lib.sh
. /lab/lib.sh
begin_scenario bench

rounds=${ROUNDS:-3}
seconds=${SECONDS_EACH:-8}
disk=/dev/nullb0
backends='blkback qdisk copy map persistent'
declare -A job=(
	[read-4k-1]='--rw=randread --bs=4k --iodepth=1'
	[read-4k-32]='--rw=randread --bs=4k --iodepth=32'
	[write-4k-1]='--rw=randwrite --bs=4k --iodepth=1'
	[write-4k-32]='--rw=randwrite --bs=4k --iodepth=32'
	[read-1m]='--rw=read --bs=1m --iodepth=4'
	[write-1m]='--rw=write --bs=1m --iodepth=4'
)

# Nanoseconds that dom0 has run for, as Xen accounts it.
dom0_ns()
{
	xl list | awk '$1 == "Domain-0" { printf "%.0f\n", $NF * 1000000000 }'
}

attach_to()
{
	case $1 in
	blkback) xl block-attach web1 "phy:$disk,xvda,w" ;;
	qdisk) xl block-attach web1 "format=raw,vdev=xvda,access=rw,backendtype=qdisk,target=$disk" ;;
	copy | map | persistent)
		serve --all "--data-path=$1"
		attach web1/xvda "$disk"
		;;
	esac
	guest_device web1 xvda
}

detach_from()
{
	case $1 in
	blkback | qdisk) xl block-detach web1 xvda ;;
	copy | map | persistent)
		tap-attach -d web1/xvda
		serve_stop
		;;
	esac
	guest_device_gone web1 xvda
}

measure()
{
	local before after ios

	before=$(dom0_ns)
	guest web1 "fio --name=b --filename=/dev/xvda --direct=1 --ioengine=libaio --time_based --runtime=$seconds \
		--output-format=terse --terse-version=3 ${job[$3]}" >/run/fio.out
	after=$(dom0_ns)
	# Terse version 3: fields 8 and 49 are IOPS; 6 and 47 KiB done.
	ios=$(awk -F';' 'NF > 50 { print $8 + $49 }' /run/fio.out)
	echo "@@ bench $1 $2 $3 $ios $(((after - before) / (ios * seconds + 1)))" | tee -a "$results"
}

modprobe null_blk nr_devices=1 gb=4 bs=512 queue_mode=2 irqmode=0
modprobe xen-blkback
guest_start web1
for ((round = 1; round <= rounds; round++)); do
	for backend in $backends; do
		attach_to "$backend"
		for workload in "${!job[@]}"; do
			measure "$round" "$backend" "$workload"
		done
		detach_from "$backend"
	done
done
xl destroy web1
