#!/bin/sh
# How long the lists of the review desk take: `conflict list` and `held list` of COUNT entries, as text and as
# JSON, whole processes, the best of five. The entries are made by SQL, in a hub of its own.
# usage: tests/bench/lists.sh [COUNT]
set -eu
cd "$(dirname "$0")/../.."
count=${1:-100000}
[ -d build-bench ] || meson setup build-bench --buildtype=release >/dev/null
ninja -C build-bench node/cli/tonle >/dev/null
tonle=$PWD/build-bench/node/cli/tonle
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cat >"$dir/charter.yaml" <<'Y'
federation: lists
schema_version: 1
tables:
  - { name: person, policy: max }
Y
sqlite3 "$dir/app.db" "PRAGMA journal_mode=wal; CREATE TABLE person(id TEXT PRIMARY KEY NOT NULL, phone TEXT) WITHOUT ROWID" >/dev/null
"$tonle" hub init --dir "$dir/node" --db "$dir/app.db" --charter "$dir/charter.yaml" --listen tcp://127.0.0.1:0 >/dev/null 2>&1
t=$(sqlite3 "$dir/app.db" "SELECT t FROM tonle_table WHERE name = 'person'")
sqlite3 "$dir/app.db" "
WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < $count)
INSERT INTO tonle_conflict(id, table_name, key, cell, policy, state, opened_ms, t, k, bsite, bseq)
SELECT printf('%08x%024x', i * 2654435761 % 4294967296, i), 'person', '\"p' || i || '\"', 'phone', 'max', 'open', 1700000000000 + i % 1000, $t,
  CAST('p' || i AS BLOB), 0, 0 FROM c;
INSERT INTO tonle_side(n, site, seq, hlc, office, unit, value, shown)
SELECT n, s, n, opened_ms << 16, 'office' || s, '120' || s, 'phone number ' || s, s = 1
FROM tonle_conflict, (SELECT 1 AS s UNION SELECT 2);
WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < $count)
INSERT INTO tonle_held(id, table_name, key, reason, message, office, since_ms, blocked_by, t, k, site, seq, bt, bk)
SELECT printf('%016x', i * 7919), 'person', '\"h' || i || '\"', 'unique', 'an earlier row of person has the same unique value',
  'office1', 1700000000000 + i % 1000, '\"p' || i || '\"', $t, CAST('h' || i AS BLOB), 1, i, $t, CAST('p' || i AS BLOB) FROM c;"
for command in "conflict list" "conflict list --json" "conflict list --open --limit 50" "held list" "held list --json"; do
    best=999999
    for _ in 1 2 3 4 5; do
        begin=$(date +%s%N)
        # shellcheck disable=SC2086
        "$tonle" $command --dir "$dir/node" >"$dir/out"
        ms=$((($(date +%s%N) - begin) / 1000000))
        [ "$ms" -ge "$best" ] || best=$ms
    done
    printf '%-34s of %d %6d ms %10d bytes\n' "$command" "$count" "$best" "$(wc -c <"$dir/out")"
done
