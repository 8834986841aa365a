# SPDX-License-Identifier: MIT
# What the tests of tap-ring, tap-map and tap-stat look at: disks that are served, and rings that are
# full or at rest.
# shellcheck shell=bash

# attach_and_serve [OPTION...]: web1/xvda, with options for tap-serve.
attach_and_serve()
{
	make_image 1M
	attach
	serve "$@" "$DISK"
}

# bench [OPTION...]: a guest that keeps the ring full; BENCH is its pid.
bench()
{
	TAP_SIM_DOMID=1 tap-front bench --runtime 1h "$@" xvda >>bench.log 2>&1 3>&- &
	BENCH=$!
	background+=("$BENCH")
	wait_ring '.outstanding > 0'
}

# A guest whose ring was stopped; its indices are as they were before. STOPPED is its pid.
stopped_ring()
{
	mkfifo stopped
	TAP_SIM_DOMID=1 "$BUILD/hostile/hostile" --stopped xvda >stopped 2>hostile.log 3>&- &
	STOPPED=$!
	background+=("$STOPPED")
	read -r _ <stopped || fail "the ring was not stopped: $(<hostile.log)"
}

# Wait until jq's FILTER is true of the disk's ring. A stopped end has no event to give.
wait_ring()
{
	until tap-ring -J "$DISK" 2>/dev/null | jq -e ".items[0] // empty | $1" >/dev/null; do
		kill -0 "$BENCH"
	done
}
