#!/bin/bash
# cuda_toolkit.sh CMAKE: whether cuda/toolkit.cmake finds CUDA in NVIDIA's layout, in Debian's and in that of Python's
# wheels, and names in one message what is missing. The trees are made of empty files; nothing of this machine is seen.
set -euo pipefail
cmake=$1
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failed=0

# make_file TREE PATH... : empty files, the compiler one that may be run.
make_file() {
  local tree=$1 path
  shift
  for path in "$@"; do
    mkdir -p "$work/$tree/$(dirname "$path")"
    : >"$work/$tree/$path"
    [[ $path != */nvcc ]] || chmod +x "$work/$tree/$path"
  done
}

cat >"$work/find.cmake" <<TEXT
set(CMAKE_FIND_LIBRARY_PREFIXES lib)
set(CMAKE_FIND_LIBRARY_SUFFIXES .so)
set(CMAKE_FIND_USE_SYSTEM_ENVIRONMENT_PATH FALSE)
set(CMAKE_FIND_USE_CMAKE_ENVIRONMENT_PATH FALSE)
include($root/cuda/toolkit.cmake)
message(STATUS "found \${ADVF_NVCC};\${ADVF_CUDA_INCLUDES};\${ADVF_CUDA_LIBRARIES}")
TEXT
# look DEFINITION... : what toolkit.cmake says, on one line. A python3 that answers with \$PACKAGES stands in for Python.
printf '#!/bin/sh\necho "$PACKAGES"\n' >"$work/python3"
chmod +x "$work/python3"
look() {
  (cd "$work" && env -u CUDA_HOME -u CUDA_PATH "${environment[@]}" "$cmake" -DADVF_PYTHON="$work/python3" \
    -DADVF_CUDA_USUAL="$work/nowhere" -DCMAKE_SYSTEM_PREFIX_PATH="$work/nowhere" "$@" -P find.cmake 2>&1 || true) |
    tr '\n' ' ' | tr -s ' ' | sed "s|$work/||g"
}
# expect NAME WANTED GOT: WANTED is part of GOT.
expect() {
  if [[ $3 == *"$2"* ]]; then
    echo "ok: $1"
  else
    printf 'FAILED: %s\n  wanted: %s\n  got:    %s\n' "$1" "$2" "$3"
    failed=1
  fi
}

headers="include/cuda_runtime.h include/crt/host_config.h include/cublas_v2.h include/cudnn.h"

environment=()
make_file nvidia bin/nvcc $headers lib64/lib{cudart,cublas,cudnn}.so
nvidia='found nvidia/bin/nvcc;nvidia/include;nvidia/lib64/libcudart.so;nvidia/lib64/libcublas.so;nvidia/lib64/libcudnn.so'
expect "NVIDIA's layout, in its usual place" "$nvidia" "$(look -DADVF_CUDA_USUAL="$work/nvidia")"
expect "NVIDIA's layout, named" "$nvidia" "$(look -DADVF_CUDA_ROOT="$work/nvidia")"
environment=(CUDA_HOME="$work/nvidia")
expect "NVIDIA's layout, by CUDA_HOME" "$nvidia" "$(look)"
make_file other bin/nvcc
expect "a named folder goes first" "found other/bin/nvcc;nvidia/include" "$(look -DADVF_CUDA_ROOT="$work/other")"

environment=()
make_file debian bin/nvcc $headers lib/x86_64-linux-gnu/lib{cudart,cublas,cudnn}.so
debian=debian/lib/x86_64-linux-gnu
expect "Debian's layout" "found debian/bin/nvcc;debian/include;$debian/libcudart.so;$debian/libcublas.so;$debian/libcudnn.so" \
  "$(look -DCMAKE_SYSTEM_PREFIX_PATH="$work/debian" -DCMAKE_LIBRARY_ARCHITECTURE=x86_64-linux-gnu)"

environment=(PACKAGES="$work/packages12")
wheels=packages12/nvidia
make_file $wheels cuda_nvcc/bin/nvcc cuda_nvcc/include/crt/host_config.h cuda_runtime/include/cuda_runtime.h \
  cublas/include/cublas_v2.h cudnn/include/cudnn.h cuda_runtime/lib/libcudart.so.12 cublas/lib/libcublas.so.12 \
  cudnn/lib/libcudnn.so.9
expect "wheels of CUDA 12, a folder each" "found $wheels/cuda_nvcc/bin/nvcc;$wheels/cuda_runtime/include;\
$wheels/cuda_nvcc/include;$wheels/cublas/include;$wheels/cudnn/include;$wheels/cuda_runtime/lib/libcudart.so.12;\
$wheels/cublas/lib/libcublas.so.12;$wheels/cudnn/lib/libcudnn.so.9" "$(look)"
environment=(PACKAGES="$work/packages13")
wheels=packages13/nvidia
make_file $wheels cu13/bin/nvcc cu13/include/{cuda_runtime,crt/host_config,cublas_v2}.h cudnn/include/cudnn.h \
  cu13/lib/lib{cudart,cublas}.so.13 cudnn/lib/libcudnn.so.9
expect "wheels of CUDA 13, in one folder" "found $wheels/cu13/bin/nvcc;$wheels/cu13/include;$wheels/cudnn/include;\
$wheels/cu13/lib/libcudart.so.13;$wheels/cu13/lib/libcublas.so.13;$wheels/cudnn/lib/libcudnn.so.9" "$(look)"

# One message, with all that is missing.
lack() {
  local got
  got=$(look -DADVF_CUDA_ROOT="$work/$2")
  expect "$1" "ADVF_CUDA=ON: not found: $3. Install CUDA 12 or later with cuDNN 9, or name its folder with -DADVF_CUDA_ROOT=" \
    "$got"
  [[ $(grep -o 'CMake Error' <<<"$got" | wc -l) == 1 ]] || { echo "FAILED: $1: not one message: $got"; failed=1; }
}
environment=()
cp -r "$work/nvidia" "$work/no_cudnn" && rm "$work"/no_cudnn/*/*cudnn*
lack "without cuDNN" no_cudnn "cudnn's headers, cudnn's library"
cp -r "$work/nvidia" "$work/no_cublas" && rm "$work"/no_cublas/*/*cublas*
lack "without cuBLAS" no_cublas "cublas's headers, cublas's library"
cp -r "$work/nvidia" "$work/no_nvcc" && rm "$work/no_nvcc/bin/nvcc"
lack "without the compiler" no_nvcc "the compiler nvcc"
lack "without anything" nowhere "the compiler nvcc, cuda_runtime's headers, crt's headers, cublas's headers, cudnn's headers, \
cudart's library, cublas's library, cudnn's library"
exit $failed
