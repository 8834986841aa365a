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
seconds=${SECONDS_EACH:-4}
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

# With a guest of its own, since QEMU serves only what a guest was created with.
start_on()
{
	case $1 in
	blkback) guest_on vbd "$disk" ;;
	qdisk) guest_on qdisk "$disk" ;;
	*) guest_on tap "$disk" "--data-path=$1" ;;
	esac
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
for ((round = 1; round <= rounds; round++)); do
	for backend in $backends; do
		start_on "$backend"
		for workload in "${!job[@]}"; do
			measure "$round" "$backend" "$workload"
		done
		xl destroy web1
		no_domains 20
		tap-attach --clean # the server ends with its disk
		remove_module xen-blkback
	done
done
