#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# sim: --domains 2
# tap-stat: what it says of disks, whatever became of their servers and guests.
load helper
load looking

# state_is STATE: of the one disk in stdout's table.
state_is()
{
	[[ ${lines[1]} == "web1/xvda "*" $1" ]] || explain "the state is not $1"
}

# A line of a report that goes on in the background, into LINE.
next_report()
{
	read -r -u "${REPORTS[0]}" LINE
}

@test "without disks there is a header, and a valid object" {
	try tap-stat
	status_is 0
	stdout_is 'DISK           req/s       r/s       w/s     f/s      rkB/s      wkB/s  r_await  w_await      p99  depth req/batch  errors  state'
	try tap-stat -J
	status_is 0
	stdout_is '{"version":1,"tool":"tap-stat","items":[]}'
}

@test "the states of a disk's life" {
	make_image 1M
	attach
	try tap-stat
	status_is 0
	state_is unserved
	serve
	try tap-stat
	state_is waiting
	hold
	try tap-stat
	state_is connected
	crash "$SERVER"
	try tap-stat
	status_is 0
	state_is died
	serve
	try tap-stat
	state_is connected
	stop "$HOLD"
	try tap-stat
	state_is waiting
	stop "$SERVER"
	try tap-stat
	state_is stopped
}

@test "a ring that was stopped: broken, until the guest reconnects" {
	attach_and_serve
	stopped_ring
	try tap-stat
	status_is 0
	state_is broken
	try tap-stat -J
	json_is '.items[0] | [.state, .broken_rings, .stopped_rings]' '["broken",1,1]'
	try tap-attach -l
	stdout_has 'broken: 1 of 1 rings stopped until the guest reconnects'
	stdout_has "backend: the frontend's request index is impossible: ring stopped"
	stop "$STOPPED"
	try tap-stat
	state_is waiting
	hold
	try tap-stat -J
	json_is '.items[0] | [.state, .broken_rings, .stopped_rings]' '["connected",1,0]'
	try tap-attach -l -J
	json_is '.items[0].problem' null
}

@test "nodes that make no sense, of a disk that nobody serves" {
	make_image 1M
	attach
	xenstore-write /local/domain/1/device/vbd/51712/protocol nonsense
	try tap-stat
	status_is 0
	state_is malformed
}

@test "what was read and written is counted" {
	attach_and_serve
	front read -o copy xvda 0 all
	head -c 512K /dev/urandom | front write xvda 0
	front flush xvda
	try tap-stat -J
	status_is 0
	json_is '.items[0] | [.disk, .domid, .vdev, .kind, .source]' '["web1/xvda",1,51712,"tap","stat"]'
	json_is '.items[0] | [.read.bytes, .write.bytes]' '[1048576,524288]'
	json_is '.items[0] | .flush.done >= 1' true
	json_is '.items[0] | .read.done + .write.done + .flush.done == .responses' true
	json_is '.items[0] | [.in_flight, .interval_errors, .image_errors]' '[0,0,0]'
	json_is '.items[0].faults | [.[]] | add' 0
	json_is '.items[0] | .interval_read_await_ns > 0 and .interval_p99_ns > 0' true
	json_is '.items[0].interval_requests == .items[0].responses' true
}

