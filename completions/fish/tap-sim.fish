# SPDX-License-Identifier: MIT
# fish completion for tap-sim(8), written by its --generate=fish

complete -c tap-sim -f
complete -c tap-sim -l domains -x -d 'Make guests 1 to N, named web1 to webN'
complete -c tap-sim -l held -d 'List the grants that are mapped and the ports that are bound'
complete -c tap-sim -l calls -d 'List how often each process, or this one, has called which function of Xen\'s libraries'
complete -c tap-sim -l destroy -x -d 'Destroy a guest'
complete -c tap-sim -s J -l json -d 'Print JSON'
complete -c tap-sim -l help -d 'Print a short help and exit'
complete -c tap-sim -l version -d 'Print the version and exit'
complete -c tap-sim -x -a '(__fish_complete_subcommand)'
