#!/bin/bash
# The checks that take a GPU: see --help. Not part of CI, which has none.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

usage() {
  cat <<'TEXT'
Usage: tools/gpu_check.sh STAGE OUT_DIR

On a machine with a GPU and CUDA; no package registry is asked. Each stage ends within eight minutes, writes
OUT_DIR/STAGE.log and what else it says below, and prints what it skipped. Exit code 77: there is no device, nothing ran.
  all       tests, bench, peers and sanitize, in this order and within eight minutes together, whatever becomes of
            each; what they have shown is OUT_DIR/table.txt, written anew after each, and printed last
  bundle    on the machine that builds: the preset `cuda` and what its programs need, into OUT_DIR, stripped, and packed
            as OUT_DIR/bundle.tar.xz. Brought along, it serves the other stages through ADVF_BUNDLE=OUT_DIR.
            ADVF_BUNDLE_ARCH=90-real builds it for one kind of device alone: 16 MB packed
  tests     the suites of the CUDA backend, on the device
  sanitize  the same suites under compute-sanitizer: memcheck, then racecheck
  bench     W1, W2, W5 and W3 (random weights) at batch 256, f32 and bf16: bench-*.json
  peers     the same in PyTorch, eager and compiled with CUDA graphs, channels last, f32 and bf16: peers.json, row by row
Without ADVF_BUNDLE the programs are those of build/cuda, built there if they are missing. ADVF_BENCH_ARGUMENTS and
ADVF_BENCH_WORKLOADS take the place of "--batch 256 --repeat 7" and "W1 W2 W5 W3" in the stage bench.
TEXT
}
[[ ${1:-} != -h && ${1:-} != --help ]] || { usage; exit 0; }
usage_error() {
  printf 'gpu_check.sh: %s (see tools/gpu_check.sh --help)\n' "$1" >&2
  exit 2
}
[[ $# == 2 ]] || usage_error "a stage and a folder are needed"
stage=$1 out=$2
case $stage in all | bundle | tests | sanitize | bench | peers) ;; *) usage_error "no stage \"$stage\"" ;; esac
mkdir -p "$out"
out=$(cd "$out" && pwd)
bundle=${ADVF_BUNDLE:-$root/build/cuda}
suites=(test_cuda_ops test_cuda test_cuda_programs)
programs=(advface-bench advface-faces advface-extract advface-train advface-protect advface-evaluate)
seconds=${ADVF_STAGE_SECONDS:-450}  # of one stage
export ADVF_PROGRAMS=$bundle/bin  # for test_cuda_programs

skip() { printf 'SKIPPED: %s\n' "$*"; }

build_here() {
  command -v cmake >/dev/null && command -v ninja >/dev/null ||
    die "there are no programs in $bundle and no cmake and ninja to build them; bring a bundle along (--help)"
  build_preset cuda "${suites[@]}" programs
}

make_bundle() {
  local built=$root/build/cuda
  ensure_build_packages release
  if [[ ${ADVF_BUNDLE_ARCH:-} ]]; then
    built=$root/build/cuda-$ADVF_BUNDLE_ARCH
    (cd "$root" && cmake --preset cuda -B "$built" -DCMAKE_CUDA_ARCHITECTURES="$ADVF_BUNDLE_ARCH" &&
      cmake --build "$built" --parallel "$(nproc)" --target "${suites[@]}" "${programs[@]}") >&2
  else
    build_preset cuda "${suites[@]}" programs
  fi
  mkdir -p "$out/bin" "$out/lib"
  cp "${suites[@]/#/$built/bin/}" "${programs[@]/#/$built/bin/}" "$out/bin"
  ldd "$out/bin/test_cuda" | awk '/libboost/ { print $3 }' | xargs -r cp -Lt "$out/lib"
  strip "$out"/bin/*
  tar -C "$out" -cJf "$out/bundle.tar.xz" bin lib
  say "bundle in $out: $(du -sh "$out/bin" | cut -f1), packed $(du -h "$out/bundle.tar.xz" | cut -f1)"
}

# Each stage in a process of its own, so that one that hangs or fails leaves the others their time.
declare -A limit=([tests]=150 [bench]=110 [peers]=140 [sanitize]=60)
run_all() {
  local name rc=0 code start
  nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv,noheader >"$out/device.txt" 2>/dev/null || true
  : >"$out/stages.tsv"
  for name in tests bench peers sanitize; do
    start=$SECONDS code=0
    ADVF_STAGE_SECONDS=${ADVF_STAGE_SECONDS:-${limit[$name]}} "$root/tools/gpu_check.sh" "$name" "$out" || code=$?
    printf '%s\t%s\t%s\n' "$name" "$code" "$((SECONDS - start))" >>"$out/stages.tsv"
    [[ $code != 77 ]] || return 77
    [[ $code == 0 ]] || rc=1
    python3 "$root/tools/bench/gpu_table.py" "$out" >"$out/table.txt" || rc=1
  done
  cat "$out/table.txt"
  return $rc
}

# CUDA's libraries may lie in Python's wheels, PyTorch's own for instance.
find_libraries() {
  local folders
  folders=$(python3 -c 'import glob, sys
print(":".join(d for p in sys.path if p.endswith("-packages") for d in glob.glob(p + "/nvidia/*/lib")))' 2>/dev/null || true)
  export LD_LIBRARY_PATH="$bundle/lib:${folders:+$folders:}/usr/local/cuda/lib64:${LD_LIBRARY_PATH:-}"
}

