#!/usr/bin/env bash
# Remakes the tables of docs/choosing.md from real photographs. Every result is kept in OUT, and a second run goes on
# where the first stopped; the tables are made of what is there.
set -euo pipefail
stages="embedding lfw curves map map_lfw shadows second cycle map_cycle variants tables"
usage() {
  cat <<TEXT
usage: tools/experiments/choosing.sh --shared DIR --out DIR [--bin DIR] [--only STAGE]
  --shared DIR  a folder with data/celeba, data/lfw (images, labels.csv, pairs.txt) and models/ (cards with ONNX files)
  --out DIR     where features, decoders and results are kept
  --bin DIR     the programs (default: build/release/bin)
  --only STAGE  one of: $stages (default: all, in this order)
TEXT
}
root="$(cd "$(dirname "$0")/../.." && pwd)"
shared= out= bin=$root/build/release/bin only=
# shellcheck source=tools/experiments/options.sh
source "$(dirname "$0")/options.sh"
take_options "only" "$@"
mkdir -p "$out"

faces=(--images "$shared/data/celeba/images" --labels "$shared/data/celeba/labels.csv" --eyes "34.5,55.5,54,55.5")
lfw=(--images "$shared/data/lfw/images" --eyes "71,79.5,114,79.5")
facenet=$shared/models/facenet_casia_160.json
mobile=$shared/models/mobilefacenet_112.json
# Of one table, set by its stage: the deployed recogniser, its cut, which images, and where results lie.
card= cut= dir= few=()
shadow_net= attacker_net= adaptive_images= scored= pairs=pairs.csv shadow=shadow.safetensors other_attackers=()

