#!/bin/bash
# rotation_of_bits.sh: a rotation that all rows of bits share is found without its key; of too few rows it is not. Takes the
# interpreter of build/python, which .ci/run makes, or that of ADVFACE_PYTHON. Skipped where it has no numpy.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/script_test.sh"
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
python=${ADVFACE_PYTHON:-$root/build/python/bin/python}
"$python" -c 'import numpy' 2>/dev/null || { echo "SKIPPED: $python has no numpy"; exit 0; }
attack=("$python" "$root/tools/experiments/rotation_of_bits.py" --in bits.npy)
in_scratch
"$python" - <<'PY'
import numpy as np
rng = np.random.default_rng(3)
np.save("bits.npy", np.sign(rng.standard_normal((2000, 16)) + 0.3 * rng.standard_normal((2000, 1))).astype(np.float32) / 4)
PY
quietly "${attack[@]}" --pairs 14
grep -q "16 of 16 columns are +-1, 16 are a bit" log || { cat log >&2; fail "the rotation of bits is not found"; }
quietly "${attack[@]}" --records 70
! grep -q "16 of 16" log || fail "a rotation is found that cannot be"
told "four rows for each value" "${attack[@]}" --records 60
echo "rotation_of_bits: all well"
