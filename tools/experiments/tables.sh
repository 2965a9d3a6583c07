#!/usr/bin/env bash
# Remakes the tables of docs/results.md from real photographs: attackers who need the recogniser or its answers alone, other
# protections, linkage and attributes on held-out people of CelebA; recognition on LFW; decoders on both. Everything that takes
# long is kept in OUT, and a second run goes on where the first stopped; what says most for its time comes first.
set -euo pipefail
usage() {
  cat <<'TEXT'
usage: tools/experiments/tables.sh --shared DIR --out DIR [--bin DIR] [--images N]
  --shared DIR  a folder with data/celeba, data/lfw (images, labels.csv, pairs.txt) and models/ (cards with ONNX files)
  --out DIR     where features, decoders and results are kept
  --bin DIR     the programs (default: build/release/bin)
  --images N    of the inversions, which take seconds each (default: 96); baselines and oracles take a quarter
TEXT
}
images=96 shared= out= bin="$(cd "$(dirname "$0")/../.." && pwd)/build/release/bin"
# shellcheck source=tools/experiments/options.sh
source "$(dirname "$0")/options.sh"
take_options "images" "$@"
[[ $images =~ ^[1-9][0-9]*$ ]] || { echo "tables.sh: --images takes a number of 1 or more, not $images" >&2; exit 2; }
mkdir -p "$out"

facenet=$shared/models/facenet_casia_160.json map=MaxPool_3a_3x3
mobile=$shared/models/mobilefacenet_112.json
celeba=(--images "$shared/data/celeba/images" --labels "$shared/data/celeba/labels.csv" --eyes "34.5,55.5,54,55.5"
        --cache "$out/cache")
lfw=(--images "$shared/data/lfw/images" --eyes "71,79.5,114,79.5" --cache "$out/cache")
epsilons=(0.02 0.04)

# train VERB OUT options...: unless OUT exists; goes on from a checkpoint.
train() {
  local verb=$1 file=$2; shift 2
  [ -f "$file" ] && return
  local resume=()
  [ -f "$file.checkpoint" ] && resume=(--resume)
  "$bin/advface-train" "$verb" --recogniser "$facenet" --cut embedding "${celeba[@]}" --out "$file" --json "$file.json" \
    ${resume[@]+"${resume[@]}"} "$@"
}
# evaluate OUT.json options...
evaluate() {
  local file=$1; shift
  [ -f "$file" ] && return
  "$bin/advface-evaluate" "$@" --json "$file" | tee "${file%.json}.txt"
}

# What the attackers below stand on.
train shadow "$out/shadow.safetensors" --decoder deconv --epochs 12
for people in 300 3000 0; do
  train linkage "$out/linkage_$people.safetensors" --people "$people" --shadow "$out/shadow.safetensors" --epsilon 0.02
done

# From the recogniser alone, from it and a decoder, behind a reader; the same with the recognisers changed over.
whole=(--recogniser "$facenet" --cut embedding "${celeba[@]}" --shadow "$out/shadow.safetensors" --epsilon 0.02)
evaluate "$out/inversion_$images.json" reconstruction "${whole[@]}" --second-recogniser "$mobile" --limit "$images" --sets raw,protected \
  --attacker inversion --attacker "corrected=inversion:decoder=$out/shadow.safetensors" --sheet "$out/inversion_$images.png"
evaluate "$out/read_$images.json" reconstruction "${whole[@]}" --second-recogniser "$mobile" --limit "$images" --sets protected \
  --attacker "read=inversion:reader=$out/linkage_0.safetensors,decoder=$out/shadow.safetensors"
evaluate "$out/mobile_$images.json" reconstruction --recogniser "$mobile" "${celeba[@]}" --second-recogniser "$facenet" \
  --limit "$images" --sets raw --attacker inversion --sheet "$out/mobile_$images.png"

few=$(((images + 3) / 4))
evaluate "$out/identity_only_$few.json" reconstruction "${whole[@]}" --second-recogniser "$mobile" --limit "$few" --sets noise,identity \
  --attacker inversion --attacker "corrected=inversion:decoder=$out/shadow.safetensors"

# From the answers of the matching side.
by=decoder=$out/shadow.safetensors
asked=(--recogniser "$facenet" --cut embedding "${celeba[@]}" --second-recogniser "$mobile" --sets raw)
evaluate "$out/oracle_$few.json" reconstruction "${asked[@]}" --limit "$few" --attacker "scores 50=oracle:queries=50,$by" \
  --attacker "scores 500=oracle:queries=500,$by" --attacker "accepts 500=oracle:queries=500,answers=accepts,$by" \
  --sheet "$out/oracle_$few.png"

