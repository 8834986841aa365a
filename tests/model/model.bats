#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# sim: --domains 2
# Random behaviour of a frontend against a whole tap-serve, a few lives of it: tests/model/model.h.
# MODEL_SEED and MODEL_LIVES for others and more; `make fuzz TARGETS=model` goes on for a time.
load ../helper

PATH=$BUILD/model:$PATH
MODEL_SEED=${MODEL_SEED-1}
MODEL_LIVES=${MODEL_LIVES-6}

@test "whatever a frontend does, each invariant holds after each step" {
	model --seed "$MODEL_SEED" --lives "$MODEL_LIVES"
}

@test "the same seed is the same guest" {
	model --seed 7 --steps 60 --verbose 2>first
	model --seed 7 --steps 60 --verbose 2>second
	diff first second
}

# faulty_server FAULT SEED WHAT: a call fails once, in the middle; the model must find it and say how to
# see it again.
faulty_server()
{
	mkdir faulty
	printf '#!/bin/sh\nTAP_SIM_FAIL=%s exec %s "$@"\n' "$1" "$(command -v tap-serve)" \
		>faulty/tap-serve
	chmod +x faulty/tap-serve
	try env PATH="$T/faulty:$PATH" model --seed "$2" --lives 20
	rm -r faulty
	status_is 1
	stderr_has "$3"
	stderr_matches 'model: again with: tap-sim -- model --seed [0-9]+ --steps [0-9]+'
}

@test "a page that stays mapped is found" {
	faulty_server xengnttab_unmap:9 9 'mapped'
}

@test "a request that the image failed is found" {
	faulty_server io_submit:20:EIO 1 'not what was asked'
}
