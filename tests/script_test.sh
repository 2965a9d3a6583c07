#!/bin/bash
# For tests that are scripts, which source it: what they call, and how they fail. Their last call's words are in `log`.

fail() { echo "$(basename "$0" .sh): $*" >&2; exit 1; }
# quietly CALL...: it ends well; else what it said is shown.
quietly() { "$@" >log 2>&1 || { cat log >&2; fail "failed: $*"; }; }
# For tests of ranks: more of them than cores, also as root, as in a container. Without a launcher the test is skipped.
under_mpirun() {
  command -v mpirun >/dev/null || { echo "SKIPPED: no mpirun on this machine"; exit 0; }
  export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
}
# The test works in a folder of its own, which goes with it.
in_scratch() {
  work=$(mktemp -d)
  trap 'rm -rf "$work"' EXIT
  cd "$work" || exit
}
# told WORDS CALL...: it fails, and says so.
told() {
  local words=$1
  shift
  ! "$@" >log 2>&1 || fail "worked, but should not: $*"
  grep -q -- "$words" log || { cat log >&2; fail "says nothing of '$words': $*"; }
}
