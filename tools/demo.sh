#!/bin/bash
# The whole job: people in a protected store, from enrolment to a decision, erasure and another key; then how AdvFace and two
# locks store their features, every attacker of a quick audit, and a report that people look at. Without --faces everything is
# made here: portraits of people who do not exist, and two small recognisers trained on them.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

usage() {
  cat <<'TEXT'
Usage: tools/demo.sh [--out DIR] [--seed N]
       tools/demo.sh --faces DIR --recogniser CARD.json [--second-recogniser CARD.json] [--cut NAME] [--labels CSV]
                     [--eyes x1,y1,x2,y2 | --detector CARD.json] [--out DIR]

Audits how faces are protected and ends with the path of the report (report.html). What it audits is written to
DIR/audit.json: change that, and call again, or call advface-audit.
  --out DIR                 where everything goes (default: build/demo); finished steps are not done again
  --seed N                  seed of everything random (default 1)
  --faces DIR               photographs, several of each person; without it synthetic faces are drawn
  --labels CSV              file,identity; without it a person is the folder a photograph lies in
  --eyes ...                mean eye centres in pixels of aligned photographs: crops faces by the card's template
  --detector CARD           finds faces in photographs as they come
  --recogniser CARD         the deployed recogniser (.json beside its .onnx)
  --second-recogniser CARD  another, which judges what attackers draw
  --cut NAME                the recogniser's tensor that is the feature (default: what its card says)
TEXT
}
usage_error() {
  printf 'demo.sh: %s (see tools/demo.sh --help)\n' "$1" >&2
  exit 2
}

out=$root/build/demo faces= labels= eyes= detector= recogniser= second_recogniser= cut= seed=1
while [[ $# -gt 0 ]]; do
  case $1 in
    -h | --help) usage; exit 0 ;;
    --out | --faces | --labels | --eyes | --detector | --recogniser | --second-recogniser | --cut | --seed)
      [[ $# -ge 2 ]] || usage_error "$1 needs a value"
      name=${1#--}
      printf -v "${name//-/_}" '%s' "$2"
      shift 2
      ;;
    *) usage_error "unknown argument $1" ;;
  esac
done
[[ ${faces:+x} == "${recogniser:+x}" ]] || usage_error "--faces and --recogniser belong together"
[[ -z $second_recogniser || -n $faces ]] || usage_error "--second-recogniser goes with --faces and --recogniser"

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
# recogniser FILE ARCHITECTURE SEED
recogniser() {
  make "$1" "$bin/advface-train" recogniser --images "$faces" --labels "$labels" --architecture "$2" --image-size 64 \
    --epochs 5 --seed "$3" --out "$1"
}

# store_day PHOTOGRAPHS: two people enrolled behind a lock, a decision of each kind, an erasure, another key. 3: rejected.
store_day() {
  local photographs=$1 store=$bin/advface-store db=$out/people.db first second
  mapfile -t people < <(cd "$photographs" && printf '%s\n' id_* | head -n 2)
  first=$photographs/${people[0]}/${people[0]} second=$photographs/${people[1]}/${people[1]}
  rm -f "$db" "$db-wal" "$db-shm" "$out/face.key" "$out/next.key"
  "$bin/advface-key" new "$out/face.key"
  "$store" init "$db" --recogniser "$recogniser" --protect rotation --key "$out/face.key"
  "$store" calibrate "$db" --recogniser "$recogniser" --images "$out/others/images" --fmr 0.01
  "$store" add "$db" --key "$out/face.key" --recogniser "$recogniser" --average 0 --subject anna --subject anna --subject ben \
    --subject ben --image "${first}_0001.png" --image "${first}_0002.png" --image "${second}_0001.png" --image "${second}_0002.png"
  "$store" verify "$db" --key "$out/face.key" --recogniser "$recogniser" --image "${first}_0003.png" --subject anna || [[ $? == 3 ]]
  "$store" verify "$db" --key "$out/face.key" --recogniser "$recogniser" --image "${second}_0003.png" --subject anna || [[ $? == 3 ]]
  "$store" identify "$db" --key "$out/face.key" --recogniser "$recogniser" --image "${second}_0003.png" || [[ $? == 3 ]]
  "$store" remove "$db" --subject ben
  "$store" renew "$db" --old-key "$out/face.key" --new-key "$out/next.key"
  "$store" check "$db" --key "$out/next.key"
}

epsilon=
if [[ -z $faces ]]; then
  say "drawing synthetic faces"
  make "$out/faces/labels.csv" "$bin/advface-faces" --out "$out/faces" --identities 300 --per-identity 8 --image-size 64 \
    --test-identities 20 --pairs 1 --seed "$seed"
  make "$out/others/labels.csv" "$bin/advface-faces" --out "$out/others" --identities 60 --per-identity 4 --image-size 64 \
    --seed $((seed + 1))
  faces=$out/faces/images labels=$out/faces/labels.csv
  recogniser=$out/recogniser.json second_recogniser=$out/judge.json
  say "training the recogniser whose features are stored"
  recogniser "$recogniser" cnn_small "$seed"
  say "training another, which judges what attackers draw"
  recogniser "$second_recogniser" cnn_small "$((seed + 1))"
  say "a store of people behind a lock"
  store_day "$out/faces/test/images"
  epsilon=0.05  # features of 128 values: as much noise as 0.025 is on 512
fi

make "$out/audit.json" "$bin/advface-audit" init --quick --recogniser "$recogniser" --images "$faces" --seed "$seed" \
  ${second_recogniser:+--second-recogniser "$second_recogniser"} ${labels:+--labels "$labels"} ${eyes:+--eyes "$eyes"} \
  ${detector:+--detector "$detector"} ${cut:+--cut "$cut"} --out "$out/audit.json"
[[ -z $epsilon ]] || sed -i "s/0\.02/$epsilon/g" "$out/audit.json"
say "auditing"
"$bin/advface-audit" "$out/audit.json" --out "$out/report" --cache "$out/cache"
printf 'What was audited: %s. Took %d:%02d.\n' "$out/audit.json" $(((SECONDS - start) / 60)) $(((SECONDS - start) % 60))
printf 'Look at %s\n' "$out/report/report.html"