@test "the first report is since the start, the next ones since the one before" {
	attach_and_serve
	front read -o copy xvda 0 all
	hold
	try tap-stat -J "$DISK" 100ms 3
	status_is 0
	[[ ${#lines[@]} -eq 3 ]] || explain 'not three reports'
	try jq -sc '[.[].items[0].interval_requests > 0]' <<<"$output"
	stdout_is '[true,false,false]'
}

@test "rates are what the counters grew by" {
	attach_and_serve
	bench
	try tap-stat -J "$DISK" 200ms 3
	status_is 0
	try jq -sc '[.[].items[0]] | [
		.[1].responses - .[0].responses == .[1].interval_requests,
		.[2].responses - .[1].responses == .[2].interval_requests,
		.[2].taken_ns - .[1].taken_ns == .[2].interval_ns,
		.[2].interval_requests > 0]' <<<"$output"
	stdout_is '[true,true,true,true]'
	try tap-stat "$DISK" 200ms 2
	status_is 0
	[[ $output == *$'\n\n'DISK* ]] || explain 'no blank line between reports'
	read -r name all reads writes _ <<<"${lines[3]}"
	[[ $name == web1/xvda && $all == "$reads" && $reads != 0.0 && $writes == 0.0 ]] ||
		explain 'not the rates of a guest that reads'
}

@test "a server that died leaves its last numbers" {
	attach_and_serve
	front read -o copy xvda 0 all
	hold
	crash "$SERVER"
	try tap-stat -J
	status_is 0
	json_is '.items[0] | [.state, .server, .read.bytes]' '["died",0,1048576]'
	serve
	stop "$HOLD" # a guest cannot close without a server
}

@test "disks come and go between reports" {
	make_image 1M
	coproc REPORTS { exec tap-stat -J 20ms 3>&-; }
	next_report
	[[ $(jq '.items | length' <<<"$LINE") -eq 0 ]]
	attach
	until next_report && jq -e '.items[0].state == "unserved"' <<<"$LINE"; do :; done
	serve
	until next_report && jq -e '.items[0].state == "waiting"' <<<"$LINE"; do :; done
	attach web2 null:1M
	until next_report && jq -e '.items | length == 2' <<<"$LINE"; do :; done
	tap-attach -d web1/xvda web2/xvda
	until next_report && jq -e '.items == []' <<<"$LINE"; do :; done
	kill "$REPORTS_PID"
	disown_background "$SERVER" # it ended with its last disk
	wait "$SERVER"
}

@test "a server that comes anew counts anew" {
	attach_and_serve
	front read -o copy xvda 0 all
	coproc REPORTS { exec tap-stat -J "$DISK" 20ms 3>&-; }
	next_report
	[[ $(jq '.items[0].read.bytes' <<<"$LINE") -eq 1048576 ]]
	stop "$SERVER"
	serve
	front read -o copy xvda 0 512
	until next_report && jq -e '.items[0].read.bytes == 512' <<<"$LINE"; do :; done
	# Never less than nothing: a counter that went back would show as a huge rate.
	[[ $(jq '.items[0].interval_requests' <<<"$LINE") -le 1 ]]
	kill "$REPORTS_PID"
}

@test "only what is named" {
	attach web1 null:1M
	attach web1 null:1M
	attach web2 null:1M
	names_are()
	{
		[[ $(jq -r '[.items[].disk] | join(" ")' <<<"$output") == "$1" ]] || explain "not: $1"
	}
	try tap-stat -J
	names_are 'web1/xvda web1/xvdb web2/xvda'
	try tap-stat -J web1
	names_are 'web1/xvda web1/xvdb'
	try tap-stat -J web2 1/xvdb web2/xvda
	names_are 'web1/xvdb web2/xvda'
	try tap-stat -J 2/
	names_are web2/xvda
	try tap-stat -J 2 10ms 1
	names_are web2/xvda
	try tap-stat -J 10ms 2
	[[ ${#lines[@]} -eq 2 ]] || explain 'not two reports'
}

@test "more columns" {
	attach_and_serve
	front read -o copy xvda 0 all
	try tap-stat -x
	status_is 0
	stdout_has 'errors  pgop/req   %hit   kept evicted  subm/req  ntfy/req operation segments bounds capacity alignment read-only grant image  state'
	[[ ${lines[1]} =~ \ 0\.[0-9]{3}\ +-\ +0\ +0\ +0\.[0-9]{3}\ +0\.[0-9]{3}\ +0\ +0\ +0\ +0\ +0\ +0\ +0\ +0\ +waiting$ ]] ||
		explain 'not calls per request and errors'
}

@test "a name that is not there" {
	for name in nobody nobody/xvda web1/xvdz 31/; do
		try tap-stat "$name"
		status_is 3
		stdout_is ''
		stderr_has "${name%%/*}"
	done
	try tap-stat -J nobody
	status_is 3
	json_is '[.items, .error.exit]' '[[],3]'
}

@test "what the command line cannot mean" {
	while read -r line; do
		# shellcheck disable=SC2086 # several words are wanted
		try tap-stat $line
		status_is 2
		stdout_is ''
	done <<-'EOF2'
		0
		1 0
		0.0001
		25h
		1 -1
		/xvda
		web1/nonsense
	EOF2
}

@test "output that cannot be written ends it" {
	try bash -c 'tap-stat 10ms >/dev/full'
	status_is 9
	stderr_is 'tap-stat: cannot write to standard output
tap-stat: cannot write to standard output: No space left on device'
}

@test "counters only grow, also when the guest comes back with fewer queues" {
	make_image 1M
	attach
	serve
	front --queues 4 verify --ops 200 xvda
	before=$(tap-stat -J "$DISK" | jq '.items[0].requests')
	[[ $before -ge 200 ]]
	front verify --ops 10 xvda
	after=$(tap-stat -J "$DISK" | jq '.items[0].requests')
	[[ $after -gt $before && $after -lt $((before + 200)) ]]
}