# once FILE COMMAND... : unless FILE exists. Programs write their files whole or not at all.
once() {
  local file=$1; shift
  [ -f "$file" ] && return
  echo "== ${file#"$out"/}" >&2
  "$@"
}
# train VERB FILE options...: goes on from a checkpoint.
train() {
  local verb=$1 file=$2; shift 2
  local resume=()
  [ ! -f "$file.checkpoint" ] || resume=(--resume)
  once "$file" "$bin/advface-train" "$verb" --recogniser "$card" --cut "$cut" "${faces[@]}" "${few[@]}" --cache "$out/cache" \
    --out "$file" --json "$file.json" "${resume[@]}" "$@"
}
evaluate() {
  local file=$1; shift
  once "$file" "$bin/advface-evaluate" "$@" --recogniser "$card" --cut "$cut" --json "$file"
}
networks() {
  mkdir -p "$dir"
  train shadow "$dir/shadow.safetensors" --decoder "$shadow_net" --epochs "$1"
  train attacker "$dir/transfer.safetensors" --decoder "$attacker_net" --epochs "$2"
  once "$dir/pairs.csv" "$bin/advface-evaluate" pairs "${faces[@]}" "${few[@]}" --split validation --most "$3" --out "$dir/pairs.csv"
  evaluate "$dir/unprotected.recognition.json" recognition "${faces[@]}" "${few[@]}" --cache "$out/cache" --pairs "$dir/pairs.csv"
}
# setting NAME EPSILON adaptive|transfer options...: attackers and recognition, on the validation people.
setting() {
  local name=$1 epsilon=$2 kind=$3; shift 3
  local row=$dir/$name-$epsilon attackers=(--attacker "transfer=$dir/transfer.safetensors" "${other_attackers[@]}") thresholds=()
  local protection=(--shadow "$dir/$shadow" --epsilon "$epsilon" "$@")
  if [ "$kind" = adaptive ]; then
    train attacker "$row.adaptive.safetensors" --decoder "$attacker_net" --from "$dir/transfer.safetensors" --epochs 2 --lr 0.001 \
      --limit "$adaptive_images" "${protection[@]}"
    attackers+=(--attacker "adaptive=$row.adaptive.safetensors")
  fi
  [ ! -f "$dir/thresholds.json" ] || thresholds=(--thresholds "$dir/thresholds.json")
  evaluate "$row.json" reconstruction "${faces[@]}" "${few[@]}" --cache "$out/cache" --split validation --limit "$scored" \
    "${attackers[@]}" "${protection[@]}" "${thresholds[@]}" --scores "$row.tsv" --sheet "$row.png"
  [ -f "$dir/thresholds.json" ] || cp "$row.json" "$dir/thresholds.json"
  evaluate "$row.recognition.json" recognition "${faces[@]}" "${few[@]}" --cache "$out/cache" --pairs "$dir/$pairs" \
    "${protection[@]}" --side gallery
}
# grid "OBJECTIVE..." EPSILON... : objectives x batch-norm modes.
grid() {
  local objectives=$1 objective bn epsilon
  shift
  for objective in $objectives; do
    for bn in running recalibrated batch; do
      for epsilon in "$@"; do
        setting "$objective-$bn" "$epsilon" adaptive --objective "$objective" --bn "$bn"
      done
    done
  done
}
stage_embedding() {
  card=$facenet cut=embedding dir=$out/embedding few=() shadow_net=deconv attacker_net=resup
  adaptive_images=4000 scored=256
  networks 12 8 300
  grid "direct shadow-pair original" 0.02 0.04
}
# It runs the whole recogniser forward and back at every step: fewer images.
stage_cycle() {
  card=$facenet cut=embedding dir=$out/embedding few=() shadow_net=deconv attacker_net=resup
  adaptive_images=300 scored=128 pairs=few_pairs.csv
  once "$dir/$pairs" "$bin/advface-evaluate" pairs "${faces[@]}" --split validation --most 50 --out "$dir/$pairs"
  grid cycle 0.02 0.04
  pairs=pairs.csv scored=256
  setting adaptive-300-images 0.02 adaptive  # what the fewer images alone do to the adaptive attacker
  setting adaptive-300-images 0.04 adaptive
}
# One thing changed at a time, against direct, running, 0.02; all but epsilon under the transfer attacker alone.
stage_curves() {
  card=$facenet cut=embedding dir=$out/embedding few=() shadow_net=deconv attacker_net=resup adaptive_images=4000 scored=256
  local epsilon
  for epsilon in 0.005 0.01 0.03 0.06; do setting direct-running "$epsilon" adaptive; done
  for method in fgsm bim mi-fgsm adam; do setting "method-$method" 0.02 transfer --method "$method"; done
  for steps in 1 3 30 100; do setting "steps-$steps" 0.02 transfer --steps "$steps"; done
  setting loss-structure 0.02 transfer --loss structure
  setting norm-l2 0.4525 transfer --norm l2  # the norm of a corner of the 0.02 cube in 512 dimensions
  setting norm-l2 0.3 transfer --norm l2
  for tau in 0.9 0.95; do setting "keep-$tau" 0.04 transfer --keep-recognition "$tau"; done
}
# Shadows of either architecture against attackers of either, no two of the same training.
stage_shadows() {
  card=$facenet cut=embedding dir=$out/embedding few=() adaptive_images=4000 scored=256
  train shadow "$dir/shadow-resup.safetensors" --decoder resup --epochs 6 --seed 2
  train attacker "$dir/transfer-deconv.safetensors" --decoder deconv --epochs 8 --seed 3
  other_attackers=(--attacker "deconv=$dir/transfer-deconv.safetensors")
  local epsilon
  for epsilon in 0.02 0.04; do
    setting architecture-deconv "$epsilon" transfer
    shadow="shadow-resup.safetensors"
    setting architecture-resup "$epsilon" transfer
    shadow=shadow.safetensors
  done
  other_attackers=()
}
# The same where another decoder is trained, or the recogniser runs at each step.
stage_variants() {
  card=$facenet cut=embedding dir=$out/embedding few=() shadow_net=deconv attacker_net=resup adaptive_images=4000 scored=256
  setting adaptive-structure 0.02 adaptive --loss structure
  setting adaptive-l2 0.4525 adaptive --norm l2
  setting adaptive-keep-0.95 0.04 adaptive --keep-recognition 0.95
  setting ensemble-mean 0.02 adaptive --shadow "$dir/shadow-resup.safetensors" --ensemble mean
  setting ensemble-hardest 0.02 adaptive --shadow "$dir/shadow-resup.safetensors" --ensemble hardest
  setting loss-identity 0.02 transfer --loss identity
}
at_the_map() {
  card=$facenet cut=MaxPool_3a_3x3 dir=$out/map shadow_net=deconv attacker_net=unet
  mkdir -p "$dir"
  sed 's/,.*//' "$shared/data/celeba/labels.csv" | sed -n '2,3601p' >"$dir/list.txt"
  few=(--list "$dir/list.txt") adaptive_images=500 scored=200
}
stage_map() {
  at_the_map
  networks 8 6 150
  grid "direct shadow-pair original" 0.1 0.2
  local epsilon
  for epsilon in 0.05 0.4 0.8; do setting direct-running "$epsilon" adaptive; done
}
stage_map_cycle() {
  at_the_map
  grid cycle 0.1 0.2
}
stage_second() {
  card=$mobile cut=output dir=$out/mobilefacenet few=()
  shadow_net=deconv attacker_net=resup adaptive_images=4000 scored=256
  networks 12 8 300
  setting direct-running 0.02 adaptive
  setting direct-running 0.04 adaptive
}
# on_lfw PAIRS EPSILON adapter options...: at the defaults, once: what recognition pays, online and with an adapter (offline).
on_lfw() {
  local lfw_pairs=$1 epsilon=$2; shift 2
  local protection=(--shadow "$dir/shadow.safetensors" --epsilon "$epsilon")
  train adapter "$dir/adapter-$epsilon.safetensors" "${protection[@]}" "$@"
  evaluate "$dir/lfw-$epsilon.json" recognition "${lfw[@]}" --pairs "$lfw_pairs" --cache "$out/cache" \
    "${protection[@]}" --side gallery --adapter "$dir/adapter-$epsilon.safetensors"
}
stage_lfw() {
  card=$facenet cut=embedding dir=$out/embedding few=()
  on_lfw "$shared/data/lfw/pairs.txt" 0.02
  on_lfw "$shared/data/lfw/pairs.txt" 0.04
}
# The first 50 pairs of the same and of different people of each of the ten folds.
stage_map_lfw() {
  at_the_map
  awk -v OFS='\t' 'NR == 1 { block = $2; print $1, 50; next } (NR - 2) % block < 50' "$shared/data/lfw/pairs.txt" \
    >"$dir/lfw_pairs.txt"
  evaluate "$dir/lfw-0.json" recognition "${lfw[@]}" --pairs "$dir/lfw_pairs.txt" --cache "$out/cache"
  on_lfw "$dir/lfw_pairs.txt" 0.1 --limit 1000 --epochs 4
  on_lfw "$dir/lfw_pairs.txt" 0.2 --limit 1000 --epochs 4
}
# plot FILE.csv NAME TITLE options...: NAME.svg and NAME_accuracy.svg beside the tables; over the file's first column, what
# attackers get, and what recognition keeps.
plot() {
  local file=$1 name=$2 title=$3 x series=()
  shift 3
  [ -f "$file" ] || return 0
  x=$(sed 's/,.*//;q' "$file")
  for y in raw equal_norm_noise adaptive mean_face transfer_matched; do series+=(--series "${y//_/ }=$file,x=$x,y=$y"); done
  "$bin/advface-evaluate" plot --out "$out/$name.svg" --title "$title" --x-label "$x" --y-label SSIM "$@" \
    "${series[@]}" --series "transfer=$file,x=$x,y=transfer,low=transfer_low,high=transfer_high"
  "$bin/advface-evaluate" plot --out "$out/${name}_accuracy.svg" --title "$title" --x-label "$x" --y-label accuracy "$@" \
    --series "accuracy=$file,x=$x,y=accuracy,low=accuracy_low,high=accuracy_high"
}
stage_tables() {
  python3 "$root/tools/experiments/choosing_table.py" "$out" | tee "$out/tables.md"
  plot "$out/embedding/epsilon.csv" epsilon "FaceNet, embedding"
  plot "$out/embedding/steps.csv" steps "FaceNet, embedding, epsilon 0.02" --log-x
  plot "$out/map/epsilon.csv" map_epsilon "FaceNet, MaxPool_3a_3x3" --log-x
}

for stage in $stages; do
  [ -n "$only" ] && [ "$only" != "$stage" ] || "stage_$stage"
done
