#!/bin/bash
# The main job, end to end: a recogniser's features, a shadow model, adversarial features, and what they are worth
# against an attacker who knows nothing of the protection and one who adapts. Without --faces everything is made here:
# procedural portraits of people who do not exist, and a small recogniser trained on them.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

usage() {
  cat <<'TEXT'
Usage: tools/demo.sh [--out DIR] [--epsilon E] [--seed N]
       tools/demo.sh --faces DIR --recogniser CARD.json [--cut NAME] [--labels CSV] [--eyes x1,y1,x2,y2]
                     [--pairs FILE --pairs-faces DIR [--pairs-eyes x1,y1,x2,y2]] [--out DIR] [--epsilon E]

Runs the whole job and ends with tables and the paths of its pictures and JSON files.
  --out DIR          where everything goes (default: build/demo); finished steps are not done again
  --faces DIR        photographs, several of each person; without it synthetic faces are drawn
  --labels CSV       file,identity; without it a person is the folder a photograph lies in
  --eyes ...         mean eye centres in pixels of the photographs: crops faces by the card's template
  --recogniser CARD  the deployed recogniser (.json beside its .onnx)
  --cut NAME         the recogniser's tensor that is the feature (default: what its card says)
  --pairs FILE       verification pairs in the format of LFW's pairs.txt, of the photographs in --pairs-faces
  --epsilon E        bound of the noise on each value of a feature (default 0.05 for synthetic faces, else 0.02)
  --seed N           seed of everything random (default 1)
TEXT
}
usage_error() {
  printf 'demo.sh: %s (see tools/demo.sh --help)\n' "$1" >&2
  exit 2
}

