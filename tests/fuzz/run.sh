#!/bin/sh
# Runs every fuzz target of a build, two at a time, with an equal share each of SECONDS in all; fails on any crash, leak,
# hang or allocation beyond the limits. Inputs that matter stay in BUILD_DIR/fuzz_corpus, those that crash in
# BUILD_DIR/fuzz_crashes.   Usage: tests/fuzz/run.sh BUILD_DIR SECONDS
set -eu
if [ $# -ne 2 ]; then
  echo "usage: $0 BUILD_DIR SECONDS" >&2
  exit 2
fi
build=$(cd "$1" && pwd)
export build
mkdir -p "$build/fuzz_crashes"
if ! ls "$build"/bin/fuzz_* >/dev/null 2>&1; then
  echo "$0: no fuzz targets in $build/bin; configure with cmake --preset asan and build" >&2
  exit 1
fi
targets=$(printf '%s\n' "$build"/bin/fuzz_* | wc -l)
seconds=$((2 * $2 / targets))
[ "$seconds" -ge 1 ] || seconds=1  # 0 would be without an end
export seconds

# What those that failed said comes last, where it is looked for.
rm -f "$build"/fuzz_crashes/*.failed
failed=0
# shellcheck disable=SC2016
printf '%s\n' "$build"/bin/fuzz_* | xargs -P 2 -I TARGET sh -c '
  name=$(basename TARGET)
  corpus="$build/fuzz_corpus/${name#fuzz_}"
  mkdir -p "$corpus"
  log="$build/fuzz_crashes/$name.log"
  if TARGET -rss_limit_mb=1024 -malloc_limit_mb=512 -timeout=10 -max_len=8192 -max_total_time="$seconds" \
      -artifact_prefix="$build/fuzz_crashes/$name-" -print_final_stats=1 \
      "$corpus" "$build/fuzz_seeds/${name#fuzz_}" >"$log" 2>&1; then
    echo "$name: no finds, $(sed -n "s/^stat::number_of_executed_units: *//p" "$log") inputs," \
      "$(grep -o "cov: [0-9]*" "$log" | tail -n 1)"
  else
    echo "$name: FAILED"
    echo "$log" >"$build/fuzz_crashes/$name.failed"
    exit 1
  fi' || failed=1
for name in "$build"/fuzz_crashes/*.failed; do
  [ -e "$name" ] || continue
  echo "== the end of $(cat "$name")"
  # The summary of a sanitizer, and what follows it: the input as bytes, as a file and in base64.
  { grep -E "^(SUMMARY|.*ERROR:)" "$(cat "$name")" || true; tail -n 9 "$(cat "$name")"; } | cut -c 1-600
done
exit "$failed"
