#!/bin/bash
# Fails where an include goes against  tools, lib -> advface -> nn -> autograd -> tensor <- cuda  (tools also start the
# CUDA backend; tests may see all), or where anything but tools/ prints, and names it. With --self-test it first shows that it can fail.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)

# check_tree FOLDER: prints "file:line: ..." for each violation; status 1 if there is any.
check_tree() {
  local files='\(tensor\|autograd\|nn\|cuda\|advface\|lib\|tools\)/.*\.\(h\|cpp\|cu\|inc\)'
  (cd "$1" && find . -path ./build -prune -o -type f -regex "\./$files" -printf '%P\n' | sort | xargs -r awk '
    BEGIN {
      allowed["tensor"]   = " tensor "
      allowed["cuda"]     = " tensor cuda "
      allowed["autograd"] = " tensor autograd "
      allowed["nn"]       = " tensor autograd nn "
      allowed["advface"]  = " tensor autograd nn advface "
      allowed["lib"]      = " tensor autograd nn advface lib "
      allowed["tools"]    = " tensor autograd nn advface tools cuda "
    }
    # The method says what it has to say to a context (advface/core/context.h); programs print.
    FILENAME ~ /^(tensor|autograd|nn|advface|lib)\// && FILENAME !~ /^lib\/(examples|bench)\// && !/^[ \t]*\/\// && /std::(cout|cerr|clog)|(^|[^a-z_])f?printf\(|CLI::/ {
      printf "%s:%d: prints, or knows the command line\n", FILENAME, FNR
      bad = 1
    }
    /^[ \t]*#[ \t]*include[ \t]*["<]/ {
      split($0, part, /["<>]/)
      split(part[2], to, "/")
      split(FILENAME, from, "/")
      if (part[2] ~ /\.\.\//) {
        printf "%s:%d: includes \"%s\": write paths from the root\n", FILENAME, FNR, part[2]
        bad = 1
      } else if ((to[1] in allowed || to[1] == "tests") && part[2] ~ /\// && !index(allowed[from[1]], " " to[1] " ")) {
        printf "%s:%d: %s/ must not include \"%s\"\n", FILENAME, FNR, from[1], part[2]
        bad = 1
      }
    }
    END { exit bad }')
}

self_test() {
  local tree rc=0
  tree=$(mktemp -d)
  trap 'rm -rf "$tree"' RETURN
  mkdir -p "$tree"/{tensor/ops,nn,advface,lib}
  printf '#include <vector>\n#include "tensor/shape.h"\n' >"$tree/nn/good.h"
  check_tree "$tree" >/dev/null || { echo "self-test: a good tree was refused"; return 1; }
  printf '  #  include "nn/module.h"\n' >"$tree/tensor/ops/up.cpp"
  printf '#include <tools/options/cli.h>\n' >"$tree/advface/up.h"
  printf '#include "../tensor/shape.h"\n' >"$tree/nn/relative.h"
  printf '#include "tools/options/cli.h"\n' >"$tree/lib/beside.cpp"
  printf '// std::cerr\nsnprintf(a);\nstd::cerr << 1;\n' >"$tree/advface/prints.cpp"
  check_tree "$tree" >"$tree/report" && rc=1
  [[ $(wc -l <"$tree/report") == 5 ]] && grep -q '^lib/beside.cpp:1: lib/ must not' "$tree/report" && grep -q '^advface/prints.cpp:3:' "$tree/report" && grep -q '^tensor/ops/up.cpp:1: tensor/ must not include "nn/module.h"' \
    "$tree/report" && grep -q '^advface/up.h:1:' "$tree/report" && grep -q '^nn/relative.h:1:' "$tree/report" || rc=1
  [[ $rc == 0 ]] || { echo "self-test: a planted violation was not found; the report was:"; cat "$tree/report"; }
  return $rc
}

[[ "${1:-}" != --self-test ]] || self_test
check_tree "$root" || { echo "include direction: see the lines above"; exit 1; }
