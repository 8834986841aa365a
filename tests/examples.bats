#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# The EXAMPLES of the pages, each page in a simulator of its own.
load helper

examples()
{
	"$ROOT/tests/examples.sh" "$ROOT/man/$1"
}

@test "examples of tap-attach(8)" {
	examples tap-attach.8
}

@test "examples of tap-front(8)" {
	examples tap-front.8
}

@test "examples of tap-map(8)" {
	examples tap-map.8
}

@test "examples of tap-ring(8)" {
	examples tap-ring.8
}

@test "examples of tap-serve(8)" {
	examples tap-serve.8
}

@test "examples of tap-sim(8)" {
	examples tap-sim.8
}

@test "examples of tap-stat(8)" {
	examples tap-stat.8
}

@test "examples of taptools(7)" {
	examples taptools.7
}
