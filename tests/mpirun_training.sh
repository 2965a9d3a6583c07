#!/bin/bash
# mpirun_training.sh BIN: advface-train-mpi under Open MPI's mpirun: the curves of 1, 2 and 4 ranks, the bits of two runs,
# ranks that are killed, stopped and go on as another number of them, and calls that cannot be. Killings: ADVF_MPI_KILLS,
# or a few. Skipped where there is no mpirun, or no advface-train-mpi (ADVF_MPI).
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/script_test.sh"
bin=$(cd "$1" && pwd)
under_mpirun
[ -x "$bin/advface-train-mpi" ] || { echo "SKIPPED: no advface-train-mpi; cmake --preset release -DADVF_MPI=ON builds it"; exit 0; }
in_scratch
ranks() { mpirun -np "$1" --oversubscribe "${@:2}"; }

quietly "$bin/advface-faces" --out faces --identities 40 --per-identity 4 --image-size 64
recogniser=(recogniser --images faces/images --architecture cnn_small --image-size 32 --embedding 16 --width 50 --epochs 2
  --batch 16 --threads 1)
any=(shadow --recogniser rec.json --images faces/images --image-size 32 --decoder deconv --threads 1)
shadow=("${any[@]}" --batch 16 --epochs 3 --average 2)
quietly "$bin/advface-train" "${recogniser[@]}" --out rec.json --json recogniser.alone.json
quietly ranks 2 "$bin/advface-train-mpi" "${recogniser[@]}" --out r2.json --json recogniser.2.json
quietly "$bin/advface-train" "${shadow[@]}" --out alone.safetensors --json shadow.alone.json
for n in 1 2 4; do
  quietly ranks $n "$bin/advface-train-mpi" "${shadow[@]}" --out "$n.safetensors" --json "shadow.$n.json"
done
grep -q "ranks: each sent" log || fail "nothing is told of what was sent"
cmp 1.safetensors alone.safetensors || fail "one rank is not the program alone"
# Few people to train on and two batches to validate on, which ranks share.
quietly "$bin/advface-faces" --out many --identities 40 --per-identity 20 --image-size 64
validated=(shadow --recogniser rec.json --images many/images --image-size 32 --decoder deconv --threads 1 --people 8
  --batch 16 --epochs 1)
quietly "$bin/advface-train" "${validated[@]}" --out many.safetensors --json validated.alone.json
grep -qE "([7-9][0-9]|1[0-9]{2}) to validate on" log || fail "there are not two batches to validate on"
quietly ranks 3 "$bin/advface-train-mpi" "${validated[@]}" --out many.safetensors --json validated.3.json
quietly ranks 4 "$bin/advface-train-mpi" "${shadow[@]}" --out again.safetensors
cmp 4.safetensors again.safetensors || fail "two runs of four ranks differ"
python3 - <<'PY' || fail "the curves differ"
import json
for kind, others in (("shadow", "1 2 4"), ("validated", "3"), ("recogniser", "2")):
    curve = lambda n: [(e["train_loss"], e["validation_loss"]) for e in json.load(open(f"{kind}.{n}.json"))["history"]]
    for n in others.split():
        for epoch, (one, many) in enumerate(zip(curve("alone"), curve(n))):
            for what, (a, b) in enumerate(zip(one, many)):
                # Sums in another order. Later epochs make more of it, as of weights that differ in the last bit. A
                # recogniser of two epochs has losses of some tens, and to validate embeddings that hardly differ yet.
                close = 1e-5 if epoch == 0 and kind != "recogniser" else 1e-3 if kind == "recogniser" and what == 1 else 2e-4
                assert abs(a - b) <= close * max(1, abs(a)), (kind, n, a, b)
PY

told "SIZE=2); advface-train-mpi trains" ranks 2 "$bin/advface-train" "${shadow[@]}" --out no.safetensors
told "one process" ranks 2 "$bin/advface-train-mpi" detector --scenes 20 --out no.json
told "too small for 4 ranks" ranks 4 "$bin/advface-train-mpi" "${any[@]}" --batch 4 --out no.safetensors
told "disagree" mpirun --oversubscribe -np 1 "$bin/advface-train-mpi" "${shadow[@]}" --out no.safetensors : \
  -np 1 "$bin/advface-train-mpi" "${shadow[@]}" --lr 0.001 --out no.safetensors
told "nothing.json" ranks 2 "$bin/advface-train-mpi" "${shadow[@]/rec.json/nothing.json}" --out no.safetensors
[ ! -e no.safetensors ] || fail "a refused call has written"

# Killed, or stopped, it leaves a checkpoint from which another number of ranks goes on, to the same curve.
long=("${any[@]}" --batch 16 --epochs 8)
quietly "$bin/advface-train" "${long[@]}" --out whole.safetensors --json long.alone.json
quietly ranks 2 "$bin/advface-train-mpi" "${long[@]}" --out whole.safetensors
for ((kill = 0; kill < ${ADVF_MPI_KILLS:-2}; ++kill)); do
  rm -f cut.*
  # Not by ranks(): $! is to be mpirun, whose children the ranks are, and no shell that has them.
  mpirun -np 2 --oversubscribe "$bin/advface-train-mpi" "${long[@]}" --out cut.safetensors >log 2>&1 &
  launched=$!
  for ((wait = 0; wait < 3000; ++wait)); do
    [ ! -f cut.safetensors.checkpoint ] && kill -0 "$launched" 2>/dev/null || break
    sleep 0.02
  done
  sleep "0.$((RANDOM % 4))$((RANDOM % 9))"
  mapfile -t running < <(pgrep -P "$launched" -f advface-train-mpi)
  [ ${#running[@]} -gt 0 ] || { wait "$launched"; continue; }  # all were done before
  if [ $((kill % 2)) = 0 ]; then kill -9 "${running[RANDOM % ${#running[@]}]}" 2>/dev/null || true
  else kill -INT "$launched"; fi
  start=$SECONDS
  wait "$launched" && continue
  [ $((SECONDS - start)) -le 15 ] || fail "the other ranks went on for $((SECONDS - start)) s"
  for rank in "${running[@]}"; do
    for ((i = 0; i < 500; ++i)); do ! kill -0 "$rank" 2>/dev/null || sleep 0.02; done
  done
  if [ ! -f cut.safetensors.checkpoint ]; then  # stopped behind the end: what was trained is there
    cmp cut.safetensors whole.safetensors || { cat log >&2; fail "neither a checkpoint nor a network is left"; }
    late=$((${late:-0} + 1))
    continue
  fi
  quietly ranks $((kill % 3 + 1)) "$bin/advface-train-mpi" "${long[@]}" --out cut.safetensors --resume --json long.cut.json
  python3 - <<'PY' || fail "after a stop the curve differs"
import json
whole, cut = (json.load(open(f"long.{n}.json"))["history"] for n in ("alone", "cut"))
for one, other in zip(whole, cut, strict=True):
    assert abs(one["validation_loss"] - other["validation_loss"]) < 3e-3, (one, other)
PY
  cuts=$((${cuts:-0} + 1))
done
[ "${cuts:-0}" -gt 0 ] || fail "nothing was stopped in time"
echo "$cuts trainings were stopped and went on; ${late:-0} were at their end"
