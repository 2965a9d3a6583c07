#!/bin/bash
# experiments.sh BIN: the scripts of tools/experiments on a toy world, laid out as the real one is, with every training
# cut to an epoch. What they say means nothing; that every call is still one, that a second run does nothing anew and
# that the tables are made, does.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/script_test.sh"
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
real=$(cd "$1" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

quietly "$real/advface-faces" --out faces --identities 240 --per-identity 2 --test-identities 20 --image-size 144 --pairs 2
mkdir -p shared/data/celeba shared/data/lfw shared/models bin
ln -s "$work/faces/images" shared/data/celeba/images
cp faces/labels.csv shared/data/celeba/labels.csv
ln -s "$work/faces/test/images" shared/data/lfw/images
cp faces/test/pairs.txt shared/data/lfw/pairs.txt
seed=0
for card in facenet_casia_160 mobilefacenet_112; do
  quietly "$real/advface-train" recogniser --images faces/images --architecture cnn_small --image-size 32 --embedding 16 --width 50 \
    --epochs 1 --batch 16 --seed $((++seed)) --out "shared/models/$card.json"
done

# The programs, with numbers that toys can bear.
for program in train evaluate extract protect key; do
  cat >"bin/advface-$program" <<TEXT
#!/bin/bash
echo x >>"$work/calls"
args=()
while ((\$#)); do
  case \$1 in
    --epochs) args+=("\$1" 1); shift 2 ;;
    --limit) args+=("\$1" \$((\$2 < 40 ? \$2 : 40))); shift 2 ;;
    MaxPool_3a_3x3) args+=(add_22); shift ;;
    --people) args+=("\$1" 60); shift 2 ;;
    --attributes) args+=("\$1" Smiling); shift 2 ;;
    --attacker) args+=("\$1" "\${2/inversion/inversion:steps=2}"); args[-1]=\${args[-1]/steps=2:/steps=2,}
      args[-1]=\$(sed -E "s/queries=[0-9]+/queries=20/" <<<"\${args[-1]}"); shift 2 ;;
    --known-pairs) args+=("\$1" 1,16); shift 2 ;;
    --dims) args+=("\$1" 8); shift 2 ;;
    --average) args+=("\$1" 1); shift 2 ;;
    --most) args+=("\$1" 12); shift 2 ;;
    shadow | attacker) args+=("\$1" --image-size 32 --batch 8); shift ;;
    linkage) args+=("\$1"); [[ $program != train || \${#args[@]} != 1 ]] || args+=(--batch 8); shift ;;
    *) args+=("\$1"); shift ;;
  esac
done
exec "$real/advface-$program" "\${args[@]}"
TEXT
  chmod +x "bin/advface-$program"
done

experiments=$root/tools/experiments
for script in audits choosing tables two_locks; do
  "$experiments/$script.sh" --help | grep -q "^usage: tools/experiments/$script.sh" || fail "$script.sh has no help"
  code=0
  "$experiments/$script.sh" --nonsense >log 2>&1 || code=$?
  [[ $code == 2 ]] && grep -q nonsense log || fail "$script.sh takes a wrong argument ($code)"
done
choose=("$experiments/choosing.sh" --shared shared --out chosen --bin bin --only)
quietly "${choose[@]}" embedding
quietly "${choose[@]}" tables
grep -q '^|.*direct' chosen/tables.md || fail "choosing.sh made no table"
quietly "$experiments/tables.sh" --shared shared --out tables --bin bin --images 12
for row in '^accuracy' '^corrected .*raw' '^accepts 500 .*raw' '^read .*protected' '^people_3000' Smiling 'protected, attributes' 'known pairs' profile against_plain_transfer; do
  grep -q "$row" tables/tables.txt || fail "tables.sh made no table with $row"
done
printf '%s\n' '# few' raw 'bits --protect projection --projection OUT/projection_64.safetensors --protect quantise --bits 1' \
  'secret --shadow OUT/shadow.safetensors --epsilon 0.3 --steps 2 --start secret' \
  'linkage --shadow OUT/linker.safetensors --objective linkage --epsilon 0.1 --steps 2' >candidates
search=("$experiments/two_locks.sh" --shared shared --out locks --bin bin --images 12 --candidates candidates --rounds 2)
quietly "${search[@]}"
for row in bits secret linkage minmax_1 minmax_2; do
  grep -qE "^\\| $row (\\| [^| ][^|]*){12}\\|\$" locks/table.md || fail "two_locks.sh left cells of $row empty: $(cat locks/table.md)"
done
code=0
"$experiments/two_locks.sh" --shared shared --out locks --rounds many >log 2>&1 || code=$?
[[ $code == 2 ]] && grep -q 'not many' log || fail "two_locks.sh takes a wrong number of rounds ($code)"

# Tables and pictures of audits in pages, whatever the audits say.
mkdir -p audits/celeba_map audits/search told pages/images
echo '{}' | tee audits/celeba_map/report.json >audits/search/report.json
cat >told/advface-audit <<'TEXT'
#!/bin/bash
echo "| table of ${2%/report.json} |"
[[ $# == 2 || $2 == *search* ]] || echo picture >"$4"
[[ $# == 2 || $2 != *search* ]]
TEXT
chmod +x told/advface-audit
printf '%s\n' before '<!-- audit celeba_map -->' old '<!-- end -->' after '<!-- audit search -->' '<!-- end -->' >pages/page.md
pages=("$experiments/audits.sh" --shared shared --out audits --bin told --only none --pages pages)
for _ in once again; do
  quietly "${pages[@]}"
  [[ $(grep -v '^$' pages/page.md | tr '\n' '~') == "before~<!-- audit celeba_map -->~| table of audits/celeba_map |~<!-- end -->~after~<!-- audit search -->~| table of audits/search |~<!-- end -->~" ]] ||
    fail "audits.sh filled a page wrongly: $(cat pages/page.md)"
done
[[ -f pages/images/audit_celeba_map.svg && ! -f pages/images/audit_search.svg ]] || fail "audits.sh left the pictures wrong"
printf '%s\n' '<!-- audit search -->' after >pages/broken.md
code=0
"${pages[@]}" >log 2>&1 || code=$?
[[ $code != 0 && $(wc -l <pages/broken.md) == 2 ]] && grep -q 'has no end' log || fail "audits.sh takes a page without an end ($code)"

before=$(wc -l <calls)
quietly "${choose[@]}" embedding
quietly "$experiments/tables.sh" --shared shared --out tables --bin bin --images 12
quietly "${search[@]}"
[[ $(wc -l <calls) == "$before" ]] || fail "a second run did something anew"
echo "$before calls"
