# SPDX-License-Identifier: MIT
# fish completion for tap-serve(8), written by its --generate=fish

function _tap_serve_name
    set -l name (xenstore-read /local/domain/$argv[1]/name 2>/dev/null)
    if string match -qr '^[A-Za-z0-9._-]+$' -- "$name"
        echo $name
    else
        echo $argv[1]
    end
end

function _tap_serve_domains
    for id in (xenstore-list /local/domain 2>/dev/null)
        _tap_serve_name $id
    end
end

function _tap_serve_disks
    for id in (xenstore-list /local/domain 2>/dev/null)
        for vdev in (xenstore-list /local/domain/$id/device/vbd 2>/dev/null)
            set -l backend (xenstore-read /local/domain/$id/device/vbd/$vdev/backend 2>/dev/null)
            set -l dev
            if string match -q '/local/domain/*' -- "$backend"
                set dev (xenstore-read $backend/dev 2>/dev/null)
            end
            string match -qr '^[a-z0-9]+$' -- "$dev"; or set dev $vdev
            echo (_tap_serve_name $id)/$dev
        end
    end
end

complete -c tap-serve -f
complete -c tap-serve -s a -l all -d 'Serve every disk of the kind (see --kind), those attached now and each that appears later'
complete -c tap-serve -l kind -x -d 'The kind of backend that --all serves: the name below backend/ in XenStore'
complete -c tap-serve -l data-path -x -a 'auto map copy persistent' -d 'How the guest\'s pages are reached: \'map\' maps them and runs direct I/O on them, \'copy\' copies through the hypervisor, \'persistent\' maps and keeps them where the guest\'s grants stay the same, else maps them; \'auto\' does so too, but copies else'
complete -c tap-serve -l persistent-idle -x -d 'Release a page that is kept mapped when it was not used for TIME'
complete -c tap-serve -l persistent-pages -x -d 'Keep up to N pages mapped for each queue'
complete -c tap-serve -l buffered -d 'Go through the page cache, also where the file system could do direct I/O'
complete -c tap-serve -l threads -x -d 'Serve the queues of all disks in N threads, in turn'
complete -c tap-serve -l ready-fd -x -d 'Write a newline to descriptor N and close it, once all disks named are offered to their guests'
complete -c tap-serve -l run -x -a '(__fish_complete_subcommand)' -d 'Run COMMAND with sh once ready, stop serving when it ends, and exit with its status'
complete -c tap-serve -l pidfile -r -F -d 'Write the process id to FILE once ready, and remove FILE at the end'
complete -c tap-serve -s J -l json -d 'Print what is served as one JSON object once ready'
complete -c tap-serve -s q -l quiet -d 'Log errors only'
complete -c tap-serve -l help -d 'Print a short help and exit'
complete -c tap-serve -l version -d 'Print the version and exit'
complete -c tap-serve -x -a '(_tap_serve_disks)'
