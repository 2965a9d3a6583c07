#!/bin/bash
# Every script of the project passes shellcheck, where that is installed.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
if ! command -v shellcheck >/dev/null; then
  echo "SKIPPED: no shellcheck on this machine"
  exit 0
fi
mapfile -t scripts < <(find . -path ./build -prune -o -name '*.sh' -print | sort)
# SC1007: `a= b=c` is how variables are emptied here. SC2154: what tools/lib.sh sets is not seen.
shellcheck --severity=warning --exclude=SC1007,SC2154 "${scripts[@]}" .ci/run
echo "${#scripts[@]} scripts"
