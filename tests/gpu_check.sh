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
for stage in tests sanitize bench peers all; do
  code=0
  text=$(ADVF_BUNDLE=$work/none "$root/tools/gpu_check.sh" "$stage" "$work/out" 2>&1) || code=$?
  [[ $code == 77 ]] || fail "stage $stage without a device gave $code: $text"
  [[ $stage != all ]] || continue  # its first stage has said it
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

# The table of a run that went as a run may go: a suite with an error, a stage that was ended, a peer that failed.
mkdir -p "$work/run"
cat >"$work/run/tests.log" <<'TEXT'
== test_cuda_ops
Entering test case "add"
Leaving test case "add"; testing time: 10us
*** No errors detected
== test_cuda
Entering test case "plans"
../tests/cuda_cases.cpp(10): error: in "plans": check a == b has failed [1 != 2]
Leaving test case "plans"; testing time: 10us
*** 1 failure is detected in the test module "cuda"
TEXT
printf 'tests\t1\t80\nbench\t0\t100\npeers\t124\t140\n' >"$work/run/stages.tsv"
echo '{"workloads": [{"workload": "W2", "units_per_s": 3000, "share_of_peak": 0.6, "share_of_copy": 0.1}]}' >"$work/run/bench-W2-bf16.json"
echo '{"device": "a device", "rows": [{"workload": "W2", "precision": "bf16", "peer": "eager", "units_per_s": 1000},
  {"workload": "W2", "precision": "bf16", "peer": "torch.compile + graph", "units_per_s": 2000},
  {"workload": "W1", "precision": "f32", "peer": "eager", "error": "RuntimeError: none"}]}' >"$work/run/peers.json"
python3 "$root/tools/bench/gpu_table.py" "$work/run" >"$work/table"
for words in "device: a device" "stage tests     failed (1), 80 s" "stage peers     ended at its time limit" "test_cuda_ops: 1 cases, no errors" \
  "test_cuda: 1 cases, 1 errors" "plans: check a == b" "3,000.0     2,000.0     1,000.0     1.50     3.00     0.60" \
  "peer failed: W1 f32 eager: RuntimeError"; do
  grep -qF "$words" "$work/table" || fail "the table says nothing of '$words': $(cat "$work/table")"
done
for _ in $(seq 60); do echo "SKIPPED: $RANDOM"; done >"$work/run/bench.log"
for _ in $(seq 60); do cat "$work/run/tests.log"; done >"$work/many" && mv "$work/many" "$work/run/tests.log"
[[ $(python3 "$root/tools/bench/gpu_table.py" "$work/run" | wc -l) == 40 ]] || fail "the table has more than 40 lines"

[[ $build ]] || exit 0
ADVF_BUNDLE=$build ADVF_BENCH_WORKLOADS=W5 ADVF_BENCH_ARGUMENTS="--batch 1 --repeat 1 --device-probe 32" \
  "$root/tools/gpu_check.sh" bench "$work/out"
for precision in f32 bf16; do
  grep -q '"workload": "W5"' "$work/out/bench-W5-$precision.json" || fail "no row of W5 in $precision"
done
# All stages on the emulated device, which has not the time for any but says so of each.
code=0
text=$(ADVF_BUNDLE=$build ADVF_STAGE_SECONDS=8 ADVF_BENCH_WORKLOADS=W5 ADVF_BENCH_ARGUMENTS="--batch 1 --repeat 1 --device-probe 32" \
  "$root/tools/gpu_check.sh" all "$work/all" 2>&1) || code=$?
[[ $code == 1 ]] || fail "all stages on an emulated device gave $code: $text"
for stage in tests bench peers sanitize; do
  grep -q "^stage $stage " "$work/all/table.txt" || fail "the table has no stage $stage: $(cat "$work/all/table.txt")"
done
