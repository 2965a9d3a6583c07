#!/bin/bash
# postgres_store.sh BIN: advface-store over a PostgreSQL server of its own. Every verb says and does what it does over a
# file; workers that are killed, connections that are lost and a server that is killed leave all or nothing; removed
# rows are in no file of the tables; roles have the rights that docs/scale.md gives them. Killings: ADVF_POSTGRES_KILLS,
# or a few. Skipped where there is no server, or the build knows none (ADVF_POSTGRES).
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/script_test.sh"
# shellcheck source=tests/postgres_test.sh
source "$(dirname "${BASH_SOURCE[0]}")/postgres_test.sh" "$1"

# Both stores say the same, but for their names, moments, digests, rates of progress and what is left of the
# removed; and for scores, whose last digits depend on salts that are drawn.
both() {
  local status=0 name
  for name in people.db "$url"; do
    status=0
    store "$1" "$name" "${@:2}" >said 2>&1 || status=$?
    sed -E "s#postgresql://owner@/people(\?host=[^ ;:,)]*)?#people.db#g; s/20[0-9-]*T[0-9:]*Z/T/g; s/(sha256|fnv64):[0-9a-f]*/D/g
      s/[0-9.e+]+\/s, took [0-9:]+//; s/nothing is found in people.db any more.*comes round/no byte is in people.db or its log any more/
      s/[0-9a-f]{16}/K/g; s/(score |[+ ]  )-?[0-9]\.[0-9]+/\1S/g" said >"said.${#name}"
    echo "status $status" >>"said.${#name}"
  done
  cmp -s said.9 "said.${#url}" || { diff said.9 "said.${#url}" >&2 || true; fail "another word or end over PostgreSQL: $*"; }
  [[ ${want:-0} == "$status" ]] || { cat said; fail "ended with $status, not ${want:-0}: $*"; }
}

lock=(--protect rotation --key one.key)
both init --like records.npy "${lock[@]}"
want=1 both init --like records.npy "${lock[@]}"
both init --set fast --like records.npy "${lock[@]}" --key-mode per-set --key-set 00112233445566778899aabbccddeeff --rows f16
both add --in records.npy --subjects records.txt --key one.key --batch 128
both add --set fast --in records.npy --subjects records.txt --key one.key
want=1 both add --in records.npy --subjects records.txt --key one.key
both add --in records.npy --subjects records.txt --key one.key --skip-known
want=1 both add --in more.npy --subjects more.txt --key two.key
both calibrate --in others.npy --people others.txt --fmr 0.01
both calibrate --set fast --in others.npy --people others.txt --fmr 0.01
both verify --in one.npy --subject "person 3" --key one.key --log
want=3 both verify --in one.npy --subject "person 4" --key one.key
want=1 both verify --in one.npy --subject "nobody'; DROP TABLE records; --" --key one.key
both identify --in one.npy --key one.key
both identify --set fast --in one.npy --key one.key --top 3
want=3 both identify --set fast --in probes.npy --key one.key --top 2
both list
both list --sets
both show --subject "person 3"
both stats
both remove --subject "person 5" --subject "person 17"
want=1 both remove --subject "person 6" --subject "person 5"
both check --repair
both check --key one.key
both renew --old-key one.key --new-key two.key --keep-both --batch 100
both verify --next --in one.npy --subject "person 3" --key two.key
both check
both renew --switch
both verify --in one.npy --subject "person 3" --key two.key
want=1 both verify --in one.npy --subject "person 3" --key one.key
both add --in more.npy --subjects more.txt --key two.key
both check --repair
both log
both remove --set fast --whole-set
both check --repair
both list --sets
# A set goes from the one to the other as it is.
for name in people.db "$url"; do
  quietly store export "$name" --out set.jsonl
  quietly store init again.db --set other --like records.npy --protect none
  quietly store import again.db --set came --in set.jsonl
  quietly store export again.db --set came --out again.jsonl
  # The description of a set names it nowhere, so that the files are the same.
  cmp set.jsonl again.jsonl || fail "a set of $name is not what it was"
  rm again.db
done
quietly store import "$url" --set came --in set.jsonl
quietly store remove "$url" --set came --whole-set
quietly store check "$url" --repair

# What was removed is in no file of the tables, and in the server's log alone.
row=$(bytes_of default "person 9")
sql CHECKPOINT >/dev/null
is_in_tables "$row" || fail "a record is not where it is looked for"
quietly store remove "$url" --subject "person 9"
told "1 removals" store check "$url"
quietly store check "$url" --repair
quietly store check "$url"
sql CHECKPOINT >/dev/null
! is_in_tables "$row" || fail "bytes of a removed record are in a file of the tables"

# Names that no program is told in this way, and places where there is nothing.
told "a password in the name" store list "postgresql://owner:secret@/people?host=$server"
told "a password in the name" store list "postgresql://owner@/people?host=$server&password=secret"
! grep -q secret log || fail "a password is repeated"
told "no connection" store list "postgresql://owner@/nothing?host=$server"
told "no connection" store list "postgresql://127.0.0.1:1/people"
told "invalid" store list "postgresql://owner@/people?wrong=1"
told "begins with postgresql://" store list "host=$server dbname=people user=owner password=secret"
told "pg_dump" store backup "$url" --out copy.db
sql "CREATE DATABASE empty" >/dev/null
told "begins with postgresql://" store list postgresql:people
told "begins with postgresql://" store list "POSTGRESQL://owner:secret@/people?host=$server"
! grep -q secret log || fail "a password is repeated"
told "has no store; advface-store init makes one" store list "postgresql://owner@/empty?host=$server"
told "version 99" bash -c "psql -q -h '$server' -U owner -d people -c 'UPDATE advface.store SET version = 99' && '$bin/advface-store' list '$url'"
sql "DELETE FROM advface.store"
told "has no row" store list "$url"
sql "INSERT INTO advface.store VALUES (4)"
sql "CREATE DATABASE latin ENCODING 'LATIN1' TEMPLATE template0 LOCALE 'C'" >/dev/null
told "UTF8" store init "postgresql://owner@/latin?host=$server" --like records.npy --protect none
sql "CREATE DATABASE others" >/dev/null
psql -q -h "$server" -U owner -d others -c 'CREATE SCHEMA advface; CREATE TABLE advface.store(name text)' >/dev/null
told "another program's" store list "postgresql://owner@/others?host=$server"
sql "ALTER DATABASE people SET default_transaction_read_only = on"
told "cannot be written" store remove "$url" --subject "person 1"
PGOPTIONS="-c default_transaction_read_only=off" sql "ALTER DATABASE people RESET default_transaction_read_only"

# Who waits for another writer is told after --wait.
psql -q -h "$server" -U owner -d people -c "BEGIN; SELECT pg_advisory_xact_lock(1097090643, 1); SELECT pg_sleep(3)" >/dev/null &
holder=$!
sleep 0.5
told "another program writes to it" store remove "$url" --subject "person 1" --wait 0.3
quietly store verify "$url" --in one.npy --subject "person 3" --key two.key
wait $holder

# Ctrl-C ends the wait, and nothing is written; a table that another program has locked is waited for as long.
psql -q -h "$server" -U owner -d people -c "BEGIN; SELECT pg_advisory_xact_lock(1097090643, 1); SELECT pg_sleep(4)" >/dev/null &
holder=$!
sleep 0.5
(trap - INT; exec "$bin/advface-store" remove "$url" --subject "person 1" >/dev/null 2>&1) &
waiting=$!
sleep 0.5
kill -INT $waiting
! wait $waiting || fail "a call that was interrupted while it waited ended well"
wait $holder
quietly store show "$url" --subject "person 1"
psql -q -h "$server" -U owner -d people -c "BEGIN; LOCK TABLE advface.features; SELECT pg_sleep(2)" >/dev/null &
holder=$!
sleep 0.5
told "is in the way" store verify "$url" --in one.npy --subject "person 3" --key two.key --wait 0.3
wait $holder
# What was acknowledged is on the disk, whatever the database's default is; examples of rows are kept nowhere.
sql "ALTER DATABASE people SET synchronous_commit = off"
store add "$url" --in one.npy --subjects one.txt --key two.key >/dev/null 2>&1 || fail "cannot add"
bash "$tests/postgres_server.sh" restart "$server"
quietly store show "$url" --subject somebody
quietly store remove "$url" --subject somebody
quietly store check "$url" --repair
sql "ALTER DATABASE people RESET synchronous_commit; ANALYZE advface.records; ANALYZE advface.features"
[[ -z $(sql "SELECT attname FROM pg_stats WHERE schemaname = 'advface' AND attname IN ('subject', 'photograph', 'feature', 'quality')") ]] ||
  fail "the server keeps examples of rows"

# Writers that are killed at any moment, two at a time; whoever says that it has added somebody has.
kills=${ADVF_POSTGRES_KILLS:-6}
for ((k = 0; k < kills; ++k)); do
  quietly store init "$url" --set killed --like records.npy --protect rotation --key one.key
  pids=()
  for part in records more; do
    (exec "$bin/advface-store" add "$url" --set killed --in $part.npy --subjects $part.txt --key one.key --batch 16 \
      >$part.said 2>&1) &
    pids+=($!)
  done
  sleep "0.0$((RANDOM % 9))$((RANDOM % 10))"
  if ((k % 3 == 2)); then
    sql "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'advface'" >/dev/null
  else
    kill -9 "${pids[$((k % 2))]}" 2>/dev/null || true
  fi
  for pid in "${pids[@]}"; do wait "$pid" || true; done
  ! grep -v "connection was lost\|no connection: .*terminating\|Killed\|100%\|^added\|taken for raw\|% " records.said more.said | grep . ||
    fail "another end of a writer that was killed or lost its connection"
  quietly store check "$url" --set killed --key one.key
  for part in records more; do
    ! grep -q "^added" $part.said || told "is in the set killed already" store add "$url" --set killed --in $part.npy \
      --subjects $part.txt --key one.key
    quietly store add "$url" --set killed --in $part.npy --subjects $part.txt --key one.key --skip-known
  done
  [[ $(store list "$url" --sets | grep -c "^killed.600 records") == 1 ]] || { store list "$url" --sets; fail "people are lost"; }
  quietly store check "$url" --key one.key --set killed
  quietly store remove "$url" --set killed --whole-set
  quietly store check "$url" --repair
done

# Several workers renew one set: each takes pieces that no other has, and what a killed one leaves the others do.
quietly store init "$url" --set shared --like records.npy --protect rotation --key one.key
quietly store add "$url" --set shared --in records.npy --subjects records.txt --key one.key
pids=()
for worker in 1 2 3; do
  (exec "$bin/advface-store" renew "$url" --set shared --old-key one.key --new-key two.key --keep-both --batch 5 --wait 60 \
    >worker$worker.said 2>&1) &
  pids+=($!)
done
sleep 0.15
kill -9 "${pids[1]}" 2>/dev/null || true
wait "${pids[1]}" || true
wait "${pids[0]}" || { cat worker1.said >&2; fail "a worker ended in an error"; }
wait "${pids[2]}" || { cat worker3.said >&2; fail "a worker ended in an error"; }
quietly store renew "$url" --set shared --switch
quietly store check "$url" --repair
quietly store check "$url" --set shared --key two.key
[[ $(store list "$url" --sets | grep -c "^shared.500 records") == 1 ]] || fail "a shared renewal lost people"

# Whoever comes second, makes no key, or finds nothing left to do has done nothing wrong.
for _ in 1 2 3; do
  pids=()
  for worker in 1 2 3; do
    (exec "$bin/advface-store" renew "$url" --set shared --old-key two.key --new-key made.key --batch 5 --wait 60 \
      >worker$worker.said 2>&1) &
    pids+=($!)
  done
  for worker in 1 2 3; do
    wait "${pids[worker - 1]}" || { cat worker*.said >&2; fail "a worker that came second ended in an error"; }
  done
  [[ $(cat worker*.said | grep -c "a new key") == 1 ]] || { cat worker*.said >&2; fail "not one key was made"; }
  quietly store check "$url" --repair
  quietly store check "$url" --set shared --key made.key
  rm two.key
  mv made.key two.key
done

# Roles: each does its own, and nothing else.
quietly psql -q -h "$server" -U owner -d people -f "$tests/../tools/store/postgres_roles.sql"
quietly psql -q -h "$server" -U owner -d people -f "$tests/../tools/store/postgres_roles.sql"
for role in verify enrol erase; do sql "CREATE USER u_$role IN ROLE advface_$role"; done
as() { echo "postgresql://u_$1@/people?host=$server"; }
shared=(--set shared --key two.key)
quietly store verify "$(as verify)" "${shared[@]}" --in one.npy --subject "person 3" --threshold 0.5
told "permission denied" store verify "$(as verify)" "${shared[@]}" --in one.npy --subject "person 3" --threshold 0.5 --log
quietly store identify "$(as verify)" "${shared[@]}" --in one.npy --threshold 0.5
quietly store check "$(as verify)"
quietly store add "$(as enrol)" "${shared[@]}" --in more.npy --subjects more.txt
quietly store remove "$(as erase)" --set shared --subject "person 11"
for role in verify erase; do
  told "permission denied" store add "$(as $role)" "${shared[@]}" --in one.npy --subjects one.txt
done
for role in verify enrol; do told "permission denied" store remove "$(as $role)" --set shared --subject "person 12"; done
told "permission denied" store verify "$(as erase)" "${shared[@]}" --in one.npy --subject "person 3" --threshold 0.5
for role in verify enrol erase; do
  told "permission denied" store init "$(as $role)" --set new --like records.npy --protect none
  told "permission denied" store remove "$(as $role)" --set shared --whole-set
  told "permission denied" sql "DELETE FROM advface.events" "u_$role"
  told "permission denied" sql "UPDATE advface.records SET salt = 1" "u_$role"
done
told "their owner alone" store check "$(as erase)" --repair
quietly store check "$url" --repair
quietly store check "$url" --set shared --key two.key

# A salt that was changed is no decision; a store of version 3 binds its records to their salts.
of_person="UPDATE advface.records SET salt = salt + SHIFT WHERE subject = 'person 3' AND set_id = \
(SELECT id FROM advface.sets WHERE name = 'shared' AND state = 'current')"
quietly sql "ALTER TABLE advface.records DROP COLUMN bound; UPDATE advface.store SET version = 3"
told "version 3" store verify "$url" "${shared[@]}" --in one.npy --subject "person 3" --threshold 0.5
quietly store check "$url" --repair
quietly store verify "$url" "${shared[@]}" --in one.npy --subject "person 3" --threshold 0.5
quietly sql "${of_person/SHIFT/1}"
told "the salt of record" store verify "$url" "${shared[@]}" --in one.npy --subject "person 3" --threshold 0.5
told "the salt of record" store identify "$url" "${shared[@]}" --in one.npy --threshold 0.5
told "Nothing was written" store renew "$url" --set shared --old-key two.key --new-key three.key
[[ ! -e three.key ]] || fail "a renewal that is refused made a key"
told "a salt was changed" store check "$url"
quietly sql "${of_person/SHIFT/-1}"
quietly store check "$url" --set shared --key two.key

# Rows as the database itself reads them are what is exported, to the bit.
quietly store init "$url" --set open --like records.npy --protect rotation --key one.key --key-mode per-set
quietly store add "$url" --set open --in records.npy --subjects records.txt --key one.key
quietly psql -q -h "$server" -U owner -d people -f "$tests/../tools/store/postgres_vectors.sql"
quietly store export "$url" --set open --out open.npy
sql "SELECT vector FROM advface.vectors WHERE set_name = 'open' ORDER BY number" u_verify >vectors.txt
python3 - <<'PY' || fail "real[] is not what was stored"
import struct
data = open("open.npy", "rb").read()
data = data[10 + struct.unpack("<H", data[8:10])[0]:]
lines = open("vectors.txt").read().split()
values = [float(v) for line in lines for v in line.strip("{}").split(",")]
assert len(lines) == 500 and struct.pack("<%df" % len(values), *values) == data
PY
quietly store remove "$url" --set open --whole-set

# The server itself is killed: what was told stays.
quietly store init "$url" --set later --like records.npy --protect rotation --key one.key
(exec "$bin/advface-store" add "$url" --set later --in records.npy --subjects records.txt --key one.key --batch 4 >records.said 2>&1) &
adder=$!
sleep 0.1
bash "$tests/postgres_server.sh" restart "$server"
wait $adder || grep -q "connection was lost\|no connection" records.said || { cat records.said >&2; fail "another end with a server that was killed"; }
quietly store check "$url" --repair
quietly store check "$url" --set later --key one.key
quietly store add "$url" --set later --in records.npy --subjects records.txt --key one.key --skip-known
quietly store check "$url" --set later --key one.key
echo "postgres_store: all well, $kills killings"
