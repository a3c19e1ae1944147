#!/usr/bin/env bash
# A burst of rows written in one transaction at one office: how long until another office has them all, through
# the hub, with real processes; beside the time that plain sqlite3 takes for the same INSERT without Tonle.
# usage: tests/bench/relay.sh [ROWS] [wal|delete]
set -euo pipefail
cd "$(dirname "$0")/../.."
rows=${1:-50000} mode=${2:-wal}
[ -d build-bench ] || meson setup build-bench --buildtype=release >/dev/null
ninja -C build-bench node/cli/tonle >/dev/null
tonle=$PWD/build-bench/node/cli/tonle
dir=$(mktemp -d "${TMPDIR:-/tmp}/tonle-bench.XXXXXX")
pids=
finish() {
    for p in $pids; do kill -TERM "$p" 2>/dev/null || true; done
    wait
    rm -rf "$dir"
}
trap finish EXIT
schema='CREATE TABLE person(id TEXT PRIMARY KEY NOT NULL, household TEXT, ident TEXT UNIQUE, family TEXT, given TEXT, sex TEXT, born TEXT, phone TEXT) WITHOUT ROWID;'
insert="WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<$rows)
 INSERT INTO person SELECT printf('%08x', i*2654435761 % 4294967296), 'h'||(i/5), printf('%09d', i), 'Sok', 'Dara', 'F', '1990-01-01', printf('012 %06d', i) FROM n;"
now() { date +%s%N; }
sqlite3 "$dir/plain.db" "PRAGMA journal_mode=$mode; $schema" >/dev/null
t=$(now)
sqlite3 "$dir/plain.db" "$insert"
plain=$((($(now) - t) / 1000000))
sqlite3 "$dir/hub.db" "PRAGMA journal_mode=$mode; $schema" >/dev/null
printf 'federation: bench\nschema_version: 1\ntables:\n  - name: person\n' >"$dir/charter.yaml"
"$tonle" hub init --dir "$dir/hub" --db "$dir/hub.db" --charter "$dir/charter.yaml" --listen tcp://127.0.0.1:0 >/dev/null 2>&1
"$tonle" run --dir "$dir/hub" 2>"$dir/hub.log" &
pids="$pids $!"
"$tonle" status --dir "$dir/hub" --wait connected --timeout 20 >/dev/null
for o in a b; do
    sqlite3 "$dir/$o.db" "PRAGMA journal_mode=$mode" >/dev/null
    "$tonle" node add --dir "$dir/hub" --unit 12 --name $o 2>/dev/null | "$tonle" join --dir "$dir/$o" --db "$dir/$o.db" 2>/dev/null >&2
    "$tonle" run --dir "$dir/$o" 2>"$dir/$o.log" &
    pids="$pids $!"
    "$tonle" status --dir "$dir/$o" --wait synced --timeout 20 >/dev/null
done
t=$(now)
sqlite3 -cmd '.timeout 10000' "$dir/a.db" "$insert"
written=$((($(now) - t) / 1000000))
while [ "$(sqlite3 -readonly -cmd '.timeout 10000' "$dir/b.db" 'SELECT count(*) FROM person')" -lt "$rows" ]; do
    [ $((($(now) - t) / 1000000000)) -lt 300 ] || exit 1
done
done_ms=$((($(now) - t) / 1000000))
echo "$rows rows, journal_mode=$mode: plain sqlite3 $plain ms; with capture $written ms; at the other office, through the hub, after $done_ms ms ($((rows * 1000 / done_ms)) rows/s)"
for p in $pids; do
    echo "node $p: peak $(awk '/VmHWM/ {print int($2 / 1024)}' "/proc/$p/status") MiB, now $(awk '/VmRSS/ {print int($2 / 1024)}' "/proc/$p/status") MiB"
done