out=$root/build/demo faces= labels= eyes= recogniser= cut= pairs= pairs_faces= pairs_eyes= epsilon= seed=1
while [[ $# -gt 0 ]]; do
  case $1 in
    -h | --help) usage; exit 0 ;;
    --out | --faces | --labels | --eyes | --recogniser | --cut | --pairs | --pairs-faces | --pairs-eyes | --epsilon | --seed)
      [[ $# -ge 2 ]] || usage_error "$1 needs a value"
      name=${1#--}
      printf -v "${name//-/_}" '%s' "$2"
      shift 2
      ;;
    *) usage_error "unknown argument $1" ;;
  esac
done
[[ ${faces:+x} == "${recogniser:+x}" ]] || usage_error "--faces and --recogniser belong together"
[[ ${pairs:+x} == "${pairs_faces:+x}" ]] || usage_error "--pairs and --pairs-faces belong together"

ensure_build_packages release
build_preset release programs
bin=$root/build/release/bin
mkdir -p "$out"
start=$SECONDS

# make FILE COMMAND... : runs the command, which makes the file, unless the file is there.
make() {
  local file=$1
  shift
  [[ -e $file ]] || "$@" || exit $?
}

if [[ -z $faces ]]; then
  epsilon=${epsilon:-0.05}
  say "drawing synthetic faces"
  make "$out/faces/labels.csv" "$bin/advface-faces" --out "$out/faces" --identities 400 --per-identity 12 \
    --image-size 64 --test-identities 60 --pairs 30 --seed "$seed"
  faces=$out/faces/images labels=$out/faces/labels.csv pairs=$out/faces/test/pairs.txt
  pairs_faces=$out/faces/test/images recogniser=$out/recogniser.json
  make "$out/others/labels.csv" "$bin/advface-faces" --out "$out/others" --identities 60 --per-identity 4 --image-size 64 \
    --seed $((seed + 1))
  say "training a recogniser on them"
  make "$recogniser" "$bin/advface-train" recogniser --images "$faces" --labels "$labels" --architecture cnn_small \
    --image-size 64 --epochs 6 --seed "$seed" --out "$recogniser"
else
  epsilon=${epsilon:-0.02}
fi
recogniser=("$recogniser" ${cut:+--cut "$cut"})
data=(--recogniser "${recogniser[@]}" --images "$faces" --cache "$out/cache")
[[ -z $labels ]] || data+=(--labels "$labels")
[[ -z $eyes ]] || data+=(--eyes "$eyes")
protection=(--shadow "$out/shadow.safetensors" --epsilon "$epsilon")
# What lies under the lock, and both; --dims must be less than a feature has values.
inner=(--protect projection --projection "$out/projection.safetensors" --protect quantise --bits 1)
locks=(--protect default --projection "$out/projection.safetensors" --key "$out/face.key")

say "extracting features, as files"
make "$out/features.npy" "$bin/advface-extract" --recogniser "${recogniser[@]}" --images "$faces" ${eyes:+--eyes "$eyes"} \
  --out "$out/features.npy"
vectors=
[[ ! $(head -c 128 "$out/features.npy" | tr -d '\0') =~ \'shape\':\ *\([0-9]+,\ *[0-9]+\) ]] || vectors=yes

say "training the shadow model (deconv)"
make "$out/shadow.safetensors" "$bin/advface-train" shadow "${data[@]}" --decoder deconv --epochs 10 --seed "$seed" \
  --out "$out/shadow.safetensors"
# attacker NAME [PROTECTION...]: of another architecture.
attacker() {
  local file=$out/$1.safetensors
  shift
  make "$file" "$bin/advface-train" attacker "${data[@]}" --decoder resup --epochs 4 --seed "$seed" "$@" --out "$file"
}
say "training an attacker of another architecture (resup) on raw features"
attacker transfer
say "training the same attacker on protected features: the one who adapts"
attacker adaptive "${protection[@]}"
say "training a network that leads protected features back: the one who then asks the recogniser"
make "$out/linkage.safetensors" "$bin/advface-train" linkage "${data[@]}" --seed "$seed" "${protection[@]}" \
  --out "$out/linkage.safetensors"
if [[ $vectors ]]; then
  say "two locks: a key, a projection, and attackers of the same kind on what both store and on what lies under the key"
  make "$out/face.key" "$bin/advface-key" new "$out/face.key"
  make "$out/projection.safetensors" "$bin/advface-train" fit projection "${data[@]}" --dims 64 --out "$out/projection.safetensors"
  attacker adaptive_locks "${locks[@]}"
  attacker adaptive_leaked "${inner[@]}"
fi

say "protecting features, as files"
make "$out/protected.npy" "$bin/advface-protect" "${protection[@]}" --in "$out/features.npy" --out "$out/protected.npy" \
  --report "$out/protected.jsonl" --seed "$seed"
[[ ! $vectors ]] || make "$out/locked.npy" "$bin/advface-protect" "${locks[@]}" --in "$out/features.npy" --out "$out/locked.npy"

# What attackers meet: AdvFace alone, or beside it the two locks, as they are and when the key has leaked.
met=("${protection[@]}")
attackers=(--attacker "transfer=$out/transfer.safetensors" --attacker "inversion=inversion:decoder=$out/transfer.safetensors"
           --attacker "adaptive=$out/adaptive.safetensors"
           --attacker "read=inversion:reader=$out/linkage.safetensors,decoder=$out/transfer.safetensors")
[[ ! $vectors ]] || {
  met=(--protected "AdvFace=$out/protected.npy" "${locks[@]}" --called "two locks" --leaked-key)
  attackers+=(--attacker "adapts to locks=$out/adaptive_locks.safetensors" --attacker "adapts if leaked=$out/adaptive_leaked.safetensors")
}

# store_day PHOTOGRAPHS: people enrolled behind a lock, a decision of each kind, an erasure, another key. 3: rejected.
store_day() {
  local photographs=$1 store=$bin/advface-store db=$out/people.db first second
  mapfile -t people < <(cd "$photographs" && printf '%s\n' id_* | head -n 2)
  first=$photographs/${people[0]}/${people[0]} second=$photographs/${people[1]}/${people[1]}
  rm -f "$db" "$db-wal" "$db-shm" "$out/next.key"
  "$store" init "$db" --recogniser "${recogniser[@]}" --protect rotation --key "$out/face.key"
  "$store" calibrate "$db" --recogniser "${recogniser[0]}" --images "$out/others/images" --fmr 0.01
  "$store" add "$db" --key "$out/face.key" --recogniser "${recogniser[0]}" --average 0 --subject anna --subject anna --subject ben --subject ben \
    --image "${first}_0001.png" --image "${first}_0002.png" --image "${second}_0001.png" --image "${second}_0002.png"
  "$store" verify "$db" --key "$out/face.key" --recogniser "${recogniser[0]}" --image "${first}_0003.png" --subject anna || [[ $? == 3 ]]
  "$store" verify "$db" --key "$out/face.key" --recogniser "${recogniser[0]}" --image "${second}_0003.png" --subject anna || [[ $? == 3 ]]
  "$store" identify "$db" --key "$out/face.key" --recogniser "${recogniser[0]}" --image "${second}_0003.png" || [[ $? == 3 ]]
  "$store" remove "$db" --subject ben
  "$store" renew "$db" --old-key "$out/face.key" --new-key "$out/next.key"
  "$store" check "$db" --key "$out/next.key"
}

summary=$out/summary.txt
{
  if [[ -n $pairs ]]; then
    printf 'Recognition on %s, epsilon %s\n' "$pairs" "$epsilon"
    recognition=(--recogniser "${recogniser[@]}" --images "$pairs_faces" --pairs "$pairs" --cache "$out/cache")
    [[ -z $pairs_eyes ]] || recognition+=(--eyes "$pairs_eyes")
    "$bin/advface-evaluate" recognition "${recognition[@]}" --json "$out/recognition_raw.json"
    for side in gallery probe both; do
      "$bin/advface-evaluate" recognition "${recognition[@]}" "${protection[@]}" --side "$side" \
        --json "$out/recognition_$side.json"
    done
    [[ ! $vectors ]] || {
      printf 'The same behind two locks\n'
      "$bin/advface-evaluate" recognition "${recognition[@]}" "${locks[@]}" --json "$out/recognition_locks.json"
    }
  else
    printf 'Recognition: not measured (no --pairs)\n'
  fi
  printf '\nReconstruction of people nobody was trained on\n'
  "$bin/advface-evaluate" reconstruction "${data[@]}" "${attackers[@]}" "${met[@]}" --limit 96 --sets raw,protected \
    --sheet "$out/sheet.png" --sheet-plain --json "$out/reconstruction.json"
  if [[ -d $out/others ]]; then
    printf '\nA store of people behind a lock\n'
    store_day "$pairs_faces"
  fi
} | tee "$summary.tmp"
mv "$summary.tmp" "$summary"

printf '\nPictures: %s\n' "$out/sheet.png"
printf '          %s\n' "$out"/*.safetensors.png "$out"/*.curve.svg
printf 'Results:  %s\n' "$out"/*.json "$out/protected.jsonl" "$summary"
printf 'Took %d:%02d.\n' $(((SECONDS - start) / 60)) $(((SECONDS - start) % 60))
