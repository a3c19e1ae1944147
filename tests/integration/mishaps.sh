#!/usr/bin/env bash
# An operator's mishaps: the database is moved while the node runs, is another node's, is locked, is a copy that
# others could read. Each is said in words that help, and nothing is lost or spread.
LEAKS=1
. "$(dirname "$0")/lib.sh"

make_hub
start hub
add_office province 12 hub
app province "INSERT INTO note VALUES('12', 1, 'first')"
settle province hub

# --- another file in the database's place, while the node runs
mv "$ROOT/province/app.db" "$ROOT/province/moved.db"
cp "$ROOT/province/moved.db" "$ROOT/province/app.db"
wait "${PID[province]}"
same "$?" 1 "the node ends"
unset "PID[province]"
grep -q "was moved, removed or replaced" "$ROOT/province/log" || fail "no word about the file"
mv "$ROOT/province/moved.db" "$ROOT/province/app.db" # its -wal file has stayed where it was
start province
settle province hub

# --- a table dropped: never a mass delete, and said; made again, its rows come back
app province "DROP TABLE note"
app hub "INSERT INTO note VALUES('', 9, 'from the hub')"
deadline=$((SECONDS + WAIT))
until t province status --json >"$ROOT/out" 2>/dev/null; grep -q "table note is not in this database any more" "$ROOT/out"; do
    [ $SECONDS -lt $deadline ] || fail "the dropped table is not named: $(cat "$ROOT/out")"
done
same "$(json '$.synced') $(json '$.gaps[0].table') $(json '$.gaps[0].state')" "0 note capture-gap"
same "$(app hub "SELECT count(*) FROM note")" 2
app province "CREATE TABLE note(unit TEXT NOT NULL, no INTEGER NOT NULL, text TEXT, PRIMARY KEY(unit, no)) WITHOUT ROWID"
t province verify --repair --take parent note >"$ROOT/out" 2>&1
same "$(app province "SELECT count(*) FROM note")" 2
expect 0 t province verify
all_equal hub province

# --- an office that is away is named at the hub, with what to do
stop province
deadline=$((SECONDS + WAIT))
until t hub status --json >"$ROOT/out" 2>/dev/null; [ "$(json '$.reasons[0].subject')" = province ]; do
    [ $SECONDS -lt $deadline ] || fail "the hub does not say that province is away: $(cat "$ROOT/out")"
done
says_out() { grep -qF -- "$1" "$ROOT/out" || fail "no word of \"$1\" in: $(cat "$ROOT/out")"; }
says_out "that its node runs"

# --- the hub's database under the province's keys
for ending in "" -wal -shm; do rm -f "$ROOT/province/app.db$ending"; done
sqlite3 "$ROOT/hub/app.db" "VACUUM INTO '$ROOT/province/app.db'"
rm -f "$ROOT/province/node/identity"
expect 1 t province run
says "do not belong together"
