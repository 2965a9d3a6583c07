#!/usr/bin/env bash
# Audits of real photographs, one for each file in audits/, and their tables. What is there is not made again: a second call
# goes on where the first stopped. Each takes about an hour on two cores that have nothing else to do.
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
while [ $# -gt 0 ]; do
  case $1 in
    --shared) shared=$2; shift 2 ;;
    --out) out=$2; shift 2 ;;
    --bin) bin=$2; shift 2 ;;
    --only) only=$2; shift 2 ;;
    --help) usage; exit 0 ;;
    *) echo "audits.sh: unknown argument $1" >&2; usage >&2; exit 2 ;;
  esac
done
[ -n "$shared" ] && [ -n "$out" ] || { usage >&2; exit 2; }
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
