#!/bin/bash
# python_package.sh LIBRARY PROGRAMS WORLD: the tests and examples of lib/python on a library that was built. Takes the
# interpreter of build/python, which .ci/run makes, or that of ADVFACE_PYTHON.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
[[ $# == 3 ]] || { echo "usage: $0 LIBRARY PROGRAMS WORLD" >&2; exit 2; }
python=${ADVFACE_PYTHON:-$root/build/python/bin/python}
"$python" -c 'import numpy, pytest' 2>/dev/null ||
  { echo "SKIPPED: $python has no numpy and pytest; python3 -m venv build/python && build/python/bin/pip install numpy pytest"; exit 0; }
export ADVFACE_LIBRARY=$1 ADVFACE_BIN=$2 ADVFACE_TEST_WORLD=$3 PYTHONPATH=$root/lib/python PYTHONDONTWRITEBYTECODE=1
cd "$root"
exec "$python" -m pytest -q -rs -p no:cacheprovider lib/python/tests
