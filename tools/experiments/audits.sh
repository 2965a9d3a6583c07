#!/usr/bin/env bash
# Audits of real photographs, one for each file in audits/, and their tables. What is there is not made again: a second call
# goes on where the first stopped. advface-audit plan says of each how long it takes.
set -euo pipefail
usage() {
  cat <<'TEXT'
usage: tools/experiments/audits.sh --shared DIR --out DIR [--bin DIR] [--only NAME]
  --shared DIR  a folder with data/celeba, data/lfw and models/ (cards with ONNX files)
  --out DIR     where reports, networks and results are kept; the tables are DIR/tables.md
  --bin DIR     the programs (default: build/release/bin)
  --only NAME   of the files in tools/experiments/audits/ this one, without .json
TEXT
}
here=$(cd "$(dirname "$0")" && pwd)
shared= out= bin=$here/../../build/release/bin only=
# shellcheck source=tools/experiments/options.sh
source "$(dirname "$0")/options.sh"
take_options "only" "$@"
[ -z "$only" ] || [ -f "$here/audits/$only.json" ] || { echo "audits.sh: no audit $only in $here/audits" >&2; exit 2; }
mkdir -p "$out"
shared=$(cd "$shared" && pwd)

for file in "$here"/audits/*.json; do
  name=$(basename "$file" .json)
  [ -z "$only" ] || [ "$name" = "$only" ] || continue
  sed "s|SHARED|$shared|g" "$file" >"$out/$name.json"
  echo "== $name" >&2
  "$bin/advface-audit" "$out/$name.json" --out "$out/$name" --cache "$out/cache" >"$out/$name.txt"
done
for file in "$here"/audits/*.json; do
  name=$(basename "$file" .json)
  [ ! -f "$out/$name/report.json" ] || { echo "## $name"; echo; "$bin/advface-audit" table "$out/$name/report.json"; echo; }
done >"$out/tables.md.tmp"
mv "$out/tables.md.tmp" "$out/tables.md"
cat "$out/tables.md"
