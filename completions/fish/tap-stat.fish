# SPDX-License-Identifier: MIT
# fish completion for tap-stat(8), written by its --generate=fish

function _tap_stat_name
    set -l name (xenstore-read /local/domain/$argv[1]/name 2>/dev/null)
    if string match -qr '^[A-Za-z0-9._-]+$' -- "$name"
        echo $name
    else
        echo $argv[1]
    end
end

function _tap_stat_domains
    for id in (xenstore-list /local/domain 2>/dev/null)
        _tap_stat_name $id
    end
end

function _tap_stat_disks
    for id in (xenstore-list /local/domain 2>/dev/null)
        for vdev in (xenstore-list /local/domain/$id/device/vbd 2>/dev/null)
            set -l backend (xenstore-read /local/domain/$id/device/vbd/$vdev/backend 2>/dev/null)
            set -l dev
            if string match -q '/local/domain/*' -- "$backend"
                set dev (xenstore-read $backend/dev 2>/dev/null)
            end
            string match -qr '^[a-z0-9]+$' -- "$dev"; or set dev $vdev
            echo (_tap_stat_name $id)/$dev
        end
    end
end

complete -c tap-stat -f
complete -c tap-stat -s J -l json -d 'Print JSON: one object on a line for each report'
complete -c tap-stat -s x -l extended -d 'Show more columns: calls per request, and errors by class'
complete -c tap-stat -l help -d 'Print a short help and exit'
complete -c tap-stat -l version -d 'Print the version and exit'
complete -c tap-stat -x -a '(_tap_stat_disks)'