run_tests() {
  local suite rc=0 filter=()
  for suite in "${suites[@]}"; do
    # A sanitizer looks at the process that it starts, not at the programs that this suite runs.
    [[ $suite != test_cuda_programs || $# == 0 ]] || continue
    filter=()
    [[ $suite != test_cuda_ops ]] ||
      filter=(--run_test=@on_every_backend)
    say "${*:+$* }$suite"
    "$@" "$bundle/bin/$suite" --log_level=test_suite "${filter[@]}" || rc=1
  done
  return $rc
}

sanitize() {
  local tool rc=0 sanitizer
  sanitizer=$(command -v compute-sanitizer || ls /usr/local/cuda/bin/compute-sanitizer 2>/dev/null || true)
  [[ $sanitizer ]] || { skip "compute-sanitizer is not on this machine: neither memcheck nor racecheck ran"; return 0; }
  for tool in memcheck racecheck; do
    if ! "$sanitizer" --tool "$tool" --error-exitcode 9 true >/dev/null 2>&1; then
      skip "compute-sanitizer --tool $tool does not work on this machine"
      continue
    fi
    run_tests "$sanitizer" --tool "$tool" --error-exitcode 9 || rc=1
  done
  return $rc
}

bench() {
  local precision workload rc=0
  for precision in f32 bf16; do
    for workload in ${ADVF_BENCH_WORKLOADS:-W1 W2 W5 W3}; do
      # Training is in f32 alone.
      [[ $workload != W1 || $precision == f32 ]] || continue
      # shellcheck disable=SC2086  # several words
      "$bundle/bin/advface-bench" --device cuda --precision "$precision" --filter "$workload " --random-facenet \
        ${ADVF_BENCH_ARGUMENTS:---batch 256 --repeat 7} --json "$out/bench-$workload-$precision.json" || rc=1
    done
  done
  return $rc
}

peers() {
  local python=${ADVF_PYTHON:-python3} list=W1,W2,W5 network=()
  "$python" -c 'import torch' 2>/dev/null || { skip "$python has no PyTorch"; return 0; }
  if "$python" -c 'import onnx' 2>/dev/null && "$bundle/bin/advface-bench" --write-facenet "$out/facenet.onnx"; then
    list+=,W3 network=(--onnx "$out/facenet.onnx")
  else
    skip "W3: $python has no module onnx to read the network with"
  fi
  "$python" "$root/tools/bench/peers/cuda_peers.py" --batch 256 --workloads "$list" "${network[@]}" --out "$out/peers.json"
}

case $stage in
  bundle) make_bundle; exit 0 ;;
  all) run_all; exit ;;
esac
command -v nvidia-smi >/dev/null && nvidia-smi -L || skip "nvidia-smi is not on this machine"
for file in "${suites[@]}" "${programs[@]}"; do
  [[ -x $bundle/bin/$file ]] || { build_here; break; }
done
find_libraries
# Without a device nothing of a stage means anything: said once, by the program itself.
if ! why=$("$bundle/bin/advface-bench" --device cuda --device-probe 16 --repeat 1 --filter "no row" 2>&1); then
  if [[ $why == *"use --device cpu"* ]]; then
    skip "stage $stage: ${why##*$'\n'}" | tee "$out/$stage.log"
    exit 77
  fi
  printf 'gpu_check.sh: advface-bench fails: %s\n' "$why" | tee "$out/$stage.log"
  exit 1
fi
export -f run_tests sanitize bench peers skip say
export bundle out root
# An array does not travel through the environment.
declare -p suites >"$out/.suites"
case $stage in tests) body=run_tests ;; *) body=$stage ;; esac
rc=0
timeout --kill-after=20 "$seconds" bash -c "source '$out/.suites'; $body" 2>&1 | tee "$out/$stage.log" || rc=$?
rm -f "$out/.suites"
[[ $rc != 124 ]] || echo "gpu_check.sh: stage $stage took more than $seconds s and was ended"
exit "$rc"
