#!/usr/bin/env bash
# What escapes capture (an application that switches triggers off) is found: digests differ from the
# parent's, the scan publishes what is small, and deletions wait for a word.
. "$(dirname "$0")/lib.sh"

make_hub
start hub
add_office province 12 hub
settle hub province
app province "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2500)
  INSERT INTO note SELECT '12', i, 'province ' || i FROM n; INSERT INTO household VALUES('h1', 'B-1', 'v')"
settle province hub
expect 0 t province verify --json
same "$(json '$.schema')" 1
same "$(json '$.equal')" 1
expect 0 t province verify
expect 0 t hub verify --json
same "$(json_type '$.equal')" null "the hub has nothing to compare with"
expect 2 t province verify --accept
expect 2 t province verify --local --accept --take-parent

# by an application whose triggers are off: nothing is captured, the parent learns nothing
secretly() { sqlite3 -bail -cmd '.timeout 10000' -cmd '.dbconfig enable_trigger off' "$ROOT/province/app.db" "$1" >/dev/null; }
secretly "UPDATE note SET text = 'secret' WHERE no = 1234; INSERT INTO note VALUES('12', 9999, 'secret')"
expect 7 t province verify --json
same "$(json '$.equal')" 0
expect 0 t province verify --local --json
same "$(json '$.changed') $(json '$.new') $(json '$.deleted') $(json '$.settled')" "1 1 0 2"
settle province hub
same "$(app hub "SELECT count(*) FROM note WHERE text = 'secret'")" 2
expect 0 t province verify
all_equal hub province

secretly "DELETE FROM note WHERE no <= 3"
expect 7 t province verify
expect 7 t province verify --local --json
says "--accept"
same "$(json '$.deleted') $(json '$.waiting')" "3 3"
same "$(app hub "SELECT count(*) FROM note WHERE no <= 3")" 3 "deletions wait"
expect 0 t province verify --local --take-parent
same "$(app province "SELECT count(*) FROM note WHERE no <= 3")" 3 "and the parent's rows can be taken back"
expect 0 t province verify
secretly "DELETE FROM note WHERE no <= 3"
expect 0 t province verify --local --accept
settle province hub
same "$(app hub "SELECT count(*) FROM note WHERE no <= 3")" 0 "or accepted"
expect 0 t province verify
all_equal hub province

# more rows than anybody changes by accident wait too
secretly "UPDATE note SET text = 'mass' WHERE no > 1000"
expect 7 t province verify --local
same "$(app hub "SELECT count(*) FROM note WHERE text = 'mass'")" 0
expect 0 t province verify --local --take-parent
expect 0 t province verify
all_equal hub province

# a table made anew by the application loses its triggers for a moment: what is written then is found by itself
app province "BEGIN; CREATE TABLE note_new(unit TEXT NOT NULL, no INTEGER NOT NULL, text TEXT, PRIMARY KEY(unit, no))
  WITHOUT ROWID; INSERT INTO note_new SELECT * FROM note; DROP TABLE note; ALTER TABLE note_new RENAME TO note;
  INSERT INTO note VALUES('12', 7777, 'in between'); COMMIT"
for i in $(seq 100); do
    [ "$(app hub "SELECT count(*) FROM note WHERE no = 7777")" = 0 ] || break
    t province status --wait synced --timeout 1 >/dev/null 2>&1
done
same "$(app hub "SELECT count(*) FROM note WHERE no = 7777")" 1 "a row written while the table had no triggers"

stop hub
for i in $(seq 50); do t province status --json --wait connected --timeout 0 >/dev/null 2>&1 || break; done
expect 5 t province verify
