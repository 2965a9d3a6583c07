#!/bin/bash
# library_names.sh LIBRARY: it exports the functions of advface.h, which are those of lib/symbols.txt, and nothing else;
# and every public name of the C, C++ and Python interfaces stands in docs/library.md.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
[[ $# == 1 ]] || { echo "usage: $0 LIBRARY" >&2; exit 2; }
command -v nm >/dev/null || { echo "SKIPPED: there is no nm"; exit 0; }
header=$root/lib/include/advface.h page=$root/docs/library.md
fail=0

# The node of the version script is a name of its own, of type A.
exported=$(nm -D --defined-only "$1" | awk '$2 != "A" { sub(/@.*/, "", $3); print $3 }' | LC_ALL=C sort)
if ! diff <(echo "$exported") "$root/lib/symbols.txt"; then
  echo "lib/symbols.txt (>) is not what $1 exports (<): see \"What may change when\" in docs/library.md" >&2
  fail=1
fi
declared=$(grep -oE '\badvface_[a-z0-9_]+\(' "$header" | tr -d '(' | LC_ALL=C sort -u)
diff <(echo "$declared") "$root/lib/symbols.txt" || { echo "lib/symbols.txt (>) is not what advface.h declares (<)" >&2; fail=1; }

# names TEXT: those that do not stand on the page as `code`.
missing() {
  local name
  while read -r name; do
    [[ -z $name ]] || grep -qE "\`([^\`]*[^A-Za-z0-9_\`])?$name([^A-Za-z0-9_][^\`]*)?\`" "$page" || echo "$name"
  done
}
c_names() {
  echo "$declared"
  grep -oE '^#define ADVFACE_[A-Z0-9_]+' "$header" | awk '{ print $2 }' | grep -vE '^ADVFACE_(H|API)$'
  grep -oE '^typedef struct advface_[a-z]+|^typedef int32_t advface_[a-z]+' "$header" | awk '{ print $3 }'
}
cpp_names() {
  cat "$root"/lib/include/advface{_base,}.hpp | sed '/^namespace detail/,/^}  \/\/ namespace detail/d' |
    grep -oE '^(class|struct) [A-Z][A-Za-z]+|^using [A-Z][A-Za-z]+|^inline [A-Za-z_:<> ]+ [a-z_]+\(' |
    sed -E 's/\($//; s/.* //'
}
# Classes, functions, and what is public of the classes.
python_names() {
  sed -n '/^__all__ = \[/,/^\]/p' "$root/lib/python/advface/__init__.py" | grep -oE '"[A-Za-z_]+"' | tr -d '"'
  grep -hoE '^    def [a-z][a-z_]*\(' "$root"/lib/python/advface/_{audit,faces,key,protection,store}.py | sed -E 's/.* //; s/\($//'
}
for kind in c cpp python; do
  if gone=$("${kind}_names" | LC_ALL=C sort -u | missing) && [[ -n $gone ]]; then
    echo "docs/library.md says nothing of these names ($kind):" >&2
    printf '  %s\n' $gone >&2
    fail=1
  fi
done
exit "$fail"
