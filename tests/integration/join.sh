#!/usr/bin/env bash
# Joining: into nothing, with rows of its own (--mode missing, adopt, replace), again after an interruption,
# with a used invitation, and without a line.
LEAKS=1
. "$(dirname "$0")/lib.sh"

make_hub "INSERT INTO household VALUES('h1', 'B-1', 'federation'), ('h2', 'B-2', 'federation')"

# no line: a hub that never runs. 30 seconds, so it goes on beside the rest.
mkdir "$ROOT/lonely"
app lonely "$SCHEMA"
expect 0 t lonely hub init --db "$ROOT/lonely/app.db" --charter "$ROOT/charter.yaml" --listen tcp://127.0.0.1:0
t lonely node add --name far --unit 19 >"$ROOT/far.invitation" 2>/dev/null || fail "node add"
{ join_office far >"$ROOT/far.out" 2>&1; echo $? >"$ROOT/far.code"; } &
FAR=$!

start hub
wait_for hub connected

# --- into nothing: through stdin; the database is made with the tables
invite empty 11 hub
mkdir "$ROOT/empty"
expect 0 t empty join --db "$ROOT/empty/app.db" --json <"$ROOT/empty.invitation"
same "$(json '$.schema')" 1
same "$(json '$.node')" empty
same "$(json '$.rows')" 2
same "$(app empty "SELECT group_concat(id) FROM household")" h1,h2
same "$(stat -c %a "$ROOT/empty/node")" 700
same "$(find "$ROOT/empty/node" -type f -perm /077)" "" "files that others can read"
expect 1 t empty join --db "$ROOT/empty/app.db" --invitation "$ROOT/empty.invitation"
says "already"
start empty
settle hub empty

# the invitation works once
mkdir "$ROOT/thief"
expect 6 t thief join --db "$ROOT/thief/app.db" --invitation "$ROOT/empty.invitation"
expect 2 t thief join --db "$ROOT/thief/app.db" --invitation /dev/null

# nor after its time: the hub does not know its key any more
t hub node add --name late --unit 18 >"$ROOT/late.invitation" 2>/dev/null || fail "node add"
app hub "UPDATE tonle_node SET enrol_expires_ms = 1 WHERE name = 'late'"
mkdir "$ROOT/late"
expect 6 t late join --db "$ROOT/late/app.db" --invitation "$ROOT/late.invitation"
says "expired"
says "tonle node add"
expect 2 t thief join --invitation "$ROOT/empty.invitation"
expect 2 t thief join --db x --mode sideways --invitation "$ROOT/empty.invitation"

# --- a row that has become too large to be sent: who joins is told what to do, and nothing is changed
invite waits 21 hub
app hub "INSERT INTO resident(id, name) VALUES('r1', 'small')"
settle hub empty
app hub "UPDATE resident SET photo = zeroblob(9000000) WHERE id = 'r1'"
settle hub
mkdir "$ROOT/waits"
expect 1 t waits join --db "$ROOT/waits/app.db" --invitation "$ROOT/waits.invitation"
says "a row of resident that is too large"
says "tonle doctor"
t hub doctor >"$ROOT/out" 2>&1
grep -q "warn  resident: 1 rows of resident are too large.*id='r1'" "$ROOT/out" || fail "doctor: $(cat "$ROOT/out")"
app hub "UPDATE resident SET photo = NULL WHERE id = 'r1'"
settle hub
expect 0 t waits join --db "$ROOT/waits/app.db" --invitation "$ROOT/waits.invitation"
same "$(app waits "SELECT id FROM resident")" r1
app hub "DELETE FROM resident"
settle hub empty

# --- rows of its own: a mode is asked for, nothing is changed, and the same command with one goes on
own() { # OFFICE
    mkdir "$ROOT/$1"
    app "$1" "PRAGMA journal_mode=wal; $SCHEMA
      INSERT INTO household VALUES('h1', 'B-1', 'federation'), ('h2', 'B-2', 'of $1'), ('new-$1', 'N-$1', 'of $1')" >/dev/null
}
own adopts
invite adopts 12 hub
expect 2 join_office adopts
says "household holds 3 rows"
says "--mode adopt"
says "--mode replace"
same "$(app adopts "SELECT count(*) FROM sqlite_schema WHERE name LIKE 'tonle%'")" 0 "nothing was changed"
expect 0 join_office adopts --mode adopt --json
same "$(json '$.adopted_new')" 1
start adopts
settle adopts hub empty adopts
all_equal hub empty adopts
same "$(app empty "SELECT village FROM household WHERE id = 'new-adopts'")" "of adopts" "what the federation lacked"
same "$(app adopts "SELECT village FROM household WHERE id = 'h2'")" federation "the federation's value stands"
expect 0 t adopts conflict list --json
grep -q '"of adopts"' "$ROOT/out" || fail "the adopted value is not in the conflict record: $(cat "$ROOT/out")"

# --- replace keeps the old file
own replaced
invite replaced 13 hub
expect 0 join_office replaced --mode replace
start replaced
settle hub replaced
all_equal hub replaced
set -- "$ROOT"/replaced/app.db.before-join-*
[ $# -eq 1 ] && [ -f "$1" ] || fail "the old file was not kept: $*"
same "$(sqlite3 "$1" "SELECT count(*) FROM household WHERE village = 'of replaced'")" 2 "rows in the copy"

# --- interrupted: killed at any time, the same command again ends well
invite broken 14 hub
mkdir "$ROOT/broken"
for after in 0.01 0.02 0.03 0.04 0.05 0.06 0.08 0.1; do
    { timeout -s KILL "$after" "$TONLE" join --dir "$ROOT/broken/node" --db "$ROOT/broken/app.db" \
        --invitation "$ROOT/broken.invitation" >/dev/null; } 2>/dev/null && break
done
if ! grep -q '^db:' "$ROOT/broken/node/node.yaml" 2>/dev/null || ! [ "$(app broken "SELECT count(*) FROM sqlite_schema WHERE name = 'tonle_meta'" 2>/dev/null)" = 1 ]; then
    expect 0 join_office broken
fi
start broken
settle hub broken
all_equal hub broken

wait "$FAR"
same "$(cat "$ROOT/far.code")" 5 "without a line"
grep -q "run the same command again" "$ROOT/far.out" || fail "what to do next: $(cat "$ROOT/far.out")"
[ ! -e "$ROOT/far/app.db" ] || fail "a join without a line made a database"
