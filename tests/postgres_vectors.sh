#!/bin/bash
# postgres_vectors.sh BIN: people in a database are found by an index of pgvector, also those whom roles add later; removed
# rows are in no file of it, and it goes with its set. Skipped where there is no server, or it has no pgvector.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/script_test.sh"
# shellcheck source=tests/postgres_test.sh
source "$(dirname "${BASH_SOURCE[0]}")/postgres_test.sh" "$1"
if ! sql "CREATE EXTENSION vector" >log 2>&1; then
  grep -q "is not available\|could not open extension control file" log || { cat log >&2; fail "the extension cannot be made"; }
  echo "SKIPPED: no pgvector in this server"
  exit 0
fi
vectors() { quietly psql -q -h "$server" -U owner -d people -f "$tests/../tools/store/postgres_vectors.sql"; }
quietly store init "$url" --set open --like records.npy --protect rotation --key one.key --key-mode per-set
quietly store add "$url" --set open --in records.npy --subjects records.txt --key one.key
quietly psql -q -h "$server" -U owner -d people -f "$tests/../tools/store/postgres_roles.sql"
sql "CREATE USER u_enrol IN ROLE advface_enrol"
vectors
quietly store add "postgresql://u_enrol@/people?host=$server" --set open --in more.npy --subjects more.txt --key one.key
id=$(sql "SELECT id FROM advface.sets WHERE name = 'open'")
# Of a set as small as this one the planner would rather sort.
for person in 3 123 555; do
  probe=$(sql "SELECT vector::vector(48) FROM advface.vectors WHERE set_name = 'open' AND subject = 'person $person'")
  query="SELECT id & ((1::bigint << 40) - 1) FROM advface.features WHERE id >= $id::bigint << 40 AND id < ($id + 1)::bigint << 40
    ORDER BY (advface.reals(feature)::vector(48)) <#> '$probe'::vector(48) LIMIT 5"
  [[ $(sql "SET enable_seqscan = off; SET enable_sort = off; EXPLAIN $query") == *"vectors_of_set_$id"* ]] || fail "a query does not use the index"
  [[ $(sql "SET enable_seqscan = off; SET enable_sort = off; $query" | head -n 1) == "$person" ]] || fail "the index does not find person $person"
done
row=$(bytes_of open "person 9")
sql CHECKPOINT >/dev/null
is_in_tables "$row" || fail "a record is not where it is looked for"
quietly store remove "$url" --set open --subject "person 9"
quietly store check "$url" --repair
sql CHECKPOINT >/dev/null
! is_in_tables "$row" || fail "bytes of a removed record are in the index"
quietly store remove "$url" --set open --whole-set
vectors
[[ -z $(sql "SELECT indexname FROM pg_indexes WHERE indexname LIKE 'vectors_of_set_%'") ]] || fail "the index of a removed set is left"
echo "postgres_vectors: all well"