# Other protections, under the inversion that knows them.
[ -f "$out/projection.safetensors" ] || "$bin/advface-train" fit projection --recogniser "$facenet" --cut embedding \
  "${celeba[@]}" --dims 64 --out "$out/projection.safetensors"
pairs=$out/validation_pairs.csv
[ -f "$pairs" ] || "$bin/advface-evaluate" pairs "${celeba[@]:0:6}" --split validation --out "$pairs"
# against CUT NAME options...: what it costs, and what the inversion makes of it.
against() {
  local cut=$1 name=$2; shift 2
  evaluate "$out/${name}_pairs.json" recognition --recogniser "$facenet" --cut "$cut" "${celeba[@]}" --pairs "$pairs" --side both "$@"
  evaluate "$out/${name}_$few.json" reconstruction --recogniser "$facenet" --cut "$cut" "${celeba[@]}" \
    --second-recogniser "$mobile" --limit "$few" --sets protected --attacker inversion "$@"
}
against embedding projection --protect projection --projection "$out/projection.safetensors"
against embedding quantise --protect quantise --bits 1
against embedding gaussian_500 --protect noise --mechanism gaussian --privacy-epsilon 500
against embedding gaussian_100 --protect noise --mechanism gaussian --privacy-epsilon 100
evaluate "$out/map_none_$few.json" reconstruction --recogniser "$facenet" --cut "$map" "${celeba[@]}" --second-recogniser "$mobile" \
  --limit "$few" --sets raw --attacker inversion
for name in frequency shuffle quantise; do
  case $name in
    frequency) with=(--low-frequencies 2) ;;
    shuffle) with=() ;;
    quantise) with=(--bits 1) ;;
  esac
  against "$map" "map_$name" --protect "$name" ${with[@]+"${with[@]}"}
done

# Who wants no picture.
linkage=()
for people in 300 3000 0; do linkage+=(--attacker "people_$people=$out/linkage_$people.safetensors"); done
evaluate "$out/linkage.json" linkage "${whole[@]}" "${linkage[@]}"
evaluate "$out/attributes.json" attributes "${whole[@]}" --attributes Male,Smiling,Young,Eyeglasses

evaluate "$out/lfw_facenet.json" recognition --recogniser "$facenet" --cut embedding "${lfw[@]}" \
  --pairs "$shared/data/lfw/pairs.txt"
evaluate "$out/lfw_mobile.json" recognition --recogniser "$mobile" "${lfw[@]}" --pairs "$shared/data/lfw/pairs.txt"
# Protected once per epsilon, matched three ways.
[ -f "$out/lfw.npy" ] || "$bin/advface-extract" --recogniser "$facenet" --cut embedding "${lfw[@]}" \
  --out "$out/lfw.npy"
for e in "${epsilons[@]}"; do
  [ -f "$out/lfw_$e.npy" ] || "$bin/advface-protect" --shadow "$out/shadow.safetensors" --in "$out/lfw.npy" \
    --out "$out/lfw_$e.npy" --epsilon "$e" --report "$out/lfw_$e.jsonl"
  for side in gallery probe both; do
    evaluate "$out/lfw_facenet_${e}_$side.json" recognition --recogniser "$facenet" --cut embedding "${lfw[@]}" \
      --pairs "$shared/data/lfw/pairs.txt" --protected "$out/lfw_$e.npy" --protected-list "$out/lfw.npy.txt" --side "$side"
  done
done

# What labels say, taken out: fitted on half of the training people, asked about by probes of the other half.
plain=(--recogniser "$facenet" --cut embedding)
erased() {
  local name=$1 attributes=$2 eraser=$out/eraser_$1.safetensors; shift 2
  train fit "$eraser" attributes --attributes "$attributes" --people 2189 "$@"
  evaluate "$out/erased_$name.json" attributes "${plain[@]}" "${celeba[@]}" --attributes Male,Smiling,Young,Eyeglasses \
    --protect attributes --eraser "$eraser" --unseen
  evaluate "$out/lfw_erased_$name.json" recognition "${plain[@]}" "${lfw[@]}" --pairs "$shared/data/lfw/pairs.txt" \
    --protect attributes --eraser "$eraser"
}
erased male Male
erased four Male,Smiling,Young,Eyeglasses
erased nullspace Male --erasure nullspace

