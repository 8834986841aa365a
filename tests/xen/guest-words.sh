# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# What a guest's commands may use: each is run by a bash that has read this (guest-init).

# until_event COMMAND: until COMMAND is true, which is tried at each uevent of the kernel; 30 s at most.
# guest-init writes a line for each of them.
until_event()
{
	local end=$((SECONDS + 30)) events teller found=1

	exec {events}< <(exec tail -n +1 -f /run/uevents)
	teller=$!
	while ((end > SECONDS)); do
		if eval "$1"; then
			found=0
			break
		fi
		read -r -t $((end - SECONDS)) -u "$events" _ || break
	done
	kill "$teller"
	exec {events}<&-
	return $found
}

device()
{
	until_event "[[ -b /dev/$1 && \$(</sys/block/$1/size) -gt 0 ]]"
}

device_gone()
{
	until_event "[[ ! -e /dev/$1 ]]"
}

# busy COMMAND: in the background; what it prints is in /run/busy.
busy()
{
	{
		flock 8
		eval "$1" >/run/busy 2>&1 &
	} 8>/run/busy.lock
}

# busy_end [SECONDS]: until all of it has ended (they hold the lock).
busy_end()
{
	flock -w "${1-60}" /run/busy.lock true
}

# It is a fio. Its first process ends the others: told together they may wait for each other.
busy_stop()
{
	kill -INT "$(pidof fio | tr ' ' '\n' | sort -n | head -n 1)" && busy_end
}
