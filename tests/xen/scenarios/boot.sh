# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# limit: 120
# The lab itself: Xen, dom0, XenStore, and a guest that runs commands.
#
# Seen to fail with: guest-init that never writes data/done.
guest_start web1
passed 'a guest boots'
[[ $(guest web1 'echo hello; echo there') == $'hello\nthere' ]]
passed 'a guest runs commands and says what they print'
if guest web1 'exit 7'; then
	fail 'a command that fails counts as done'
fi
passed 'a command that fails is told'
