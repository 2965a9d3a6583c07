# shellcheck shell=bash
# Sourced by tools/*.sh and .ci/run. Gives: root (the repository), say, die, ensure_packages, build_preset,
# test_preset. Debian's own packages only; apt is touched only when something is missing.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

# Progress goes to stderr: stdout stays with the programs that are run.
say() { printf '== %s\n' "$*" >&2; }
die() {
  printf '%s: %s\n' "${0##*/}" "$*" >&2
  exit 1
}

# ensure_packages NAME... : installs those that are missing, with sudo where we are not root.
ensure_packages() {
  local missing=() package
  command -v dpkg-query >/dev/null ||
    die "this is not Debian or Ubuntu: install the equivalents of these packages yourself, then run" \
        "'cmake --preset release && cmake --build --preset release && ctest --preset release': $*"
  for package in "$@"; do
    [[ $(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null) == installed ]] || missing+=("$package")
  done
  [[ ${#missing[@]} -gt 0 ]] || return 0
  local as_root=()
  if [[ $EUID -ne 0 ]]; then
    command -v sudo >/dev/null || die "these packages are missing, and there is no sudo; as root: apt-get install ${missing[*]}"
    as_root=(sudo)
    [[ -t 0 ]] || as_root+=(-n)  # nobody is there to type a password
  fi
  say "installing ${missing[*]}"
  # A stale package list is no reason to stop: the installation below decides.
  "${as_root[@]}" apt-get update -qq </dev/null >&2 || say "apt-get update failed; trying with the lists at hand"
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
    "${missing[@]}" </dev/null >&2 || die "could not install; do it by hand: apt-get install ${missing[*]}"
}

# ensure_build_packages PRESET: what compiling and testing that preset takes (docs/dependencies.md).
ensure_build_packages() {
  local packages=(g++ cmake ninja-build libstb-dev libboost-test-dev nlohmann-json3-dev libcli11-dev libprotozero-dev
    libsodium-dev libsqlite3-dev)
  # llvm: names in a stack trace.
  [[ $1 != asan && $1 != tsan ]] || packages+=(clang libclang-rt-14-dev llvm libboost-context-dev)
  ensure_packages "${packages[@]}"
}

# build_preset PRESET [TARGET...]
build_preset() {
  local preset=$1
  shift
  say "building preset $preset"
  (cd "$root" && cmake --preset "$preset" && cmake --build --preset "$preset" --parallel "$(nproc)" ${1:+--target "$@"}) >&2
}

# Two suites at a time: a computation uses all cores itself, but a process that starts, a file that is read and what the
# tests do between runs on one.
test_preset() {
  say "testing preset $1"
  (cd "$root" && ctest --preset "$1" --no-tests=error --parallel 2)
}
