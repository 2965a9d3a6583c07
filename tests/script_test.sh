#!/bin/bash
# For tests that are scripts, which source it: what they call, and how they fail. Their last call's words are in `log`.

fail() { echo "$(basename "$0" .sh): $*" >&2; exit 1; }
# quietly CALL...: it ends well; else what it said is shown.
quietly() { "$@" >log 2>&1 || { cat log >&2; fail "failed: $*"; }; }
# told WORDS CALL...: it fails, and says so.
told() {
  local words=$1
  shift
  ! "$@" >log 2>&1 || fail "worked, but should not: $*"
  grep -q -- "$words" log || { cat log >&2; fail "says nothing of '$words': $*"; }
}
