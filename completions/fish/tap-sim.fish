# SPDX-License-Identifier: MIT
# fish completion for tap-sim(8), written by its --generate=fish

function _tap_sim_name
    set -l name (xenstore-read /local/domain/$argv[1]/name 2>/dev/null)
    if string match -qr '^[A-Za-z0-9._-]+$' -- "$name"
        echo $name
    else
        echo $argv[1]
    end
end

function _tap_sim_domains
    for id in (xenstore-list /local/domain 2>/dev/null)
        _tap_sim_name $id
    end
end

function _tap_sim_disks
    for id in (xenstore-list /local/domain 2>/dev/null)
        for vdev in (xenstore-list /local/domain/$id/device/vbd 2>/dev/null)
            set -l backend (xenstore-read /local/domain/$id/device/vbd/$vdev/backend 2>/dev/null)
            set -l dev
            if string match -q '/local/domain/*' -- "$backend"
                set dev (xenstore-read $backend/dev 2>/dev/null)
            end
            string match -qr '^[a-z0-9]+$' -- "$dev"; or set dev $vdev
            echo (_tap_sim_name $id)/$dev
        end
    end
end

complete -c tap-sim -f
complete -c tap-sim -l domains -x -d 'Make guests 1 to N, named web1 to webN'
complete -c tap-sim -l held -d 'List the grants that are mapped and the ports that are bound'
complete -c tap-sim -l calls -d 'List how often each process, or this one, has called which function of Xen\'s libraries'
complete -c tap-sim -l destroy -x -a '(_tap_sim_domains)' -d 'Destroy a guest'
complete -c tap-sim -s J -l json -d 'Print JSON'
complete -c tap-sim -l help -d 'Print a short help and exit'
complete -c tap-sim -l version -d 'Print the version and exit'
complete -c tap-sim -x -a '(__fish_complete_subcommand)'
