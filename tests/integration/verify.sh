#!/usr/bin/env bash
# What differs from the parent is found and shown; it is published where this office's capture is known to have
# been away and the parent's was not, and waits for a person everywhere else.
LEAKS=1
HEARTBEAT_MS=1000 # a thousand rows are settled in one step: under the sanitizers longer than three of 300 ms
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
expect 2 t province verify --repair
says "--take parent"
expect 2 t province verify --repair --take both
expect 2 t province verify --take here
expect 2 t province verify note
expect 2 t province verify --office hub
expect 0 t hub verify --local --office province
expect 1 t hub verify --local --office nobody

# What differs for a reason that nobody knows (triggers off, a flipped bit) is nobody's write: it waits.
secretly() { sqlite3 -bail -cmd '.timeout 10000' -cmd '.dbconfig enable_trigger off' "$ROOT/$1/app.db" "$2" >/dev/null; }
rows() { app "$1" "SELECT count(*) FROM note WHERE $2"; }
secretly province "UPDATE note SET text = 'secret' WHERE no = 1234; INSERT INTO note VALUES('12', 9999, 'secret')"
expect 7 t province verify --json
same "$(json '$.equal')" 0
expect 7 t province verify --local --json
same "$(json '$.changed') $(json '$.new') $(json '$.deleted') $(json '$.settled')" "1 1 0 0"
same "$(json '$.rows[0].here.text') $(json '$.rows[0].there.text')" "secret province 1234"
same "$(json '$.rows[1].key[1]') $(json '$.rows[1].kind') $(json_type '$.rows[1].there')" "9999 new null"
expect 7 t province verify --local
grep -q 'there text = "province 1234"' "$ROOT/out" || fail "both values are not shown: $(cat "$ROOT/out")"
says "--take here"
kill -KILL "${PID[province]}"
wait "${PID[province]}" 2>/dev/null
start province
expect 0 t province status --wait connected --timeout 20
expect 4 t province status --json # it is up, and it is not green
same "$(json '$.synced') $(json '$.gaps[0].state') $(json '$.gaps[0].new')" "0 differs 1"
same "$(rows hub "text = 'secret'")" 0 "a power cut publishes nothing"
expect 7 t province verify --repair --take here note '["12",1234]' # row by row
app province "CREATE TRIGGER stays BEFORE DELETE ON note WHEN old.no = 9999 BEGIN SELECT RAISE(ABORT, 'not this'); END"
expect 7 t province verify --repair --take parent note '["12",9999]'
grep -q 'stays as it is: .*not this' "$ROOT/out" || fail "nobody says why the row stays: $(cat "$ROOT/out")"
app province "DROP TRIGGER stays"
expect 0 t province verify --repair --take parent note '["12",9999]'
same "$(rows province "no = 9999")" 0
settle province hub
same "$(rows hub "text = 'secret'")" 1
expect 0 t province verify
all_equal hub province

# deletions, and all at once
secretly province "DELETE FROM note WHERE no <= 3"
expect 7 t province verify
expect 7 t province verify --local --json
same "$(json '$.deleted') $(json '$.waiting')" "3 3"
same "$(rows hub "no <= 3")" 3 "deletions wait"
expect 0 t province verify --repair --take parent
same "$(rows province "no <= 3")" 3 "and the parent's rows can be taken back"
expect 0 t province verify
secretly province "DELETE FROM note WHERE no <= 3"
expect 0 t province verify --local --accept
settle province hub
same "$(rows hub "no <= 3")" 0 "or published"
expect 0 t province verify
all_equal hub province

# A table made anew by the application loses its triggers: capture is known to have been away, so what is other
# here was written here; more than 100 rows wait.
rebuild() { # OFFICE CHANGES
    app "$1" "BEGIN; CREATE TABLE note_new(unit TEXT NOT NULL, no INTEGER NOT NULL, text TEXT, PRIMARY KEY(unit, no))
      WITHOUT ROWID; INSERT INTO note_new SELECT * FROM note; DROP TABLE note; ALTER TABLE note_new RENAME TO note; $2; COMMIT"
}
seen() { # OFFICE WHERE COUNT
    for i in $(seq 100); do
        [ "$(rows "$1" "$2")" != "$3" ] || return 0
        sleep 0.1
    done
    fail "$1 has $(rows "$1" "$2") rows where $2, not $3"
}
rebuild province "INSERT INTO note VALUES('12', 7777, 'in between')"
seen hub "no = 7777" 1
stop province
rebuild province "UPDATE note SET text = 'while off' WHERE no BETWEEN 11 AND 110"
start province
seen hub "text = 'while off'" 100
settle province hub
rebuild hub "UPDATE note SET text = 'at the hub' WHERE no BETWEEN 201 AND 250"
seen province "text = 'at the hub'" 50
settle province hub
kill -KILL "${PID[province]}"
wait "${PID[province]}" 2>/dev/null
start province
settle province hub
same "$(rows hub "text = 'at the hub'")" 50 "a power cut below undoes nothing"
rebuild province "UPDATE note SET text = 'mass' WHERE no > 1000"
for i in $(seq 100); do
    t province status --json >"$ROOT/out" 2>/dev/null
    [ "$(json '$.gaps[0].state')" != differs ] || break
    sleep 0.1
done
same "$(json '$.synced') $(json '$.gaps[0].state')" "0 differs"
same "$(rows hub "text = 'mass'")" 0 "more rows than anybody changes by accident wait"
expect 0 t province verify --repair --take parent
expect 0 t province verify
all_equal hub province

stop hub
for i in $(seq 50); do t province status --json --wait connected --timeout 0 >/dev/null 2>&1 || break; done
expect 5 t province verify
