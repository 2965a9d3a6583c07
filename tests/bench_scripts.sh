#!/bin/bash
# tools/bench: the comparison itself takes minutes and gigabytes, so only its command line and its syntax are tested.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
script=$root/tools/bench/compare.sh
bash -n "$script"
"$script" --help | grep -q '^Usage: tools/bench/compare.sh'
# refuse WORD ARGUMENT... : called wrongly, one line that names the word
refuse() {
  local word=$1 code=0 text
  shift
  text=$("$script" "$@" 2>&1) || code=$?
  [[ $code == 2 && $text == *"$word"* && $(wc -l <<<"$text") == 1 ]] || {
    printf 'compare.sh %s gave %d: %s\n' "$*" "$code" "$text"
    exit 1
  }
}
refuse --nonsense --nonsense
refuse --env --env
refuse /nowhere/card.json --facenet /nowhere/card.json
if ! command -v python3 >/dev/null; then
  echo "SKIPPED: no python3 to look at the syntax of tools/bench/peers"
  exit 0
fi
for file in "$root"/tools/bench/peers/*.py; do
  python3 -c 'import ast, sys; ast.parse(open(sys.argv[1]).read(), sys.argv[1])' "$file"
done
for program in compare.py worker.py cuda_peers.py faiss_keyed.py nearest.py photographs.py scale.py store.py; do
  python3 -B "$root/tools/bench/peers/$program" --help >/dev/null
done
