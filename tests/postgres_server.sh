#!/bin/bash
# postgres_server.sh start DIR | stop DIR | restart DIR: a PostgreSQL server of its own in DIR, which it makes, reached
# by a socket there alone, as an ordinary user where root calls. Prints the name of a database of it, as programs take
# it. Ends with 77 where the server's programs are not on this machine.
set -euo pipefail
dir=$2
bin=$(dirname "$(ls /usr/lib/postgresql/*/bin/initdb 2>/dev/null | tail -n 1 || command -v initdb)")
[ -x "$bin/initdb" ] || { echo "SKIPPED: no PostgreSQL server on this machine (Debian: postgresql)"; exit 77; }
ordinary() {
  if [ "$(id -u)" = 0 ]; then runuser -u nobody -- "$@"; else "$@"; fi
}
case $1 in
  start)
    mkdir -p "$dir"
    [ "$(id -u)" != 0 ] || chown nobody "$dir"
    ordinary "$bin/initdb" -D "$dir/data" -U owner -E UTF8 --locale=C.UTF-8 -A trust -N >"$dir.log" 2>&1 || { cat "$dir.log" >&2; exit 1; }
    # One process can do without fsync(): what is killed here are clients and server, never the machine.
    ordinary "$bin/pg_ctl" -D "$dir/data" -w -l "$dir/data/log" \
      -o "-c listen_addresses='' -c unix_socket_directories='$dir' -c fsync=off -c max_wal_size=256MB" start >>"$dir.log" 2>&1 ||
      { cat "$dir.log" "$dir/data/log" >&2; exit 1; }
    ordinary "$bin/createdb" -h "$dir" -U owner people
    echo "postgresql://owner@/people?host=$dir"
    ;;
  restart)
    ordinary "$bin/pg_ctl" -D "$dir/data" -w -m immediate -l "$dir/data/log" restart >>"$dir.log" 2>&1
    ;;
  stop)
    ordinary "$bin/pg_ctl" -D "$dir/data" -w -m immediate stop >>"$dir.log" 2>&1 || true
    rm -rf "$dir" "$dir.log"
    ;;
esac
