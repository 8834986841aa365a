# SPDX-License-Identifier: MIT
# fish completion for tap-front(8), written by its --generate=fish

function _tap_front_name
    set -l name (xenstore-read /local/domain/$argv[1]/name 2>/dev/null)
    if string match -qr '^[A-Za-z0-9._-]+$' -- "$name"
        echo $name
    else
        echo $argv[1]
    end
end

function _tap_front_domains
    for id in (xenstore-list /local/domain 2>/dev/null)
        _tap_front_name $id
    end
end

function _tap_front_disks
    for id in (xenstore-list /local/domain 2>/dev/null)
        for vdev in (xenstore-list /local/domain/$id/device/vbd 2>/dev/null)
            set -l backend (xenstore-read /local/domain/$id/device/vbd/$vdev/backend 2>/dev/null)
            set -l dev
            if string match -q '/local/domain/*' -- "$backend"
                set dev (xenstore-read $backend/dev 2>/dev/null)
            end
            string match -qr '^[a-z0-9]+$' -- "$dev"; or set dev $vdev
            echo (_tap_front_name $id)/$dev
        end
    end
end

complete -c tap-front -f
complete -c tap-front -s i -l input -r -F -d 'Write what FILE holds'
complete -c tap-front -s o -l output -r -F -d 'Put what is read into FILE'
complete -c tap-front -l iodepth -x -d 'Keep N operations in flight'
complete -c tap-front -l ops -x -d 'Do N operations'
complete -c tap-front -l seed -x -d 'Repeat the operations of the run that printed this seed'
complete -c tap-front -l range -x -d 'Stay within the first SIZE bytes of the disk'
complete -c tap-front -l rw -x -a 'read write randread randwrite randrw' -d 'What bench does: read, write, randread, randwrite or randrw'
complete -c tap-front -l bs -x -d 'Bytes of each of bench\'s operations'
complete -c tap-front -l runtime -x -d 'How long bench runs'
complete -c tap-front -l abi -x -a 'x86_64 x86_32 native' -d 'Layout of the ring: x86_64, x86_32, or native, the one of this machine'
complete -c tap-front -l queues -x -a '1 2 4 8 16 max' -d 'Use N queues, each with a ring and an event channel of its own; max: as many as the backend offers, 16 at most'
complete -c tap-front -l ring-order -x -a '0 1 2 3 4 max' -d 'Make each ring of 2^N pages; max: as large as the backend offers, 4 at most'
complete -c tap-front -l ring-dialect -x -a 'order pages' -d 'How the backend is told of a ring\'s size: \'order\' (ring-page-order, the default) or \'pages\' (num-ring-pages, as older frontends do)'
complete -c tap-front -l indirect -x -a '32 256 max' -d 'Carry up to N segments in a request, through indirect pages where there are more than 11; max: as many as the backend offers, 256 at most'
complete -c tap-front -l scatter -d 'Spread data over its pages: each segment is 1 to 8 sectors anywhere in its page'
complete -c tap-front -l states -x -a 'linux uefi boot' -d 'How to go through the states: \'linux\' (the default); \'uefi\': straight to Connected, without waiting for the backend\'s InitWait; \'boot\': stays at Initialised and goes away without closing, which the next tap-front does for it'
complete -c tap-front -l barriers -d 'Let verify write barriers as well, empty and with data'
complete -c tap-front -l flush-data -d 'Let verify send flushes that carry data as well'
complete -c tap-front -l discards -x -a 'zeros any' -d 'Let verify discard as well'
complete -c tap-front -l force -d 'Send writes to a disk that is read-only all the same: to see its backend refuse them'
complete -c tap-front -l secure -d 'Make discard a secure one'
complete -c tap-front -l fresh-grants -d 'Grant pages anew for each request and end the grants at its answer, as a guest does without persistent grants'
complete -c tap-front -l persistent -d 'Tell the backend that the pool\'s pages stay granted, so that it may keep them mapped'
complete -c tap-front -l timeout -x -d 'Wait that long for the backend to connect, and to close'
complete -c tap-front -l ready-fd -x -d 'hold writes a newline to FD when it is connected'
complete -c tap-front -l busy -d 'hold does not let go when the backend asks for it, as a guest that uses the disk'
complete -c tap-front -s J -l json -d 'Print JSON (info, verify, bench)'
complete -c tap-front -l help -d 'Print a short help and exit'
complete -c tap-front -l version -d 'Print the version and exit'
complete -c tap-front -x -a 'info read write discard flush barrier verify bench hold'
complete -c tap-front -x -a '(_tap_front_disks)'
