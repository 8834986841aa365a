# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# The words that scenarios are written in. A scenario runs in dom0 under `set -e`: the first command that
# fails ends it and is reported. `passed SENTENCE` reports what was seen to hold.
results=${results-/dev/stdout}
declare -A domid=()
command_number=0

begin_scenario()
{
	scenario=$1
	set -Eeu -o pipefail
	trap 'scenario_error "$LINENO" "$BASH_COMMAND"' ERR
}

scenario_error()
{
	local line=$1 command=${2%%$'\n'*} i

	# Only the scenario's own shell ends the scenario; a subshell's status does that there.
	((BASH_SUBSHELL == 0)) || return 0
	for ((i = 1; i < ${#BASH_SOURCE[@]}; i++)); do
		if [[ ${BASH_SOURCE[i]} == /lab/scenarios/* ]]; then
			((i == 1)) || line=${BASH_LINENO[i - 1]} command="in ${FUNCNAME[i - 1]}: $command"
			break
		fi
	done
	echo "line $line: $command$(why)" >/run/reason
	exit 99
}

why()
{
	[[ ! -s /run/why ]] || printf ': %s' "$(tail -n 3 /run/why | tr '\n' ' ')"
}

# fail REASON: ends the scenario.
fail()
{
	echo "$*" >/run/reason
	exit 99
}

passed()
{
	echo "@@ ok $scenario: $*" >>"$results"
	echo "@@ ok $scenario: $*"
	: >/run/why
}

skipped()
{
	echo "@@ skip $scenario: $*" >>"$results"
}

# --- waiting ------------------------------------------------------------------------------------------

# wait_until SECONDS XENSTORE-PATH COMMAND...: until COMMAND is true, tried when the path changes.
wait_until()
{
	local end=$((SECONDS + $1)) fd watcher found=1
	exec {fd}< <(exec xenstore-watch "$2" 2>/dev/null)
	watcher=$!
	shift 2
	# A watch fires at once when it is set.
	while ((end > SECONDS)) && read -r -t $((end - SECONDS)) -u "$fd" _; do
		if "$@"; then
			found=0
			break
		fi
	done
	kill "$watcher" 2>/dev/null || true
	exec {fd}<&-
	return $found
}

# wait_end PID SECONDS
wait_end()
{
	timeout "$2" tail --pid="$1" -f /dev/null 2>/dev/null || ! kill -0 "$1" 2>/dev/null
}

# node_is PATH PATTERN
node_is()
{
	# shellcheck disable=SC2053 # a pattern is welcome
	[[ $(xenstore-read "$1" 2>/dev/null) == $2 ]]
}

node_gone()
{
	! xenstore-exists "$1"
}

# --- what there is ------------------------------------------------------------------------------------

guests()
{
	xl list | awk 'NR > 2 { print $1 }'
}

# no_domains SECONDS: waits until no guest is left. A domain that was destroyed stays, dying, until its
# last page is unmapped, and xenstored alone hears of its end from Xen: so Xen is asked, again and again.
no_domains()
{
	local end=$((SECONDS + $1))

	until [[ -z $(guests) ]]; do
		((end > SECONDS)) || return 1
	done
}

no_backends()
{
	! xenstore-ls -f /local/domain/0/backend 2>/dev/null | grep -q '/state = '
}

# Event channels of dom0 that lead to other domains.
ports()
{
	lsevtchn 0 | grep -i interdomain || true
}

# Pages of guest NAME that somebody maps now, as Xen sees it.
mapped_pages()
{
	xl dmesg -c >/dev/null
	xl debug-keys g
	xl dmesg -c | awk -v domain="d${domid[$1]}" '
		/grant-table for remote/ { mine = index($0, "remote " domain " ") || $0 ~ "remote " domain "$" }
		mine && /\[0x/ { print }'
}

remove_module()
{
	[[ ! -d /sys/module/${1//-/_} ]] || modprobe -r "$1"
}

# --- guests -------------------------------------------------------------------------------------------

# guest_create NAME [LINE...]: created and paused. LINE goes into its configuration as it is, and
# $guest_arguments into its kernel's command line.
guest_create()
{
	local name=$1
	shift
	{
		printf 'name="%s"\nkernel="/lab/vmlinux"\nramdisk="/lab/guest.img"\n' "$name"
		printf 'memory=448\nvcpus=1\non_crash="destroy"\n'
		[[ $* == *'type='* ]] || echo 'type="pv"'
		printf 'cmdline="console=hvc0 quiet panic=1 mitigations=off %s"\n' "${guest_arguments-}"
		printf '%s\n' "$@"
	} >"/run/$name.cfg"
	xl create -q -p "/run/$name.cfg" 2>&1 | tee /run/why
	domid[$name]=$(xl domid "$name")
	: >"/run/why"
}

guest_unpause()
{
	xl unpause "$1"
	guest_is_up "$1"
}

guest_is_up()
{
	wait_until $((180 * ${SLOW:-1})) "/local/domain/${domid[$1]}/data" \
		node_is "/local/domain/${domid[$1]}/data/done" 'boot 0' ||
		fail "guest $1 does not come up: $(tail -n 3 "/var/log/xen/guest-$1.log" | tr '\n' ' ')"
}

guest_start()
{
	guest_create "$@"
	guest_unpause "$1"
}

# guest_begin NAME COMMAND: returns at once; guest_end NAME [SECONDS] waits for the end, returns COMMAND's
# status and prints what it printed (the last 2000 bytes).
guest_begin()
{
	command_number=$((command_number + 1))
	xenstore-write -R "/local/domain/${domid[$1]}/data/command" "$BASHPID.$command_number $2"
	last_command=$BASHPID.$command_number
}

guest_end()
{
	local data=/local/domain/${domid[$1]}/data status

	if ! wait_until "${2-$((120 * ${SLOW:-1}))}" "$data/done" node_is "$data/done" "$last_command *"; then
		echo "guest $1 did not finish" >>/run/why
		return 1
	fi
	xenstore-read -R "$data/output" | tee /run/why
	status=$(xenstore-read "$data/done")
	return "${status#* }"
}

guest()
{
	guest_begin "$1" "$2"
	guest_end "$1" "${3-$((120 * ${SLOW:-1}))}"
}

guest_device()
{
	guest "$1" "device $2"
}

guest_device_gone()
{
	guest "$1" "device_gone $2"
}

# --- taptools -----------------------------------------------------------------------------------------

# serve ARGUMENT...: a tap-serve, ready when this returns. Its pid is $server.
serve()
{
	mkfifo /run/ready
	tap-serve --ready-fd 9 "$@" 9>/run/ready >>/run/serve.log 2>&1 &
	server=$!
	echo "$server" >>/run/servers
	read -r </run/ready || fail "tap-serve does not get ready: $(tail -n 2 /run/serve.log)"
	rm /run/ready
}

# Stops all of them in order.
serve_stop()
{
	local pid

	while read -r pid; do
		kill -TERM "$pid"
		wait "$pid"
	done </run/servers
	rm /run/servers
}

paths='copy map persistent'
declare -A disk_on=([copy]=xvda [map]=xvdb [persistent]=xvdc)

# guest_on_paths SIZE [LINE...]: guest web1, up, with a disk on each data path, each with a server of its
# own. The disk on PATH is ${disk_on[PATH]}, its image /srv/PATH.img.
guest_on_paths()
{
	local size=$1 path disk
	shift

	guest_create web1 "$@"
	for path in $paths; do
		disk=web1/${disk_on[$path]}
		truncate -s "$size" "/srv/$path.img"
		[[ $(attach "$disk" "/srv/$path.img") == "$disk" ]]
		serve "--data-path=$path" "$disk"
	done
	guest_unpause web1
	for path in $paths; do
		guest_device web1 "${disk_on[$path]}"
	done
}

# guest_on KIND IMAGE [OPTION...]: guest web1, up, with the disk xvda on IMAGE: vbd is xen-blkback's (of a
# block device), qdisk QEMU's, tap that of a tap-serve with OPTIONs.
guest_on()
{
	local kind=$1 image=$2
	shift 2

	case $kind in
	tap)
		guest_create web1
		attach web1 "$image"
		serve "$@" web1/xvda
		;;
	vbd)
		modprobe xen-blkback
		guest_create web1 "disk=[\"phy:$image,xvda,w\"]"
		;;
	qdisk) guest_create web1 "disk=[\"format=raw,vdev=xvda,access=rw,backendtype=qdisk,target=$image\"]" ;;
	esac
	guest_unpause web1
	guest_device web1 xvda
}

attach()
{
	tap-attach "$@" 2>&1 | tee /run/why
}

# counter DISK JQ-PATH: of tap-stat.
counter()
{
	tap-stat -J "$1" | jq "$2"
}

# Until the server's count of requests of DISK moves.
wait_busy()
{
	local before end=$((SECONDS + 30))

	before=$(counter "$1" '.items[0].requests')
	# The counters are a file that nobody announces: tap-stat's own interval is the wait.
	while ((end > SECONDS)); do
		tap-stat -J "$1" 0.2 2 >/run/stat.json
		[[ $(jq -s 'last.items[0].requests' /run/stat.json) -le $before ]] || return 0
	done
	return 1
}

# same_text FILE: standard input is what a guest said in FILE, apart from the last newline.
same_text()
{
	[[ $(cat) == "$(<"$1")" ]]
}

# same_files DIR IN: each file below DIR is the same below IN, apart from depmod's.
same_files()
{
	local file count=0

	while read -r file; do
		cmp "$1/$file" "$2/$file"
		count=$((count + 1))
	done < <(cd "$1" && find . -name '*.ko')
	((count > 5))
}
