#!/bin/bash
# cuda_coverage.sh FILE: says how many kernels of cuda/kernels ran on how many samples, from the lines
# "kernel <tab> sample" that the emulator leaves in FILE, and fails where a kernel was never launched.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
[[ -s ${1:-} ]] || { echo "cuda_coverage.sh: no coverage in \"${1:-}\""; exit 1; }
sources=$(grep -rhoE '__global__ void [a-z0-9_]+' "$root/cuda/kernels" | awk '{ print $3 }' | sort -u)
launched=$(cut -f1 "$1" | sort -u)
never=$(comm -23 <(echo "$sources") <(echo "$launched"))
pairs=$(sort -u "$1" | grep -cFf <(sed 's/$/\t/' <<<"$sources"))
printf 'kernels x samples: %d kernels, %d samples, %d pairs\n' "$(wc -l <<<"$sources")" "$(cut -f2 "$1" | sort -u | wc -l)" "$pairs"
[[ -z $never ]] || { printf 'never launched: %s\n' $never; exit 1; }