# Behind a lock.
for name in face next; do [ -f "$out/$name.key" ] || "$bin/advface-key" new "$out/$name.key"; done
for mode in per-record per-set; do
  lock=("${plain[@]}" "${celeba[@]}" --protect rotation --key "$out/face.key" --key-mode "$mode")
  evaluate "$out/known_pairs_$mode.json" linkage "${lock[@]}" --known-pairs 1,16,64,128,256,511,512
  evaluate "$out/unlinkability_$mode.json" unlinkability "${lock[@]}" --other "key=$out/next.key" --epochs 12 \
    --out "$out/unlinkability_$mode.svg"
done

# Decoders: the paper's attacker, and those who adapt.
decoder=(--decoder resup --epochs 8 --mirror --average 3)
train attacker "$out/transfer.safetensors" "${decoder[@]}"
for e in "${epsilons[@]}"; do
  train attacker "$out/adaptive_$e.safetensors" "${decoder[@]}" --shadow "$out/shadow.safetensors" --epsilon "$e"
done
train attacker "$out/identity.safetensors" --decoder resup --epochs 6 --decoder-loss identity --identity-weight 0.5
attackers=(--attacker "shadow=$out/shadow.safetensors" --attacker "transfer=$out/transfer.safetensors"
           --attacker "identity=$out/identity.safetensors")
for e in "${epsilons[@]}"; do attackers+=(--attacker "adaptive_$e=$out/adaptive_$e.safetensors"); done
common=(--recogniser "$facenet" --cut embedding --second-recogniser "$mobile" "${attackers[@]}" --shadow "$out/shadow.safetensors"
        --epsilons "$(IFS=,; echo "${epsilons[*]}")")
evaluate "$out/celeba.json" reconstruction "${celeba[@]}" "${common[@]}" --limit 512 --sheet "$out/celeba.png"
evaluate "$out/lfw.json" reconstruction "${lfw[@]}" "${common[@]}" --split all --limit 512 \
  --thresholds "$out/celeba.json" --sheet "$out/lfw.png"

# A small recogniser that was trained against a decoder, and its twin without one; then who attacks each as it is.
for name in plain against; do
  card=$out/rec_$name.json opponent=() resume=()
  [ "$name" = plain ] || opponent=(--against resup)
  [ ! -f "$card.checkpoint" ] || resume=(--resume)
  [ -f "$card" ] || "$bin/advface-train" recogniser "${celeba[@]:0:6}" --architecture cnn_small --image-size 64 --epochs 12 \
    ${opponent[@]+"${opponent[@]}"} ${resume[@]+"${resume[@]}"} --out "$card" --json "$out/rec_$name.result.json"
  facenet=$card train attacker "$out/against_$name.safetensors" --decoder resup --epochs 8 --mirror --average 3
  for attacker in "transfer=$out/against_$name.safetensors" inversion; do
    evaluate "$out/against_${name}_${attacker%%=*}.json" reconstruction --recogniser "$card" "${celeba[@]}" --sets raw \
      --limit "$([ "$attacker" = inversion ] && echo "$images" || echo 512)" --attacker "$attacker"
  done
done

# With patience.
fewer=$((few < 6 ? few : 6))
evaluate "$out/oracle5000_$fewer.json" reconstruction "${asked[@]}" --limit "$fewer" \
  --attacker "scores 5000=oracle:queries=5000,$by" --attacker "accepts 5000=oracle:queries=5000,answers=accepts,$by"

for file in {inversion,read,mobile}_"$images" {identity_only,oracle}_"$few" "oracle5000_$fewer" \
  {projection,quantise,gaussian_500,gaussian_100,map_none,map_frequency,map_shuffle,map_quantise}_"$few" \
  {projection,quantise,gaussian_500,gaussian_100,map_frequency,map_shuffle,map_quantise}_pairs linkage attributes \
  lfw_facenet lfw_mobile "${epsilons[@]/#/lfw_facenet_}" erased against known_pairs unlinkability celeba lfw; do
  for text in "$out/$file".txt "$out/$file"_*.txt; do
    [ ! -f "$text" ] || printf '\n%s\n%s\n' "$(basename "$text" .txt)" "$(cat "$text")"
  done
done | tee "$out/tables.txt"
