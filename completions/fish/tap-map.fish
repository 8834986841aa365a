# SPDX-License-Identifier: MIT
# fish completion for tap-map(8), written by its --generate=fish

function _tap_map_name
    set -l name (xenstore-read /local/domain/$argv[1]/name 2>/dev/null)
    if string match -qr '^[A-Za-z0-9._-]+$' -- "$name"
        echo $name
    else
        echo $argv[1]
    end
end

function _tap_map_domains
    for id in (xenstore-list /local/domain 2>/dev/null)
        _tap_map_name $id
    end
end

function _tap_map_disks
    for id in (xenstore-list /local/domain 2>/dev/null)
        for vdev in (xenstore-list /local/domain/$id/device/vbd 2>/dev/null)
            set -l backend (xenstore-read /local/domain/$id/device/vbd/$vdev/backend 2>/dev/null)
            set -l dev
            if string match -q '/local/domain/*' -- "$backend"
                set dev (xenstore-read $backend/dev 2>/dev/null)
            end
            string match -qr '^[a-z0-9]+$' -- "$dev"; or set dev $vdev
            echo (_tap_map_name $id)/$dev
        end
    end
end

complete -c tap-map -f
complete -c tap-map -l dump -d 'Write a copy of the ring to standard output, for tap-ring or for later'
complete -c tap-map -s J -l json -d 'Print JSON'
complete -c tap-map -l page -x -d 'Show the bytes of one page that the guest has granted'
complete -c tap-map -s q -l queue -x -d 'This queue only'
complete -c tap-map -l raw -d 'With --page: write the bytes as they are'
complete -c tap-map -l help -d 'Print a short help and exit'
complete -c tap-map -l version -d 'Print the version and exit'
complete -c tap-map -x -a '(_tap_map_disks)'
