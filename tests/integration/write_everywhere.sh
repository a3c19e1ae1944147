#!/usr/bin/env bash
# A write at any office appears at every other one, with its exact values; an application's own triggers run on
# what arrives; a clean stop leaves only regular files.
. "$(dirname "$0")/lib.sh"

make_hub "INSERT INTO household VALUES('h0', 'B-0', 'before'); INSERT INTO only_here VALUES(1);
  CREATE TABLE seen(id);
  CREATE TRIGGER household_seen AFTER INSERT ON household BEGIN INSERT INTO seen VALUES(new.id); END;
  CREATE TRIGGER household_note AFTER INSERT ON household BEGIN INSERT INTO note VALUES('by trigger', length(new.id), new.id); END;"
start hub
wait_for hub connected
add_office province 12 hub
add_office district 1201 province
settle hub province district
add_office commune 120104 district # enrolled through two relays
settle hub province district commune
same "$(app district "SELECT village FROM household")" before "what the hub had is the first state"
same "$(app district "SELECT count(*) FROM sqlite_schema WHERE name = 'only_here'")" 0 "a table that is not named stays local"

app hub "INSERT INTO household VALUES('h1', 'B-1', 'hub'); INSERT INTO note VALUES('', 1, 'at the hub');"
app province "INSERT INTO household VALUES('h2', 'B-2', 'province')"
app district "BEGIN;
  INSERT INTO household VALUES('h3', 'B-3', 'ភូមិ');
  INSERT INTO resident VALUES('r1', 'សុខា', '012', x'00FF', 3.5, 7, 'h3');
  INSERT INTO resident VALUES('r2', 'a' || char(0) || 'b', NULL, zeroblob(3), 1e300, -9223372036854775808 + 9223372036854775807 + 1, NULL);
  COMMIT"
settle district province hub province district
wait_for commune synced
all_equal hub province district commune
same "$(app hub "SELECT count(*) FROM household")" 4
same "$(app hub "SELECT group_concat(id) FROM (SELECT id FROM seen ORDER BY id)")" h1,h2,h3 "a trigger that writes local tables"
same "$(app hub "SELECT group_concat(text) FROM note WHERE unit = 'by trigger'")" h1 "a trigger that writes replicated tables"
app hub "DELETE FROM note WHERE unit = 'by trigger'; DROP TRIGGER household_note"

# change, delete, change of key, INSERT OR REPLACE
app hub "UPDATE resident SET name = 'Sokha' WHERE id = 'r1'; DELETE FROM household WHERE id = 'h2';
  UPDATE note SET no = 2 WHERE no = 1"
settle hub province district
app province "INSERT OR REPLACE INTO household VALUES('h1', 'B-1', 'changed')"
app commune "INSERT INTO note VALUES('120104', 1, 'from below')"
settle commune district province hub province district commune
all_equal hub province district commune
same "$(app district "SELECT name FROM resident WHERE id = 'r1'")" Sokha
same "$(app district "SELECT count(*) FROM household WHERE id = 'h2'")" 0
same "$(app district "SELECT village FROM household WHERE id = 'h1'")" changed
same "$(app district "SELECT no FROM note WHERE unit = ''")" 2

for office in hub province district commune; do
    wait_for "$office" synced # the answer to a mark may be on its way at any moment
    same "$(json '$.synced' "$ROOT/$office.status")" 1 "synced of $office"
    same "$(json '$.conflicts_open' "$ROOT/$office.status")" 0
done
for office in province district commune; do expect 0 t "$office" verify --json; done

for office in commune district province hub; do
    stop "$office"
    same "$(find "$ROOT/$office/node" -mindepth 1 ! -type f)" "" "what a clean stop leaves"
    expect 3 t "$office" status
    same "$(app "$office" "PRAGMA journal_mode")" wal "the journal mode stays"
done

# with a rollback journal nothing is left beside the database either
for office in hub province; do app "$office" "PRAGMA journal_mode=delete" >/dev/null; start "$office"; done
wait_for province synced
app hub "PRAGMA journal_mode=wal" >/dev/null # while the node runs
app province "INSERT INTO note VALUES('12', 9, 'rollback journal')"
settle province hub
for office in province hub; do
    stop "$office"
    same "$(find "$ROOT/$office" -maxdepth 1 -name 'app.db-*')" "" "what a clean stop leaves beside the database"
done
same "$(app hub "PRAGMA journal_mode") $(app province "PRAGMA journal_mode")" "wal delete" "the journal modes stay"
