#!/bin/bash
# Installs what is missing, builds one preset and runs its tests; the last lines are ctest's summary.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

usage() {
  cat <<'TEXT'
Usage: tools/test.sh [PRESET]
Installs missing Debian packages, configures, builds and tests a preset of CMakePresets.json under build/PRESET:
  release   GCC, optimised (the default)
  debug     GCC, assertions, no optimisation
  asan      clang, address and undefined behaviour sanitizers; the CUDA backend too, with its kernels on the CPU
  tsan      clang, ThreadSanitizer: the suites that run several threads side by side
  cuda      GCC and nvcc: the CUDA backend's suites on this machine's GPU; CUDA itself is not installed
Nothing is installed or compiled again when it is there already. Exit code: 0 when every test passed or was skipped.
TEXT
}

preset=release
case "${1:-}" in
  -h | --help) usage; exit 0 ;;
  "") ;;
  release | debug | asan | tsan | cuda) preset=$1 ;;
  *) usage >&2; printf '\ntest.sh: there is no preset "%s"\n' "$1" >&2; exit 2 ;;
esac
[[ $# -le 1 ]] || { usage >&2; exit 2; }

targets=()
[[ $preset != tsan ]] || targets=(test_contexts test_library_threads)
[[ $preset != cuda ]] || targets=(test_cuda_ops test_cuda test_cuda_programs)
ensure_build_packages "$preset"
build_preset "$preset" "${targets[@]}"
test_preset "$preset"
