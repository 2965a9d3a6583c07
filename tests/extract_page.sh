#!/bin/bash
# extract_page.sh PAGE.md REGISTRY.cpp OUT: the files of a page's code blocks (```cpp NAME), and the registry with the
# page's row and header put in, as a reader of the page would.
set -euo pipefail
[[ $# -eq 3 ]] || { echo "usage: $0 PAGE REGISTRY OUT" >&2; exit 2; }
page=$1 registry=$2 out=$3
folder=$(sed -n 's|^`\(advface/.*\)/[a-z_]*\.h`:$|\1|p' "$page")
[[ $folder ]] || { echo "$page names no header" >&2; exit 1; }
rm -rf "${out:?}/$folder"  # files of an example that the page no longer has
mkdir -p "$out/$folder"
awk -v out="$out/$folder/" '/^```cpp / { file = out $2; printf "" >file; next } /^```/ { file = "" } file { print >file }' "$page"
header=$(cd "$out/$folder" && ls ./*.h)
# Behind the rows that are there.
awk -v include="#include \"$folder/${header#./}\"" -v row="$out/$folder/row" '
  /^#include/ && !done { print include; done = 1 }
  /^  };/ && !placed { while ((getline line <row) > 0) print line; placed = 1 }
  { print }' "$registry" >"$out/$(basename "$(dirname "$registry")")_registry.cpp"
