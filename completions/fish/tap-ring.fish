# SPDX-License-Identifier: MIT
# fish completion for tap-ring(8), written by its --generate=fish

function _tap_ring_name
    set -l name (xenstore-read /local/domain/$argv[1]/name 2>/dev/null)
    if string match -qr '^[A-Za-z0-9._-]+$' -- "$name"
        echo $name
    else
        echo $argv[1]
    end
end

function _tap_ring_domains
    for id in (xenstore-list /local/domain 2>/dev/null)
        _tap_ring_name $id
    end
end

function _tap_ring_disks
    for id in (xenstore-list /local/domain 2>/dev/null)
        for vdev in (xenstore-list /local/domain/$id/device/vbd 2>/dev/null)
            set -l backend (xenstore-read /local/domain/$id/device/vbd/$vdev/backend 2>/dev/null)
            set -l dev
            if string match -q '/local/domain/*' -- "$backend"
                set dev (xenstore-read $backend/dev 2>/dev/null)
            end
            string match -qr '^[a-z0-9]+$' -- "$dev"; or set dev $vdev
            echo (_tap_ring_name $id)/$dev
        end
    end
end

complete -c tap-ring -f
complete -c tap-ring -s a -l all -d 'Show every slot, also those that hold responses'
complete -c tap-ring -s i -l interval -x -d 'Look twice, that far apart'
complete -c tap-ring -s J -l json -d 'Print JSON'
complete -c tap-ring -s q -l queue -x -d 'Show this queue only'
complete -c tap-ring -l help -d 'Print a short help and exit'
complete -c tap-ring -l version -d 'Print the version and exit'
complete -c tap-ring -x -a '(_tap_ring_disks)'
