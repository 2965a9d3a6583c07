#!/bin/bash
# Runs the fenced blocks of README.md that are marked `sh test`, from the root of the repository, with the programs of
# the folder given on the path. Fails with the first command that fails, and when there is no such block.
set -euo pipefail
[[ $# -eq 1 ]] || { echo "usage: $0 FOLDER_OF_PROGRAMS" >&2; exit 2; }
bin=$(cd "$1" && pwd)
cd "$(dirname "$0")/.."
commands=$(awk '/^```/ { inside = ($0 == "```sh test"); next } inside' README.md)
[[ -n $commands ]] || { echo "README.md has no block marked \`sh test\`" >&2; exit 1; }
rm -rf build/readme
mkdir -p build/readme
PATH=$bin:$PATH bash -euo pipefail -x -c "$commands"
for file in protected.npy report.jsonl sheet.png reconstruction.json; do
  [[ -s build/readme/$file ]] || { echo "build/readme/$file was not made" >&2; exit 1; }
done
