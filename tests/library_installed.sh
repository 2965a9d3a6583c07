#!/bin/bash
# library_installed.sh CMAKE BUILD WORLD: installs the library of a build into a folder, builds the examples against what
# lies there, by find_package and by pkg-config, and runs them on the frames of WORLD (tests/library_world.cpp).
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
[[ $# == 3 ]] || { echo "usage: $0 CMAKE BUILD WORLD" >&2; exit 2; }
cmake=$1 build=$2 world=$3
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT

"$cmake" --install "$build" --prefix "$dir/there" >/dev/null
mv "$dir/there" "$dir/moved"  # nothing in it says where it was
(cd "$dir/moved" && find . -type f -o -type l) | LC_ALL=C sort
[[ ! -e $dir/moved/advface ]] || { echo "what is for the wheel was installed" >&2; exit 1; }

"$cmake" -G Ninja -S "$root/lib/examples" -B "$dir/build" -D CMAKE_PREFIX_PATH="$dir/moved" -D CMAKE_BUILD_TYPE=Release \
  -D CMAKE_C_FLAGS="-Wall -Wextra -Werror" -D CMAKE_CXX_FLAGS="-Wall -Wextra -Werror" >"$dir/log" 2>&1 &&
  "$cmake" --build "$dir/build" >>"$dir/log" 2>&1 || { cat "$dir/log" >&2; exit 1; }

# Three people, each a frame; the second one comes back.
frames=$world/frames
"$dir/build/enrol_frames" "$world/toy.json" "$dir/face.key" "$dir/people.db" "anna=$frames/0.ppm" "ben=$frames/1.ppm" \
  "carla=$frames/2.ppm" "$frames/1.ppm" | tee "$dir/out"
grep -q '^most like ben, score 1.0000$' "$dir/out"
# The key is there already: one line, and the exit code of a failure.
rc=0
"$dir/build/enrol_frames" "$world/toy.json" "$dir/face.key" "$dir/new.db" "anna=$frames/0.ppm" "$frames/1.ppm" 2>"$dir/err" || rc=$?
[[ $rc == 1 && $(wc -l <"$dir/err") == 1 && ! -e $dir/new.db ]] && grep -q 'face.key' "$dir/err" || { cat "$dir/err" >&2; exit 1; }
"$dir/build/protect_vectors" "$dir/other.key" | tee "$dir/out"
grep -q '^refused: .*did you mean rotation' "$dir/out"

command -v pkg-config >/dev/null || { echo "there is no pkg-config: the .pc file was not tried"; exit 0; }
export PKG_CONFIG_PATH
PKG_CONFIG_PATH=$(dirname "$(find "$dir/moved" -name advface.pc)")
read -ra flags <<<"$(pkg-config --cflags --libs advface)"
cc -std=c99 "$root/lib/examples/enrol_frames.c" "${flags[@]}" -o "$dir/enrol"
rc=0
LD_LIBRARY_PATH=$(pkg-config --variable=libdir advface) "$dir/enrol" 2>/dev/null || rc=$?
[[ $rc == 2 ]]  # it is called without arguments
