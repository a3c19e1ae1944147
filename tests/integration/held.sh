#!/usr/bin/env bash
# Rows that cannot stand are held with the reason, the same at every office, stop nothing else, and come in
# by themselves when nothing is in their way any more.
LEAKS=1
. "$(dirname "$0")/lib.sh"

SCHEMA="$SCHEMA CREATE TABLE permit(id TEXT PRIMARY KEY NOT NULL, opens INTEGER, closes INTEGER, CHECK(opens <= closes)) WITHOUT ROWID;"
CHARTER="$CHARTER  - name: permit
"
TABLES="$TABLES permit"
make_hub "INSERT INTO household VALUES('h1', 'B-1', 'v'); INSERT INTO permit VALUES('p1', 1, 9)"
start hub
add_office province 12 hub
add_office district 1201 province
settle hub province district

cut_power province
app hub "INSERT INTO household VALUES('hub-h', 'B-7', 'hub');         -- the same book number
  INSERT INTO resident(id, name) VALUES('both', 'born at the hub');   -- the same key
  DELETE FROM household WHERE id = 'h1';                              -- the parent of a new resident
  UPDATE permit SET opens = 8 WHERE id = 'p1'"
settle hub
app district "INSERT INTO household VALUES('district-h', 'B-7', 'district');
  INSERT INTO resident(id, name) VALUES('both', 'born at the district');
  INSERT INTO resident(id, name, household_id) VALUES('child', 'c', 'h1');
  UPDATE permit SET closes = 3 WHERE id = 'p1';
  INSERT INTO note VALUES('1201', 1, 'a good row beside bad ones')"
start province
wait_for province connected
wait_for district connected
settle district province hub province district
all_equal hub province district
same "$(app hub "SELECT text FROM note")" "a good row beside bad ones"
same "$(app hub "SELECT id FROM household WHERE book_no = 'B-7'")" hub-h "the earlier claim stands"
same "$(app hub "SELECT name FROM resident WHERE id = 'both'")" "born at the hub" "the first birth stands"

held_kinds() {
    sqlite3 :memory: "SELECT group_concat(k, ' ') FROM (SELECT json_extract(value, '$.table') || ':' ||
      json_extract(value, '$.kind') AS k FROM json_each(CAST(readfile('$ROOT/out') AS TEXT), '$.held') ORDER BY 1)"
}
for office in hub province district; do
    expect 0 t "$office" held list --json
    same "$(json '$.schema')" 1
    same "$(held_kinds)" "household:unique resident:birth resident:parent" "held at $office"
    for field in id table key reason since office; do
        [ "$(json_type "$.held[0].$field")" = text ] || fail "held[].$field is $(json_type "$.held[0].$field")"
    done
    expect 4 t "$office" status --json
    same "$(json '$.held')" 3
    # One CHECK names both columns, so they are one cell: one office's pair stands, never a mixture.
    same "$(app "$office" "SELECT opens || '-' || closes FROM permit")" 1-3 "the later pair, whole, at $office"
done
expect 0 t hub held list --json
id=$(sqlite3 :memory: "SELECT json_extract(value, '$.id') FROM json_each(CAST(readfile('$ROOT/out') AS TEXT), '$.held')
  WHERE json_extract(value, '$.kind') = 'unique'")
blocker=$(sqlite3 :memory: "SELECT json_extract(value, '$.blocked_by') FROM json_each(CAST(readfile('$ROOT/out') AS TEXT), '$.held')
  WHERE json_extract(value, '$.kind') = 'unique'")
same "$blocker" hub-h "what is in the way"
expect 0 t hub held show "$id" --json
same "$(json '$.held.values.village')" district "a held row keeps its values"
expect 1 t hub held show 0123456789abcdef
expect 0 t hub held retry --all --json
same "$(json '$.released')" 0 "nothing changed, so nothing comes in"
expect 2 t hub held retry

# what was in the way goes: the held rows come in everywhere
app hub "UPDATE household SET book_no = 'B-8' WHERE id = 'hub-h'; INSERT INTO household VALUES('h1', 'B-1', 'again')"
settle hub province district
app district "UPDATE note SET text = 'still works'"
settle district province hub province district
all_equal hub province district
same "$(app hub "SELECT village FROM household WHERE id = 'district-h'")" district
same "$(app district "SELECT name FROM resident WHERE id = 'child'")" c

# a household entered twice, with residents at both: one is merged into the other, and nobody stays behind
held() { # TABLE KEY: the id of what is held here
    sqlite3 "$ROOT/hub/app.db" "SELECT id FROM tonle_held WHERE table_name = '$1' AND key = '\"$2\"'"
}
cut_power province
app hub "INSERT INTO household VALUES('m1', 'B-9', 'hub'), ('d1', 'B-10', 'hub')"
settle hub
app district "INSERT INTO household VALUES('m2', 'B-9', 'district'), ('d2', 'B-10', 'district');
  INSERT INTO resident(id, name, household_id) VALUES('r1', 'r', 'm2'), ('r2', 'r', 'm2'), ('r3', 'r', 'd2')"
start province
wait_for province connected
wait_for district connected
settle district province hub province district
same "$(app hub "SELECT count(*) FROM tonle_held")" 6
expect 1 t hub held drop "$(held household m2)" --reason "entered twice"
says "2 of resident"
says "--leave-children"
expect 0 t hub held merge "$(held household m2)" --reason "entered twice" --json
same "$(json '$.children')" "2 of resident"
settle hub province district
expect 0 t hub held drop "$(held household d2)" --reason "a test" --leave-children
grep -qF "rows that refer to it: 1 of resident" "$ROOT/out" || fail "not told who is left: $(cat "$ROOT/out")"
settle hub province district
all_equal hub province district
for office in hub province district; do
    same "$(app "$office" "SELECT group_concat(id || household_id, ' ') FROM resident WHERE id GLOB 'r?'")" "r1m1 r2m1" "$office"
    same "$(app "$office" "SELECT group_concat(table_name || key || reason) FROM tonle_held WHERE reason <> 'birth'")" 'resident"r3"parent' "$office"
done
expect 0 t hub held set "$(held resident r3)" household_id=d1
settle hub province district
all_equal hub province district
same "$(app district "SELECT household_id FROM resident WHERE id = 'r3'")" d1
