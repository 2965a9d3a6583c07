#!/bin/bash
# mpirun.sh BIN: parts under a real launcher, Open MPI's mpirun: the bits of one run; and after ranks were killed, what
# was lost is made again alone. Killings: ADVF_MPI_KILLS, or a few. Skipped where there is no mpirun.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/script_test.sh"
bin=$(cd "$1" && pwd)
under_mpirun
in_scratch
ranks=(mpirun -np 4 --oversubscribe)

quietly "$bin/advface-faces" --out faces --identities 40 --per-identity 4 --image-size 64
quietly "$bin/advface-train" recogniser --images faces/images --architecture cnn_small --image-size 32 --embedding 16 --width 50 \
  --epochs 1 --batch 16 --out rec.json
extract=("$bin/advface-extract" --recogniser rec.json --images faces/images --batch 8 --threads 1)
quietly "${extract[@]}" --out whole.npy
quietly "${ranks[@]}" "${extract[@]}" --out parts.npy
quietly "$bin/advface-inspect" --join parts.npy
for end in "" .json .txt; do cmp "whole.npy$end" "parts.npy$end" || fail "parts.npy$end differs"; done

quietly "$bin/advface-train" shadow --recogniser rec.json --images faces/images --epochs 1 --image-size 32 --decoder deconv \
  --out shadow.safetensors
evaluate=("$bin/advface-evaluate" reconstruction --recogniser rec.json --images faces/images --threads 1 --attacker shadow.safetensors)
quietly "${evaluate[@]}" --json seen.json
quietly "${ranks[@]}" "${evaluate[@]}" --json shared.json
quietly "$bin/advface-evaluate" join --json shared.json
cmp seen.json shared.json || fail "shared.json differs"

# Long enough to be killed in: a row many times.
protect=("$bin/advface-protect" --in whole.npy --shadow shadow.safetensors --epsilon 0.1 --steps 80 --batch 8 --threads 1)
quietly "${protect[@]}" --out once.npy
lost=0
for ((kill = 0; kill < ${ADVF_MPI_KILLS:-2}; ++kill)); do
  rm -f locked.*
  "${ranks[@]}" "${protect[@]}" --out locked.npy >log 2>&1 &
  launched=$!
  for ((wait = 0; wait < 500; ++wait)); do
    [ "$(find . -name 'locked.*.progress' | wc -l)" -lt 4 ] || break
    sleep 0.02
  done
  sleep "0.0$((RANDOM % 9))"
  mapfile -t running < <(pgrep -P "$launched")
  kill -9 "${running[RANDOM % ${#running[@]}]}" 2>/dev/null || true
  wait "$launched" && continue  # all were done before
  lost=$((lost + 1))
  for rank in "${running[@]}"; do  # mpirun does not wait for those that it ends
    for ((i = 0; i < 500; ++i)); do kill -0 "$rank" 2>/dev/null || break; sleep 0.02; done
  done
  "$bin/advface-inspect" --progress . --json progress.json >table || true
  for part in 1 2 3 4; do
    file=locked.$part-of-4.npy
    if [ ! -f "$file" ] || [ -f "$file.progress" ]; then quietly "${protect[@]}" --out locked.npy --part $part/4; fi
  done
  quietly "$bin/advface-inspect" --join locked.npy
  cmp once.npy locked.npy || fail "after a killing the rows differ"
  cmp once.npy.json locked.npy.json || fail "after a killing the description differs"
  [ -z "$(find . -name 'locked.*.progress' -o -name '*.tmp-*')" ] || fail "left over: $(find . -name '*.progress' -o -name '*.tmp-*')"
done
[ "$lost" -gt 0 ] || fail "no rank was killed in time"
echo "$lost runs lost a rank and were completed"
