# shellcheck shell=bash
# Sourced by the scripts beside it, each of which has usage() and its defaults. take_options "NAME..." "$@": the value of
# each --NAME given becomes $NAME; --shared and --out are always known, and needed.
take_options() {
  local known=" shared out bin $1 " script=${0##*/} name
  shift
  while [ $# -gt 0 ]; do
    name=${1#--}
    if [ "$1" = --help ]; then usage; exit 0; fi
    if [ "$name" = "$1" ] || [[ $known != *" $name "* ]] || [ $# -lt 2 ]; then
      echo "$script: unknown argument $1, or without a value" >&2
      usage >&2
      exit 2
    fi
    printf -v "$name" '%s' "$2"
    shift 2
  done
  [ -n "$shared" ] && [ -n "$out" ] || { usage >&2; exit 2; }
}
