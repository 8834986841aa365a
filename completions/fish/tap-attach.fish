# SPDX-License-Identifier: MIT
# fish completion for tap-attach(8), written by its --generate=fish

function _tap_attach_name
    set -l name (xenstore-read /local/domain/$argv[1]/name 2>/dev/null)
    if string match -qr '^[A-Za-z0-9._-]+$' -- "$name"
        echo $name
    else
        echo $argv[1]
    end
end

function _tap_attach_domains
    for id in (xenstore-list /local/domain 2>/dev/null)
        _tap_attach_name $id
    end
end

function _tap_attach_disks
    for id in (xenstore-list /local/domain 2>/dev/null)
        for vdev in (xenstore-list /local/domain/$id/device/vbd 2>/dev/null)
            set -l backend (xenstore-read /local/domain/$id/device/vbd/$vdev/backend 2>/dev/null)
            set -l dev
            if string match -q '/local/domain/*' -- "$backend"
                set dev (xenstore-read $backend/dev 2>/dev/null)
            end
            string match -qr '^[a-z0-9]+$' -- "$dev"; or set dev $vdev
            echo (_tap_attach_name $id)/$dev
        end
    end
end

complete -c tap-attach -s d -l detach -d 'Detach disks, and wait until both ends have let go of them'
complete -c tap-attach -s l -l list -d 'List the disks that have their backend in this domain, of all kinds, or of DOM only'
complete -c tap-attach -s c -l set-capacity -d 'Have the disk\'s server look at the image\'s size again and tell the guest'
complete -c tap-attach -l stale -d 'List what is left of disks that are no more'
complete -c tap-attach -l clean -d 'Remove what --stale lists'
complete -c tap-attach -s r -l read-only -d 'Attach the image read-only'
complete -c tap-attach -l kind -x -d 'The kind of backend: the name below backend/ in XenStore'
complete -c tap-attach -l device-type -x -a 'disk cdrom' -d 'What the guest sees'
complete -c tap-attach -l removable -d 'Tell the guest that the disk is removable'
complete -c tap-attach -l sector-size -x -a '512 4096' -d 'The sector size the guest is told, 512 or 4096'
complete -c tap-attach -l no-discard -d 'Do not offer discards'
complete -c tap-attach -l direct-io-safe -d 'Allow direct I/O also where the image is on a network file system'
complete -c tap-attach -l max-queues -x -d 'Offer that many queues at most, 1 to 16'
complete -c tap-attach -l max-ring-order -x -d 'Offer rings of 2 to the power of N pages at most, 0 to 4'
complete -c tap-attach -l max-segments -x -d 'Offer indirect requests of that many segments at most, up to 256'
complete -c tap-attach -l share -d 'Let other disks that are attached with --share write to the same image'
complete -c tap-attach -l wait -d 'Return when both ends are Connected'
complete -c tap-attach -l timeout -x -d 'How long --wait, -d and -c wait'
complete -c tap-attach -l force -d 'With -d: remove the disk now, whatever its guest does'
complete -c tap-attach -l dry-run -d 'Check all, then print the changes to XenStore in order instead of making them'
complete -c tap-attach -s v -l verbose -d 'Tell each step on stderr'
complete -c tap-attach -s J -l json -d 'Print JSON'
complete -c tap-attach -l help -d 'Print a short help and exit'
complete -c tap-attach -l version -d 'Print the version and exit'
complete -c tap-attach -x -a '(_tap_attach_disks)'
