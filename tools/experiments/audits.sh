#!/usr/bin/env bash
# Audits of real photographs, one for each file in audits/, and their tables and pictures, also in pages that quote them.
# What is there is not made again: a second call goes on where the first stopped. advface-audit plan says of each how long
# it takes.
set -euo pipefail
usage() {
  cat <<'TEXT'
usage: tools/experiments/audits.sh --shared DIR --out DIR [--bin DIR] [--only NAME] [--pages DIR]
  --shared DIR  a folder with data/celeba, data/lfw and models/ (cards with ONNX files)
  --out DIR     where reports, networks and results are kept; the tables are DIR/tables.md, the pictures DIR/NAME.svg
  --bin DIR     the programs (default: build/release/bin)
  --only NAME   of the files in tools/experiments/audits/ this one, without .json; "none": only tables of what is there
  --pages DIR   a folder of pages (docs): between the lines <!-- audit NAME --> and <!-- end --> goes its table, and to
                DIR/images/audit_NAME.svg its picture
TEXT
}
here=$(cd "$(dirname "$0")" && pwd)
shared= out= bin=$here/../../build/release/bin only= pages=
# shellcheck source=tools/experiments/options.sh
source "$(dirname "$0")/options.sh"
take_options "only pages" "$@"
[ -z "$only" ] || [ "$only" = none ] || [ -f "$here/audits/$only.json" ] || {
  echo "audits.sh: no audit $only in $here/audits" >&2
  exit 2
}
[ -z "$pages" ] || [ -d "$pages/images" ] || { echo "audits.sh: --pages $pages has no folder images" >&2; exit 2; }
mkdir -p "$out"
shared=$(cd "$shared" && pwd)

names=()
for file in "$here"/audits/*.json; do names+=("$(basename "$file" .json)"); done
for name in "${names[@]}"; do
  [ -z "$only" ] || [ "$name" = "$only" ] || continue
  sed "s|SHARED|$shared|g" "$here/audits/$name.json" >"$out/$name.json"
  echo "== $name" >&2
  "$bin/advface-audit" "$out/$name.json" --out "$out/$name" --cache "$out/cache" >"$out/$name.txt"
done

# Puts the table of $1 between its lines in the page $2.
fill() {
  awk -v begin="<!-- audit $1 -->" -v table="$out/$1.md" '
    $0 == begin { print; print ""; while ((getline line < table) > 0) print line; print ""; skip = 1; next }
    skip && $0 == "<!-- end -->" { skip = 0 }
    !skip { print }
    END { exit skip }' "$2" >"$2.tmp" || { rm -f "$2.tmp"; echo "audits.sh: $2: <!-- audit $1 --> has no end" >&2; exit 1; }
  mv "$2.tmp" "$2"
}
: >"$out/tables.md.tmp"
for name in "${names[@]}"; do
  report=$out/$name/report.json
  [ -f "$report" ] || continue
  "$bin/advface-audit" table "$report" >"$out/$name.md"
  # A small audit, in which nobody counts, has no curves.
  "$bin/advface-audit" table "$report" --picture "$out/$name.svg" >/dev/null 2>&1 || rm -f "$out/$name.svg"
  { echo "## $name"; echo; cat "$out/$name.md"; echo; } >>"$out/tables.md.tmp"
  [ -n "$pages" ] || continue
  for page in "$pages"/*.md; do
    ! grep -qxF "<!-- audit $name -->" "$page" || fill "$name" "$page"
  done
  [ ! -f "$out/$name.svg" ] || cp "$out/$name.svg" "$pages/images/audit_$name.svg"
done
mv "$out/tables.md.tmp" "$out/tables.md"
cat "$out/tables.md"
