#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# What happens when XenStore goes away: each test kills the one of a simulator of its own.
load helper

# The one of this simulator, and no other's.
own_xenstored()
{
	local pid
	for pid in $(pgrep -x xenstored); do
		if grep -qz "^XENSTORED_RUNDIR=$TAP_SIM_DIR/" "/proc/$pid/environ" 2>/dev/null; then
			echo "$pid"
		fi
	done
}

# A guest at work, whose words come on descriptor 8, and tap-serve with ARGUMENTs.
set_to_work()
{
	make_image 16M
	tap-attach web1 disk.img
	mkfifo ready said
	tap-serve --ready-fd 9 "$@" 9>ready 2>serve.log &
	server=$!
	read -r -N 1 _ <ready
	TAP_SIM_DOMID=1 tap-front verify xvda --ops 20000 >said 2>&1 &
	front=$!
	exec 8<said
	wait_for_node /local/domain/1/device/vbd/51712/state 4
}

# In a simulator: xenstored killed under a guest at work.
scenario()
{
	set_to_work "$@"
	kill -KILL "$(own_xenstored)"
	while read -r -u 8 line && [[ $line != *difference* ]]; do :; done
	kill -KILL "$front"
	kill -TERM "$server"
	wait "$server"
	echo "status $?"
	echo "$line"
	cat serve.log
}

# The same with news of the backend that the frontend has yet to look at when XenStore goes: COMMAND.
scenario_with_news()
{
	set_to_work web1/xvda
	kill -STOP "$front"
	xenstore-write /local/domain/0/backend/tap/1/51712/state 4
	kill -KILL "$(own_xenstored)"
	kill -CONT "$front"
	cat <&8
	wait "$front"
	echo "front $?"
	kill -TERM "$server"
	wait "$server"
	echo "status $?"
}

# xenstored ends and comes back with what it knew: the server goes on with both ends as they were, and sees
# what is new.
scenario_back()
{
	local old new program
	local -a environment nodes=()

	set_to_work --all
	old=$(own_xenstored)
	program=$(readlink "/proc/$old/exe")
	mapfile -d '' -t environment < <(grep -zv ^TAP_SIM_READY_FD= "/proc/$old/environ")
	while IFS= read -r line; do
		nodes+=("${line%% = *}" "$(sed 's/^[^"]*"\(.*\)"$/\1/' <<<"$line")")
	done < <(xenstore-ls -f /)
	exec 7< <(exec tail -n +1 -f serve.log)
	kill -KILL "$old"
	while read -r -u 7 line && [[ $line != *'XenStore is gone'* ]]; do :; done
	env -i "${environment[@]}" "$program" --no-fork >xenstored.log 2>&1 &
	new=$!
	# Not there before it listens.
	until xenstore-write "${nodes[@]}" 2>/dev/null; do kill -0 "$new" || return; done
	while read -r -u 7 line && [[ $line != *'XenStore is back'* ]]; do :; done
	cp disk.img second.img
	tap-attach web1/xvdb second.img
	wait_for_node /local/domain/0/backend/tap/1/51728/state 2
	while read -r -u 8 line && [[ $line != *difference* ]]; do :; done
	echo "$line"
	kill -KILL "$front"
	kill -TERM "$server"
	wait "$server"
	echo "status $?"
	cat serve.log
	kill -KILL "$new"
}

in_a_simulator()
{
	export -f set_to_work scenario scenario_back scenario_with_news own_xenstored make_image wait_for_node
	unset LD_PRELOAD TAP_SIM_DIR
	tap-sim bash -c '"$@"' scenario "$@"
}

@test "XenStore gone: connected disks are served on, and the server stops in order" {
	for arguments in web1/xvda --all '--threads 2 web1/xvda'; do
		rm -f ready said
		# shellcheck disable=SC2086 # several arguments in one word
		try in_a_simulator scenario $arguments
		status_is 0
		stdout_has 'no difference'
		stdout_has 'status 0'
		stdout_has 'XenStore is gone'
		stdout_has 'left Connected'
	done
}

@test "XenStore gone: a frontend with a ring goes on, whatever news it had still to look at" {
	try in_a_simulator scenario_with_news
	status_is 0
	stdout_has 'no difference'
	# It cannot say that it leaves.
	stdout_matches "tap-front: .*cannot write '.*/state' = Closing"
	stdout_has 'front 9'
	stdout_has 'status 0'
}

@test "XenStore back: noticed, and disks that are new are served" {
	try in_a_simulator scenario_back
	status_is 0
	stdout_has web1/xvdb
	stdout_has 'no difference'
	stdout_has 'status 0'
}
