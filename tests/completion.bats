#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# sim: --domains 2
load helper

# complete_bash WORD...: what bash offers for the last word.
complete_bash()
{
	# shellcheck source=/dev/null
	source "$ROOT/completions/bash/$1"
	COMP_WORDS=("$@")
	COMP_CWORD=$(($# - 1))
	COMPREPLY=()
	"_${1//-/_}"
	printf '%s\n' "${COMPREPLY[@]}" | sort
}

# complete_fish LINE: the same of fish.
complete_fish()
{
	HOME=$T fish -c "source $ROOT/completions/fish/${1%% *}.fish; complete -C '$1'" | cut -f1 | sort
}

two_disks()
{
	make_image 64K one.img
	make_image 64K two.img
	tap-attach web1 one.img
	tap-attach web2/xvdc two.img
}

@test "bash completes options" {
	try complete_bash tap-attach --det
	stdout_is --detach
	try complete_bash tap-ring --v
	stdout_has --version
}

@test "bash completes disks from XenStore" {
	two_disks
	try complete_bash tap-ring ''
	stdout_is $'web1/xvda\nweb2/xvdc'
	try complete_bash tap-ring web2
	stdout_is web2/xvdc
	try complete_bash tap-serve --data-path = map web1/
	stdout_is web1/xvda
}

@test "bash completes the words of an option" {
	try complete_bash tap-serve --data-path = ''
	stdout_is $'auto\ncopy\nmap\npersistent'
	try complete_bash tap-serve --data-path m
	stdout_is map
}

@test "a name with strange characters is not offered" {
	two_disks
	# shellcheck disable=SC2016 # it must not be expanded
	xenstore-write /local/domain/2/name 'x$(reboot)'
	try complete_bash tap-ring ''
	xenstore-write /local/domain/2/name web2
	stdout_is $'2/xvdc\nweb1/xvda'
}

@test "fish completes options and disks" {
	two_disks
	try complete_fish 'tap-attach --detac'
	stdout_is --detach
	try complete_fish 'tap-ring web'
	stdout_is $'web1/xvda\nweb2/xvdc'
}
