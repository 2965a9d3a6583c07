#!/bin/bash
# gpu_check.sh BUILD_DIR: tools/gpu_check.sh without a GPU. Where there is no device every stage says so once and ends
# with 77; with an emulated one (BUILD_DIR has it) the stage bench measures a workload with a batch of one.
set -euo pipefail
build=${1:-}
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
fail() { printf 'FAILED: %s\n' "$*"; exit 1; }

# A machine whose driver is missing, as advface-bench tells it.
mkdir -p "$work/none/bin"
for name in test_cuda_ops test_cuda test_cuda_programs advface-{bench,faces,extract,train,protect,evaluate}; do
  printf '#!/bin/sh\necho "advface-bench: cuda: no NVIDIA driver on this machine; use --device cpu" >&2\nexit 1\n' \
    >"$work/none/bin/$name"
  chmod +x "$work/none/bin/$name"
done
for stage in tests sanitize bench peers; do
  code=0
  text=$(ADVF_BUNDLE=$work/none "$root/tools/gpu_check.sh" "$stage" "$work/out" 2>&1) || code=$?
  [[ $code == 77 ]] || fail "stage $stage without a device gave $code: $text"
  grep -q "^SKIPPED: stage $stage: advface-bench: cuda: no NVIDIA driver on this machine" "$work/out/$stage.log" ||
    fail "stage $stage without a device said: $text"
done
# Any other failure of the program is one.
printf '#!/bin/sh\necho "error while loading shared libraries: libcudart.so.13" >&2\nexit 127\n' >"$work/none/bin/advface-bench"
code=0
text=$(ADVF_BUNDLE=$work/none "$root/tools/gpu_check.sh" tests "$work/out" 2>&1) || code=$?
[[ $code == 1 && $text == *"libcudart.so.13"* ]] || fail "a program that does not start gave $code: $text"
code=0
text=$("$root/tools/gpu_check.sh" nonsense "$work/out" 2>&1) || code=$?
[[ $code == 2 && $text == *'no stage "nonsense"'* ]] || fail "an unknown stage gave $code: $text"

[[ $build ]] || exit 0
ADVF_BUNDLE=$build ADVF_BENCH_WORKLOADS=W5 ADVF_BENCH_ARGUMENTS="--batch 1 --repeat 1 --device-probe 32" \
  "$root/tools/gpu_check.sh" bench "$work/out"
for precision in f32 bf16; do
  grep -q '"workload": "W5"' "$work/out/bench-W5-$precision.json" || fail "no row of W5 in $precision"
done
