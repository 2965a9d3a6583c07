#!/bin/bash
# For tests of stores in a database, which source it behind script_test.sh: postgres_test.sh BIN. They get a server of their
# own (server, url), programs (bin, store), SQL, people, two keys, and a look into the server's files. Skipped where there
# is no server, or the build knows none (ADVF_POSTGRES).
tests=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
bin=$(cd "$1" && pwd)
"$bin/advface-store" list postgresql:///x?host=/nowhere >/dev/null 2>log.$$ || true
said=$(cat log.$$; rm -f log.$$)
[[ $said != *"knows no PostgreSQL"* ]] || { echo "SKIPPED: built without ADVF_POSTGRES"; exit 0; }
[[ $said == *"no connection"* ]] || fail "a server that is not there: $said"
work=$(mktemp -d)
chmod 755 "$work"
server=$work/server
url=$(bash "$tests/postgres_server.sh" start "$server") || {
  code=$?
  rm -rf "$work"
  [[ $code == 77 ]] || fail "the server does not start"
  echo "$url"
  exit 0
}
trap 'bash "$tests/postgres_server.sh" stop "$server"; rm -rf "$work"' EXIT
cd "$work" || exit
store() { "$bin/advface-store" "$@"; }
sql() { psql -qtA -v ON_ERROR_STOP=1 -h "$server" -U "${2:-owner}" -d people -c "$1"; }

# Features of 600 people in records.npy, and of the same people on another day, two each, in probes.npy.
python3 - <<'PY'
import random, struct
draw = random.Random(5)
def unit(v):
    length = sum(x * x for x in v) ** 0.5
    return [x / length for x in v]
def save(path, rows):
    head = str({"descr": "<f4", "fortran_order": False, "shape": (len(rows), len(rows[0]))}).encode()
    head += b" " * (63 - (10 + len(head)) % 64) + b"\n"
    with open(path, "wb") as file:
        file.write(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head)
        for row in rows: file.write(struct.pack("<%df" % len(row), *row))
people = [unit([draw.gauss(0, 1) for _ in range(48)]) for _ in range(600)]
near = lambda v: unit([x + draw.gauss(0, 0.06) for x in v])
save("records.npy", people[:500])
save("probes.npy", [near(v) for v in people for _ in range(2)])
save("others.npy", [near(v) for v in people[500:] for _ in range(4)])
save("one.npy", [near(people[3])])
save("more.npy", people[500:])
open("records.txt", "w").write("".join("person %d\n" % i for i in range(500)))
open("more.txt", "w").write("".join("person %d\n" % i for i in range(500, 600)))
open("one.txt", "w").write("somebody\n")
open("others.txt", "w").write("".join("other %d\n" % (i // 4) for i in range(400)))
PY
quietly "$bin/advface-key" new one.key
quietly "$bin/advface-key" new two.key

# bytes_of SET NAME: some of its row. is_in_tables BYTES: in any file of the tables.
bytes_of() { store export "$url" --set "$1" --out row.jsonl >/dev/null 2>&1 && python3 - "$2" <<'PY'
import json, struct, sys
for line in open("row.jsonl"):
    r = json.loads(line)
    if r.get("subject") == sys.argv[1]: print(struct.pack("<8f", *r["feature"][:8]).hex())
PY
}
is_in_tables() { python3 - "$1" "$server/data/base" <<'PY'
import os, sys
wanted = bytes.fromhex(sys.argv[1])
found = any(wanted in open(os.path.join(at, name), "rb").read() for at, _, files in os.walk(sys.argv[2]) for name in files)
sys.exit(0 if found else 1)
PY
}
