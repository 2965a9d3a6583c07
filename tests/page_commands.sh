#!/bin/bash
# page_commands.sh PROGRAMS PAGE OUT FILE...: runs the fenced blocks of a page that are marked `sh test`, from the root of
# the repository, with the programs of that folder on the path. Fails with the first command that fails, when there is no
# such block, and when OUT, which is emptied before, lacks one of the files afterwards.
set -euo pipefail
[[ $# -ge 3 ]] || { echo "usage: $0 FOLDER_OF_PROGRAMS PAGE OUT FILE..." >&2; exit 2; }
bin=$(cd "$1" && pwd) page=$2 out=$3
shift 3
cd "$(dirname "$0")/.."
commands=$(awk '/^```/ { inside = ($0 == "```sh test"); next } inside' "$page")
[[ -n $commands ]] || { echo "$page has no block marked \`sh test\`" >&2; exit 1; }
rm -rf "${out:?}"
mkdir -p "$out"
PATH=$bin:$PATH bash -euo pipefail -x -c "$commands"
for file in "$@"; do
  [[ -s $out/$file ]] || { echo "$out/$file was not made" >&2; exit 1; }
done
