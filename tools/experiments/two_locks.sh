#!/usr/bin/env bash
# Remakes the search for what lies under the lock (docs/two-locks.md) from real photographs: what every candidate costs in
# recognition, and what attackers who know it make of it, on validation people. Every result is kept in OUT, and a second
# run goes on where the first stopped; the table is made of what is there. Candidates in a file of one's own are searched the same way.
set -euo pipefail
usage() {
  cat <<'TEXT'
usage: tools/experiments/two_locks.sh --shared DIR --out DIR [--bin DIR] [--images N] [--candidates FILE] [--rounds N]
  --shared DIR       a folder with data/celeba (images, labels.csv) and models/ (cards with ONNX files)
  --out DIR          where features, networks and results are kept
  --bin DIR          the programs (default: build/release/bin)
  --images N         of each inversion, which takes seconds each (default: 48)
  --candidates FILE  lines of a name and the options of a protection (default: two_locks.txt beside this script)
  --rounds N         of noise and retrained decoders in turn (default: 0): round i, the candidate minmax_i, is AdvFace at
                     epsilon 0.04 against the shadow and the decoders of the rounds before it, each trained on what
                     its round stores; by the loss of the decoder that is fooled least
TEXT
}
here="$(cd "$(dirname "$0")" && pwd)"
images=48 rounds=0 shared= out= bin=$here/../../build/release/bin candidates=$here/two_locks.txt
# shellcheck source=tools/experiments/options.sh
source "$(dirname "$0")/options.sh"
take_options "images candidates rounds" "$@"
[[ $images =~ ^[1-9][0-9]*$ ]] || { echo "two_locks.sh: --images takes a number of 1 or more, not $images" >&2; exit 2; }
[[ $rounds =~ ^[0-9]+$ ]] || { echo "two_locks.sh: --rounds takes a number of 0 or more, not $rounds" >&2; exit 2; }
[ -r "$candidates" ] || { echo "two_locks.sh: --candidates $candidates cannot be read" >&2; exit 2; }
mkdir -p "$out"

mobile=$shared/models/mobilefacenet_112.json
common=(--recogniser "$shared/models/facenet_casia_160.json" --cut embedding --images "$shared/data/celeba/images"
        --labels "$shared/data/celeba/labels.csv" --eyes "34.5,55.5,54,55.5" --cache "$out/cache")

# train FILE options...: unless FILE exists; goes on from a checkpoint.
train() {
  local file=$1 resume=(); shift
  [ ! -f "$file" ] || return 0
  [ ! -f "$file.checkpoint" ] || resume=(--resume)
  "$bin/advface-train" "$@" "${common[@]}" --out "$file" --json "$file.json" ${resume[@]+"${resume[@]}"}
}
evaluate() {
  local file=$1; shift
  [ ! -f "$file" ] || return 0
  "$bin/advface-evaluate" "$@" --json "$file" >"${file%.json}.txt"
}
# reconstruct NAME ATTACKERS... -- PROTECTION...: of raw features where there is none.
reconstruct() {
  local file=$1 attackers=() sets=raw; shift
  while [ "$1" != -- ]; do attackers+=(--attacker "$1"); shift; done
  shift
  [ $# = 0 ] || sets=protected
  evaluate "$file" reconstruction "${common[@]}" --second-recogniser "$mobile" --split validation --limit "$images" --sets "$sets" \
    "${attackers[@]}" --scores "${file%.json}.tsv" --sheet "${file%.json}.png" "$@"
}

train "$out/shadow.safetensors" shadow --decoder deconv --epochs 12
# Who links what AdvFace stores: the shadow of the objective linkage.
train "$out/linker.safetensors" linkage --shadow "$out/shadow.safetensors" --epsilon 0.04
for k in 48 64 96 128; do
  [ -f "$out/projection_$k.safetensors" ] || "$bin/advface-train" fit projection "${common[@]}" --dims "$k" \
    --out "$out/projection_$k.safetensors"
done
[ -f "$out/pairs.csv" ] || "$bin/advface-evaluate" pairs "${common[@]:4:6}" --split validation --out "$out/pairs.csv"

decoder_of() {
  local name=$1; shift
  train "$out/$name.decoder" attacker --decoder resup --epochs 6 "$@"
}
# Min-max: the noise of a round is against all who have learnt to see through the noise of the rounds before.
all=$out/candidates.txt against=(--shadow OUT/shadow.safetensors)
cp "$candidates" "$all"
for ((round = 1; round <= rounds; ++round)); do
  protection=("${against[@]}" --epsilon 0.04 --ensemble hardest)
  echo "minmax_$round ${protection[*]}" >>"$all"
  ((round == rounds)) || decoder_of "minmax_$round" "${protection[@]//OUT/$out}"
  against+=(--shadow "OUT/minmax_$round.decoder")
done

# What is quick for all, then what is not.
for stage in recognition inversion linkage decoder; do
  while read -r name options; do
    [[ $name && $name != \#* ]] || continue
    read -ra protection <<<"${options//OUT/$out}"
    echo "== $stage $name" >&2
    case $stage in
      recognition) evaluate "$out/$name.recognition.json" recognition "${common[@]}" --pairs "$out/pairs.csv" --side gallery \
        ${protection[@]+"${protection[@]}"} ;;
      inversion) reconstruct "$out/$name.inversion.json" inversion -- ${protection[@]+"${protection[@]}"} ;;
      linkage)
        [ "${#protection[@]}" != 0 ] || continue
        train "$out/$name.reader" linkage "${protection[@]}"
        evaluate "$out/$name.linkage.json" linkage "${common[@]}" --split validation --attacker "network=$out/$name.reader" "${protection[@]}"
        reconstruct "$out/$name.read.json" "inversion:reader=$out/$name.reader,decoder=$out/shadow.safetensors" -- "${protection[@]}" ;;
      decoder)
        decoder_of "$name" ${protection[@]+"${protection[@]}"}
        reconstruct "$out/$name.decoded.json" "decoder=$out/$name.decoder" -- ${protection[@]+"${protection[@]}"} ;;
    esac
  done <"$all"
  python3 "$here/two_locks_table.py" "$out" "$all" | tee "$out/table.md"
done
