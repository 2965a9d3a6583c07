#!/bin/bash
# Whether two builds of the programs give the same results: for a change that must move code and no byte. A toy world is
# made with the OLD programs; then every setting of the protection, the trainings that stand on it and the evaluations
# run with both. Protected features must be the same bytes, networks the same weights, evaluations the same numbers
# (whatever the new results hold beside them).   Usage: tests/same_results.sh OLD_BIN NEW_BIN
set -euo pipefail
if [[ $# -ne 2 ]]; then
  echo "usage: $0 OLD_BIN NEW_BIN" >&2
  exit 2
fi
old=$(cd "$1" && pwd) new=$(cd "$2" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
bad=0 same=0

quietly() { "$@" >log 2>&1 || { echo "failed: $*" >&2; cat log >&2; exit 1; }; }

# The bytes behind a safetensors file's header: its tensors.
weights() { python3 -c 'import sys; d = open(sys.argv[1], "rb").read(); sys.stdout.buffer.write(d[8 + int.from_bytes(d[:8], "little"):])' "$1"; }
# Every number and text of the first result stands in the second; names of files and times aside.
agrees() {
  python3 - "$1" "$2" <<'P'
import json, sys
skip = {"out", "seconds", "features_per_second", "peak_memory_bytes", "images_per_second", "sheet", "adapter"}
def walk(a, b, path):
    if isinstance(a, dict):
        for k in a:
            if k not in skip:
                walk(a[k], b[k], path + "." + k)
    elif isinstance(a, list):
        assert len(a) == len(b), f"{path}: {len(a)} against {len(b)}"
        for i, x in enumerate(a):
            walk(x, b[i], f"{path}[{i}]")
    else:
        assert a == b, f"{path}: {a} against {b}"
walk(json.load(open(sys.argv[1])), json.load(open(sys.argv[2])), "")
P
}
# verdict NAME COMMAND...
verdict() {
  local name=$1
  shift
  if "$@"; then same=$((same + 1)); else bad=$((bad + 1)); echo "DIFFERS: $name"; fi
}
# both NAME PROGRAM ARGUMENTS... : OUT and JSON stand for files of each build, SIDE for its name.
both() {
  local name=$1 program=$2 side
  shift 2
  for side in old new; do
    local args=("${@//OUT/$side.$name.out}")
    args=("${args[@]//SIDE/$side}")
    quietly "${!side}/advface-$program" "${args[@]//JSON/$side.$name.json}"
  done
}
protects() {
  local name=$1
  shift
  both "$name" protect --out OUT --json JSON "$@"
  verdict "protect $name" cmp "old.$name.out" "new.$name.out"
  verdict "protect $name, its result" agrees "old.$name.json" "new.$name.json"
}
trains() {
  local name=$1
  shift
  both "$name" train "$@" --out OUT --json JSON
  verdict "train $name" cmp <(weights "old.$name.out") <(weights "new.$name.out")
}
evaluates() {
  local name=$1
  shift
  both "$name" evaluate "$@" --json JSON
  verdict "evaluate $name" agrees "old.$name.json" "new.$name.json"
}

quietly "$old/advface-faces" --out faces --identities 100 --per-identity 2 --test-identities 20 --image-size 48 --pairs 2
images=(--images faces/images)
quietly "$old/advface-train" recogniser "${images[@]}" --architecture cnn_small --image-size 32 --embedding 16 --width 50 \
  --epochs 1 --batch 16 --out rec.json
quietly "$old/advface-train" recogniser "${images[@]}" --architecture cnn_small --image-size 32 --embedding 16 --width 50 \
  --epochs 1 --batch 16 --seed 7 --out second.json
rec=(--recogniser rec.json) tiny=(--image-size 32 --batch 16 --epochs 1)
quietly "$old/advface-extract" "${images[@]}" "${rec[@]}" --out z.npy
for shadow in deconv resup; do
  quietly "$old/advface-train" shadow "${images[@]}" "${rec[@]}" "${tiny[@]}" --decoder $shadow --out $shadow.st
done
quietly "$old/advface-train" generator "${images[@]}" "${rec[@]}" --shadow deconv.st --batch 16 --epochs 1 --width 16 \
  --epsilon 0.3 --out generator.st
head -n 24 z.npy.txt >list
quietly "$old/advface-extract" "${images[@]}" "${rec[@]}" --list list --out few.npy
map=$("$old/advface-inspect" rec.json | sed -n 's/^cut .* \([^ ]*\) (Relu).*/\1/p' | tail -n 1)
[[ $map ]] || map=$("$old/advface-inspect" rec.json | sed -n 's/^cut .* \([^ ]*\) ([A-Za-z]*)$/\1/p' | head -n 1)
quietly "$old/advface-extract" "${images[@]}" "${rec[@]}" --list list --cut "$map" --out maps.npy

usual=(--in few.npy --shadow deconv.st)
protects default "${usual[@]}"
protects resup --in few.npy --shadow resup.st --steps 3
for method in fgsm bim mi-fgsm adam; do protects $method "${usual[@]}" --method $method; done
protects l2 "${usual[@]}" --norm l2 --epsilon 0.2
protects large "${usual[@]}" --epsilon 0.5 --steps 7 --step-size 0.2 --seed 9
protects structure "${usual[@]}" --loss structure --steps 3
protects identity "${usual[@]}" "${rec[@]}" --loss identity --steps 3 --epsilon 0.5
for objective in shadow-pair cycle; do
  protects $objective "${usual[@]}" "${rec[@]}" --objective $objective --steps 3
done
protects original "${usual[@]}" "${rec[@]}" --objective original --steps 3 "${images[@]}" --list list
for bn in batch recalibrated; do protects bn_$bn "${usual[@]}" --bn $bn --steps 3; done
for ensemble in mean hardest; do
  protects $ensemble "${usual[@]}" --shadow resup.st --ensemble $ensemble --steps 3
done
protects keep "${usual[@]}" --epsilon 0.5 --keep-recognition 0.9
# The generator became a protection of its own: the bytes stay, the call and the result's words do not.
"$old/advface-protect" --in few.npy --shadow deconv.st --method generator --generator generator.st --epsilon 0.3 \
  --out old.generator_noise.out >log 2>&1 ||
  quietly "$old/advface-protect" --in few.npy --protect generator --generator generator.st --out old.generator_noise.out
quietly "$new/advface-protect" --in few.npy --protect generator --generator generator.st --out new.generator_noise.out
verdict "protect generator" cmp old.generator_noise.out new.generator_noise.out
protects photograph --image "faces/images/$(head -n 1 list)" "${rec[@]}" --shadow deconv.st --steps 3
protects batches "${usual[@]}" --batch 5 --threads 1

trains raw attacker "${images[@]}" "${rec[@]}" "${tiny[@]}" --decoder deconv
trains adaptive attacker "${images[@]}" "${rec[@]}" "${tiny[@]}" --decoder deconv --shadow deconv.st --epsilon 0.2 --steps 2
trains generator generator "${images[@]}" "${rec[@]}" --shadow deconv.st --batch 16 --epochs 1 --width 16 --epsilon 0.3
trains adapter adapter "${images[@]}" "${rec[@]}" --shadow deconv.st --batch 16 --epochs 1 --width 16 --epsilon 0.2 --steps 2
if [[ $map ]]; then
  cut=(--cut "$map")
  trains map_shadow shadow "${images[@]}" "${rec[@]}" "${tiny[@]}" "${cut[@]}"
  quietly "$old/advface-train" shadow "${images[@]}" "${rec[@]}" "${tiny[@]}" "${cut[@]}" --out map.st
  protects map --in maps.npy --shadow map.st --epsilon 0.2 --steps 3
  protects map_l2 --in maps.npy --shadow map.st --epsilon 0.2 --steps 3 --norm l2
  protects map_keep --in maps.npy --shadow map.st "${rec[@]}" --epsilon 0.5 --steps 3 --keep-recognition 0.95
fi

tests=(--images faces/test/images --pairs faces/test/pairs.txt)
evaluates recognition recognition "${tests[@]}" "${rec[@]}"
evaluates recognition_protected recognition "${tests[@]}" "${rec[@]}" --shadow deconv.st --steps 2 --epsilon 0.2 --side both
evaluates reconstruction reconstruction "${images[@]}" "${rec[@]}" --attacker raw=SIDE.raw.out \
  --attacker adaptive=SIDE.adaptive.out --shadow deconv.st --steps 2 --epsilons 0.02,0.2 --second-recogniser second.json

echo "$same same, $bad different"
[[ $bad == 0 ]]
