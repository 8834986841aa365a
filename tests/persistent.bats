#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# sim: --domains 2
# Persistent grants: agreed on, data right, bounded, released, given back.
load helper
load looking

VERIFY_OPS=${VERIFY_OPS-2000}

# stat_is FILTER VALUE: of the disk, in tap-stat's object.
stat_is()
{
	try tap-stat -J "$DISK"
	status_is 0
	json_is ".items[0] | $1" "$2"
}

data_path()
{
	tap-map -J "$DISK" | jq -r '.items[] | select(.use == "server").data_path'
}

offered()
{
	xenstore-read /local/domain/0/backend/tap/1/51712/feature-persistent
}

# A line of a report that goes on in the background, until FILTER is true of it.
report_until()
{
	until read -r -u "${REPORTS[0]}" LINE && jq -e ".items[0] | $1" <<<"$LINE"; do :; done
}

@test "what each end says decides the data path" {
	make_image 1M
	attach
	while read -r path persistent plain offer; do
		serve --data-path "$path" "$DISK"
		hold --persistent
		[[ $(offered) == "$offer" ]] || fail "$path: feature-persistent is $(offered)"
		[[ $(data_path) == "$persistent" ]] || fail "$path, persistent frontend: $(data_path)"
		stop "$HOLD"
		hold
		[[ $(data_path) == "$plain" ]] || fail "$path, other frontend: $(data_path)"
		stop "$HOLD"
		stop "$SERVER"
	done <<-'EOF2'
		auto persistent copy 1
		persistent persistent map 1
		map map map 0
		copy copy copy 0
	EOF2
}

@test "auto is the default" {
	attach_and_serve
	hold --persistent
	[[ $(data_path) == persistent ]]
}

@test "the frontend's option excludes fresh grants, and shows in its node only for as long" {
	try tap-front --persistent --fresh-grants info xvda
	status_is 2
	attach_and_serve
	hold --persistent
	[[ $(xenstore-read /local/domain/1/device/vbd/51712/feature-persistent) -eq 1 ]]
	stop "$HOLD"
	run ! xenstore-exists /local/domain/1/device/vbd/51712/feature-persistent
}

# verify_with FRONT_OPTIONS [SERVE_OPTION...]
verify_with()
{
	make_image 32M
	attach
	serve --data-path=persistent "${@:2}" "$DISK"
	# shellcheck disable=SC2086 # several options are wanted
	front --persistent $1 verify --ops "$VERIFY_OPS" --iodepth 64 xvda
	# Lists of segments are copied; data is not.
	[[ $1 == *--indirect* ]] || stat_is .copy_calls 0
	stat_is '.pages_copied == 0 and .persistent_hits > 0 and .pages_mapped == .pages_unmapped' true
}

@test "random operations find no difference" {
	verify_with ''
}

@test "random operations find no difference: 32-bit ring" {
	verify_with '--abi x86_32'
}

@test "random operations find no difference: far over the bound" {
	verify_with '' --persistent-pages 3
	stat_is '.persistent_misses > .persistent_hits' true
}

@test "random operations find no difference: pages released all the time" {
	verify_with '' --persistent-idle 1ms
}

@test "random operations find no difference: several queues, in threads" {
	verify_with '--queues 4' --threads 2
}

@test "random operations find no difference: indirect requests" {
	verify_with '--indirect 256 --ring-order 2'
}

@test "random operations find no difference: indirect, scattered, several queues, few pages, in threads" {
	verify_with '--indirect 64 --scatter --queues 3' --threads 2 --persistent-pages 20
	stat_is '.persistent_evicted > 0 or .persistent_misses > .persistent_hits' true
}

@test "what several queues keep is given back when the guest closes, and when the server stops" {
	attach_and_serve --threads 2
	bench --persistent --queues 4 --bs 44K
	coproc REPORTS { exec tap-stat -J "$DISK" 20ms 3>&-; }
	report_until '.persistent_kept > 44' # of more than one queue
	kill "$REPORTS_PID"
	stop "$SERVER"
	[[ $(tap-sim --held) != *tap-serve* ]]
	serve --threads 3 "$DISK"
	coproc REPORTS { exec tap-stat -J "$DISK" 20ms 3>&-; }
	report_until '.persistent_kept > 44'
	kill "$REPORTS_PID"
	stop "$BENCH" # which fails if a page is still mapped
	stat_is '[.persistent_kept, .pages_mapped - .pages_unmapped]' '[0,0]'
}

