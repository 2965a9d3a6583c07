#!/bin/bash
# AdvFace beside PyTorch and ONNX Runtime: see --help. Not a test, and not part of CI.
source "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"

usage() {
  cat <<'TEXT'
Usage: tools/bench/compare.sh [--facenet CARD.json] [--env DIR] [--out PREFIX] [--document FILE] [...]

Builds AdvFace, measures the workloads W1 to W6, W10 and W11 of advface-bench, all but W6 in turns with PyTorch (eager
and torch.compile) and ONNX Runtime on the same number of threads, prints a Markdown table that marks what falls short
of what is aimed at. About ten minutes on two cores, which should have nothing else to do; W6 writes 600 MB beside
PREFIX for a while.
  --facenet CARD    FaceNet's card (.json beside its .onnx), for W3, W10 and W11, which are skipped without it
  --env DIR         Python environment of the peers (default build/peers). Made if missing, and kept: PyTorch's
                    wheel for Linux brings CUDA's libraries along, several GB to load and about 6 GB on disk
  --out PREFIX      where PREFIX.md and PREFIX.json go (default build/compare)
  --document FILE   also puts the tables into this Markdown file, between its marks
  --workloads LIST  some of W1,W2,W3,W4,W5,W10,W11,W6
  --threads N  --rounds N  --repeat N  --verbose
TEXT
}
usage_error() {
  printf 'compare.sh: %s (see tools/bench/compare.sh --help)\n' "$1" >&2
  exit 2
}

env=$root/build/peers out=$root/build/compare
options=()
while [[ $# -gt 0 ]]; do
  case $1 in
    -h | --help) usage; exit 0 ;;
    --verbose) options+=("$1"); shift ;;
    --env | --out | --facenet | --document | --workloads | --threads | --rounds | --repeat)
      [[ $# -ge 2 ]] || usage_error "$1 needs a value"
      case $1 in
        --env) env=$2 ;;
        --out) out=$2 ;;
        --facenet | --document) [[ -e $2 ]] || usage_error "$1: there is no file $2"; options+=("$1" "$2") ;;
        *) options+=("$1" "$2") ;;
      esac
      shift 2
      ;;
    *) usage_error "unknown argument $1" ;;
  esac
done

# torch.compile needs a C++ compiler (the build has one) and Python's headers.
python_is_complete() {
  python3 -c 'import ensurepip, os, sysconfig, venv
assert os.path.exists(os.path.join(sysconfig.get_paths()["include"], "Python.h"))' 2>/dev/null
}

make_environment() {
  local needed=14 free
  mkdir -p "$env"
  free=$(df --output=avail -BG "$env" | tail -n 1 | tr -dc 0-9)
  say "making the environment of the peers in $env: several GB are loaded, about 6 GB stay there ($free GB are free)"
  ((free >= needed)) || die "$env: $needed GB of free space are needed while packages are unpacked; name another folder with --env"
  python_is_complete || ensure_packages python3 python3-venv python3-dev
  python3 -m venv "$env"
  "$env/bin/pip" install --quiet --upgrade torch onnxruntime onnx numpy >&2
  touch "$env/complete"
}

ensure_build_packages release
build_preset release advface-bench advface-protect
[[ -e $env/complete ]] || make_environment
mkdir -p "$(dirname "$out")"
export TORCHINDUCTOR_CACHE_DIR=$env/inductor PYTHONDONTWRITEBYTECODE=1
exec "$env/bin/python" "$root/tools/bench/peers/compare.py" --bench "$root/build/release/bin/advface-bench" --out "$out" \
  "${options[@]}"
