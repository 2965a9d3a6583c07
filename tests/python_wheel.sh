#!/bin/bash
# python_wheel.sh LIBRARY PROGRAMS WORLD: builds the wheel, installs it into a fresh virtual environment and works there
# without a compiler. Takes scikit-build-core and a wheel of numpy from build/python, which .ci/run fills. Objects come
# from ccache, where the build of this tree has left them; without ccache everything would be compiled again.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
[[ $# == 3 ]] || { echo "usage: $0 LIBRARY PROGRAMS WORLD" >&2; exit 2; }
world=$3 python=$root/build/python/bin/python most=$((15 * 1000 * 1000))
"$python" -c 'import scikit_build_core' 2>/dev/null && compgen -G "$root/build/python/wheels/numpy-*.whl" >/dev/null ||
  { echo "SKIPPED: build/python has no scikit-build-core, or no wheel of numpy (.ci/run fetches both)"; exit 0; }
command -v ccache >/dev/null || { echo "SKIPPED: there is no ccache, and the wheel would compile everything again"; exit 0; }
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT

"$python" -m pip wheel -q --no-build-isolation --no-deps -w "$dir" -C cmake.define.CMAKE_CXX_COMPILER=g++ "$root" >"$dir/log" 2>&1 ||
  { tail -n 40 "$dir/log" >&2; exit 1; }
wheel=$(echo "$dir"/advface-*.whl)
size=$(stat -c %s "$wheel")
echo "$(basename "$wheel"): $size bytes"
[[ $(basename "$wheel") == advface-*-py3-none-*.whl ]] || { echo "the wheel is for one Python only" >&2; exit 1; }
((size < most)) || { echo "the wheel is larger than $most bytes" >&2; exit 1; }

"$python" -m venv "$dir/fresh"
"$dir/fresh/bin/pip" install -q --no-index --find-links "$root/build/python/wheels" "$wheel"
mkdir "$dir/nothing"
cd "$dir"
env -i PATH="$dir/nothing" "$dir/fresh/bin/python" - "$world" <<'PYTHON'
import pathlib
import shutil
import sys

import advface
import numpy as np

assert not shutil.which("cc") and not shutil.which("advface-train")
assert "site-packages" in advface.__file__ and advface.__version__ == "0.1.0" and advface.has("keys")
world = pathlib.Path(sys.argv[1])
recogniser = advface.Recogniser(world / "toy.json")
features = recogniser.extract(np.arange(2 * 16 * 16 * 3, dtype=np.uint8).reshape(2, 16, 16, 3))
key = advface.Key.new("face.key")
lock = advface.Protection("rotation", recogniser=recogniser, key=key)
assert np.allclose(lock.score(lock.protect(features, 0), features, 0), 1, atol=1e-5)
try:
    advface.program("train")
except FileNotFoundError as e:
    assert "ADVFACE_BIN" in str(e)
print("installed and at work")
PYTHON
