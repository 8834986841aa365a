#!/bin/bash
# SPDX-License-Identifier: MIT
# Runs scenarios in dom0, one after the other, each for as long as its line `# limit: SECONDS` allows,
# and clears up behind it. What tests/xen/run reads, on $results:
#
#   @@ begin SCENARIO SECONDS
#   @@ ok SCENARIO: SENTENCE
#   @@ not ok SCENARIO: REASON
#   @@ skip SCENARIO: REASON
#   @@ end SCENARIO SECONDS
set -uo pipefail
# shellcheck source=tests/xen/lib.sh
. /lab/lib.sh

report()
{
	echo "@@ $*" >>"$results"
	echo "@@ $*"
}

scenario_failed()
{
	report "not ok $scenario: $*"
	# What happened is known to the console's log alone.
	tail -n 30 /var/log/xen/guest-*.log /run/serve.log /var/log/xen/xl-*.log 2>/dev/null
	dmesg | tail -n 20
}

# A scenario leaves nothing: no domain (one with a page still mapped stays as a dying one), no port, no
# node, no server.
clear_up()
{
	local name pid
	local -a cores

	for name in $(guests); do
		xl destroy "$name"
	done
	# While the server is up: what it still had mapped would keep a domain dying.
	no_domains 20 ||
		scenario_failed "domains are left: $(xl list | tail -n +3 | tr '\n' ';')"
	tap-attach --clean || scenario_failed 'tap-attach --clean fails'
	touch /run/servers
	while read -r pid; do
		kill -TERM "$pid" 2>/dev/null || continue
		wait_end "$pid" 20 || {
			scenario_failed 'tap-serve does not end on SIGTERM'
			kill -KILL "$pid"
		}
	done </run/servers
	rm -f /run/servers /run/ready
	wait_until 10 /local/domain/0/backend no_backends ||
		scenario_failed "nodes are left: $(xenstore-ls -f /local/domain/0/backend | grep /state | tr '\n' ';')"
	[[ $(ports) == "$ports_before" ]] ||
		scenario_failed "ports are left: $(diff <(echo "$ports_before") <(ports) | grep '^>' | tr '\n' ';')"
	cores=(/run/cores/*)
	[[ ! -e ${cores[0]} ]] || {
		scenario_failed "crashed: ${cores[*]##*/}"
		rm "${cores[@]}"
	}
	remove_module xen-blkback
	rm -rf /srv/* /run/taptools /run/*.cfg
	mv /var/log/xen/*.log "/var/log/xen/old/" 2>/dev/null
}

run_scenario()
{
	local file=/lab/scenarios/$1.sh limit begin=$SECONDS status

	scenario=$1
	[[ -e $file ]] || {
		report "not ok $1: there is no such scenario"
		return
	}
	limit=$(sed -n 's/^# limit: \([0-9]*\)$/\1/p' "$file")
	limit=$((limit * ${SLOW:-1}))
	ports_before=$(ports)
	report "begin $scenario $limit"
	# shellcheck disable=SC2016 # for the inner shell
	timeout -k 10 "$limit" bash -c '. /lab/lib.sh && begin_scenario "$1" && . "$2"' - "$scenario" "$file"
	status=$?
	# Within the scenario an error reports itself and exits 99.
	case $status in
	0 | 99) ;;
	124 | 143 | 137) scenario_failed "took more than $limit s" ;;
	*) scenario_failed "exited $status" ;;
	esac
	[[ $status -ne 99 ]] || scenario_failed "$(cat /run/reason)"
	clear_up
	report "end $scenario $((SECONDS - begin))"
}

# A program that crashes is told of, also when nobody waits for it.
mkdir -p /var/log/xen/old /run/cores
echo '/run/cores/%e.%p' >/proc/sys/kernel/core_pattern
ulimit -c unlimited
modprobe loop
modprobe brd rd_nr=2 rd_size=716800 max_part=0
mke2fs -q -t ext4 -O ^has_journal /dev/ram0
mount /dev/ram0 /srv
for name in ${1//+/ }; do
	run_scenario "$name"
done
