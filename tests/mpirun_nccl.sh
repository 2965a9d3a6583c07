#!/bin/bash
# mpirun_nccl.sh BIN DOUBLES: ranks whose (emulated) GPUs meet by NCCL, of which DOUBLES has stand-ins, train to the
# bytes of the way through the hosts; where they cannot meet, all take that way and say why; what breaks later ends all.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/script_test.sh"
bin=$(cd "$1" && pwd)
doubles=$(cd "$2" && pwd)
under_mpirun
in_scratch
# MPI's own leaks are not looked for.
export ASAN_OPTIONS=${ASAN_OPTIONS:+$ASAN_OPTIONS:}detect_leaks=0

quietly "$bin/advface-faces" --out faces --identities 40 --per-identity 4 --image-size 32
quietly "$bin/advface-train" recogniser --images faces/images --architecture cnn_small --image-size 32 --embedding 8 \
  --width 25 --epochs 1 --batch 8 --threads 1 --out rec.json
call=("$bin/advface-train-mpi" shadow --recogniser rec.json --images faces/images --image-size 32 --decoder deconv
  --threads 1 --device cuda --people 4 --batch 8 --epochs 1)
# train RANKS DEVICES FOLDER OUT SETTINGS...: on so many emulated devices, with the NCCL of that folder.
train() {
  ADVF_EMULATOR_DEVICES=$2 LD_LIBRARY_PATH=$3 timeout 120 mpirun -np "$1" --oversubscribe "${call[@]}" --out "$4" \
    "${@:5}"
}
# A machine may have the real one: what is no library hides it.
mkdir broken
: >broken/libnccl.so.2
met="ranks meet by NCCL 2.99.1"
hosts="sums go through the hosts' memory"

for ranks in 2 3; do
  quietly train $ranks $ranks "$work/broken" hosts.safetensors
  grep -q "$hosts: NCCL cannot be loaded: .*libnccl.so.2" log || { cat log; fail "a missing library is not told"; }
  quietly train $ranks $ranks "$doubles/whole" linked.safetensors
  grep -q "GPUs of $ranks $met" log || { cat log; fail "the GPUs did not meet"; }
  cmp hosts.safetensors linked.safetensors || fail "$ranks ranks train to other bytes by NCCL"
done
quietly train 2 2 "$work/broken" hosts.safetensors --bn-per-rank
quietly train 2 2 "$doubles/whole" linked.safetensors --bn-per-rank
cmp hosts.safetensors linked.safetensors || fail "by NCCL each rank normalises otherwise"

# falls_back WORDS CALL...: it takes the way through the hosts and says why.
quietly train 2 2 "$work/broken" hosts.safetensors
falls_back() {
  rm -f other.safetensors
  quietly "${@:2}"
  grep -q "$hosts: .*$1" log || { cat log; fail "does not say '$1': ${*:2}"; }
  cmp hosts.safetensors other.safetensors || fail "other bytes: ${*:2}"
}
falls_back "2 ranks share 1 of them" train 2 1 "$doubles/whole" other.safetensors
falls_back "has no ncclSend" train 2 2 "$doubles/without_send" other.safetensors
NCCL_DOUBLE=old falls_back "is NCCL 2.8; 2.9 or newer" train 2 2 "$doubles/whole" other.safetensors
NCCL_DOUBLE=id falls_back "making an id: unhandled system error" train 2 2 "$doubles/whole" other.safetensors
NCCL_DOUBLE=start falls_back "linking the ranks: unhandled system error" train 2 2 "$doubles/whole" other.safetensors
# Where one rank alone has none, no other one waits for it.
one_without() {
  ADVF_EMULATOR_DEVICES=2 timeout 120 mpirun --oversubscribe \
    -np 1 -x "LD_LIBRARY_PATH=$doubles/whole" "${call[@]}" --out other.safetensors : \
    -np 1 -x "LD_LIBRARY_PATH=$work/broken" "${call[@]}" --out other.safetensors
}
falls_back "NCCL cannot be loaded" one_without

for wrong in send:exchanging gather:gathering later:"on the way"; do
  NCCL_DOUBLE=${wrong%%:*} told "NCCL: ${wrong#*:}: unhandled system error" train 2 2 "$doubles/whole" no.safetensors
  [ ! -e no.safetensors ] || fail "a broken link has written"
done