@test "after a while hardly any page operation is left" {
	attach_and_serve --data-path persistent
	bench --persistent --rw randrw --bs 44K
	coproc REPORTS { exec tap-stat -J "$DISK" 20ms 3>&-; }
	report_until '.responses > 1000'
	before=$LINE
	report_until ".responses > $(jq '.items[0].responses' <<<"$before") + 5000"
	kill "$REPORTS_PID"
	# 11 pages each: of at least 5000 requests, less than one in 50 needs a call.
	try jq -sc 'map(.items[0] | .map_calls + .unmap_calls + .copy_calls) | .[1] - .[0] < 100' \
		<<<"$before$LINE"
	stdout_is true
}

@test "what is kept is shown, and given back when the guest closes" {
	attach_and_serve
	bench --persistent --bs 44K
	wait_kept()
	{
		coproc REPORTS { exec tap-stat -J "$DISK" 20ms 3>&-; }
		report_until '.persistent_kept > 0'
		kill "$REPORTS_PID"
	}
	wait_kept
	try tap-map "$DISK"
	stdout_matches "tap-serve $SERVER \(persistent\): [0-9]+ pages mapped now, [1-9][0-9]* of them kept;"
	try tap-map -J "$DISK"
	json_is '.items[] | select(.use == "server") | .pages_kept_now > 0 and .pages_kept_now <= .pages_mapped_now' true
	try tap-stat -x "$DISK"
	[[ ${lines[1]} =~ \ (100\.0|[1-9][0-9]?\.[0-9])\ +[1-9][0-9]*\ +0\ +[0-9]\.[0-9]{3}\  ]] ||
		explain 'no hits and no pages kept'
	stop "$BENCH" # which fails if a page is still mapped
	stat_is '[.persistent_kept, .persistent_evicted, .pages_mapped - .pages_unmapped]' '[0,0,0]'
}

@test "no more is kept than allowed" {
	attach_and_serve --persistent-pages 5
	front --persistent bench --ops 2000 --bs 44K --rw randrw xvda
	stat_is '.persistent_hits + .persistent_misses' 22000
	stat_is '.persistent_misses > 10000 and .pages_mapped == .pages_unmapped' true
	bench --persistent --bs 44K
	coproc REPORTS { exec tap-stat -J "$DISK" 20ms 3>&-; }
	report_until '.persistent_kept == 5'
	for _ in {1..10}; do
		report_until 'true'
		[[ $(jq '.items[0].persistent_kept' <<<"$LINE") -le 5 ]] || fail "$LINE"
	done
	kill "$REPORTS_PID"
}

@test "what is not used for a while is released, though the guest stays" {
	attach_and_serve --persistent-idle 100ms
	coproc REPORTS { exec tap-stat -J "$DISK" 20ms 3>&-; }
	bench --persistent
	report_until '.persistent_kept > 0'
	kill -STOP "$BENCH"
	report_until '.in_flight == 0 and .persistent_kept == 0'
	jq -e '.items[0] | .state == "connected" and .persistent_evicted > 0' <<<"$LINE"
	evicted=$(jq '.items[0].persistent_evicted' <<<"$LINE")
	kill -CONT "$BENCH"
	report_until '.persistent_kept > 0'
	jq -e ".items[0].persistent_misses > $evicted" <<<"$LINE" # mapped anew
	kill "$REPORTS_PID"
}

@test "a detach gives all pages back, once the guest lets go" {
	attach_and_serve
	bench --persistent
	coproc REPORTS { exec tap-stat -J "$DISK" 20ms 3>&-; }
	report_until '.persistent_kept > 0'
	kill "$REPORTS_PID"
	try tap-attach -d --timeout 0 "$DISK"
	status_is 4
	stop "$BENCH" # which fails if a page is still mapped
	disown_background "$SERVER"
	wait "$SERVER" # it ends with its last disk
	assert_nothing_held
}

@test "a server that stops gives all pages back, and the next one agrees with what was said" {
	make_image 8M
	attach
	serve --data-path copy "$DISK"
	hold --persistent # it was not offered, so the guest must not find pages still mapped
	stop "$SERVER"
	serve
	[[ $(data_path) == copy ]]
	stop "$HOLD"
	hold --persistent
	[[ $(data_path) == persistent ]]
	stop "$SERVER"
	[[ $(tap-sim --held) != *tap-serve* ]]
	serve
	[[ $(data_path) == persistent ]]
	stop "$HOLD"
}

@test "a server that is killed while pages are kept harms no guest" {
	attach_and_serve
	hold --persistent
	crash "$SERVER"
	serve
	[[ $(data_path) == persistent ]]
	stop "$HOLD"
	front --persistent verify --ops 200 xvda
}

@test "what the command line cannot mean" {
	for option in --data-path=fast --persistent-idle=0 --persistent-idle=x --persistent-pages=0 \
		--persistent-pages=65537 --persistent-pages=x; do
		try tap-serve "$option" web1/xvda
		status_is 2
		stderr_has "${option%%=*}"
	done
}
