#!/bin/bash
# The programs given run on a machine that has libc and libm and nothing else of ours: their shared libraries are these,
# the loader and the kernel's page. The first argument is 0 where the build does not ask for that.
set -euo pipefail
[[ $# -ge 2 ]] || { echo "usage: $0 0|1 PROGRAM..." >&2; exit 2; }
[[ $1 == 1 ]] || { echo "SKIPPED: this build's programs share the C++ runtime (ADVF_STANDALONE is off)"; exit 0; }
command -v ldd >/dev/null || { echo "SKIPPED: there is no ldd"; exit 0; }
shift
for program in "$@"; do
  libraries=$(ldd "$program" | awk '{ n = split($1, part, "/"); print part[n] }')
  grep -qx 'libc\.so\.6' <<<"$libraries" || { echo "$program: ldd shows no libc: $libraries" >&2; exit 1; }
  if other=$(grep -vE '^(linux-vdso\.so\.1|libc\.so\.6|libm\.so\.6|ld-linux-[a-z0-9-]+\.so\.[0-9]+)$' <<<"$libraries"); then
    echo "$program needs more than libc and libm:" $other >&2
    exit 1
  fi
done
