#!/usr/bin/env bash
# Tools of the application that drop, dump and make anew the tables they do not know: the application goes on, the
# node says so, and the office comes back with what was written meanwhile.
. "$(dirname "$0")/lib.sh"

make_hub "INSERT INTO note VALUES('', 1, 'federation')"
start hub
add_office province 12 hub
app province "INSERT INTO note VALUES('12', 1, 'before')"
settle province hub

# What a schema tool does: every table that its schema does not name goes, and nothing else.
drop_ours() { # OFFICE [TABLE...]
    local office=$1
    shift
    [ $# -gt 0 ] || mapfile -t < <(app "$office" "SELECT name FROM sqlite_schema WHERE type = 'table' AND name LIKE 'tonle\_%' ESCAPE '\'")
    app "$office" "BEGIN IMMEDIATE; $(printf 'DROP TABLE "%s";' "${@:-${MAPFILE[@]}}") COMMIT"
}
ours() { app "$1" "SELECT count(*) FROM sqlite_schema WHERE name LIKE 'tonle\_%' ESCAPE '\' AND type = '$2'"; }
until_written() { # OFFICE SQL: the application's write, which fails until the triggers are gone
    local deadline=$((SECONDS + WAIT))
    until app "$1" "$2" 2>"$ROOT/err"; do
        [ $SECONDS -lt $deadline ] || fail "the application cannot write: $(cat "$ROOT/err")"
    done
}
until_told() { # OFFICE
    local deadline=$((SECONDS + WAIT))
    until t "$1" status --json >"$ROOT/out" 2>"$ROOT/err"; [ "$(json '$.reasons[0].code')" = tables ]; do
        [ $SECONDS -lt $deadline ] || fail "nothing is said of the tables: $(cat "$ROOT/out" "$ROOT/err")"
    done
}

# --- all of them are dropped while the node runs
drop_ours province
until_written province "INSERT INTO note VALUES('12', 2, 'without capture')"
same "$(ours province trigger)" 0 "no trigger is left"
until_told province
same "$(json '$.state') $(json '$.synced') $(json '$.running')" "degraded 0 1"
grep -q "join --mode adopt" "$ROOT/out" || fail "no next step: $(cat "$ROOT/out")"
expect 4 t province status
expect 5 t province status --wait synced --timeout 1
grep -q "event=tables-gone" "$ROOT/province/log" || fail "the log does not say it"
app province "UPDATE note SET text = 'changed' WHERE no = 1 AND unit = '12'"
stop province

# --- it comes back under a new name, with what was written meanwhile
invite back 12 hub
come_back() { # NAME: with the database of province
    "$TONLE" join --dir "$ROOT/$1/node" --db "$ROOT/$1/app.db" --invitation "$ROOT/$1.invitation" --mode adopt
}
mkdir "$ROOT/back"
mv "$ROOT/province/app.db" "$ROOT/back/app.db"
expect 0 come_back back
start back
settle back hub
same "$(app hub "SELECT count(*) FROM note WHERE text = 'without capture'")" 1
all_equal hub back

# --- one of them, that no trigger names: captured writes are in their table, too
drop_ours back tonle_meta
until_told back
until_written back "INSERT INTO note VALUES('12', 3, 'again')"
same "$(ours back trigger)" 0 "no trigger is left"
stop back
expect 1 t back status
says "tonle_meta"
expect 1 t back held list
says "join --mode adopt"
invite third 12 hub
mkdir "$ROOT/third"
mv "$ROOT/back/app.db" "$ROOT/third/app.db"
expect 1 "$TONLE" join --dir "$ROOT/third/node" --db "$ROOT/third/app.db" --invitation "$ROOT/third.invitation"
says "objects of an earlier Tonle"
expect 0 come_back third
says "The old database is kept as"
same "$(sqlite3 "$ROOT"/third/app.db.before-join-* "SELECT count(*) > 0 FROM tonle_journal")" 1 "what was left is in the copy"
start third
settle third hub
all_equal hub third

# --- dropped while the node is stopped: its start makes the application work again
stop third
drop_ours third
app third "INSERT INTO note VALUES('12', 4, 'fails')" 2>/dev/null && fail "SQLite runs a trigger without its table"
expect 1 t third status
says "started"
start third
until_written third "INSERT INTO note VALUES('12', 4, 'works')"
until_told third
stop third

# --- a database that is made from a dumped schema, empty tables of ours and triggers and all
dump() { app "$1" .schema | sed '/^CREATE TABLE sqlite_/d'; } # OFFICE
invite fourth 12 hub
mkdir "$ROOT/fourth"
app fourth "$(dump hub)" >/dev/null || fail "the dump cannot be read"
same "$(($(ours fourth table) > 20)) $(($(ours fourth trigger) > 10))" "1 1" "it holds all of ours"
expect 0 join_office fourth
start fourth
settle fourth hub
all_equal hub fourth
mkdir "$ROOT/another"
app another "$(dump hub)" >/dev/null
expect 0 t another hub init --db "$ROOT/another/app.db" --charter "$ROOT/charter.yaml" --listen tcp://127.0.0.1:0
says "as of a dumped schema"

# --- what a join makes is what the charter names: the rest is the application's to make
invite fifth 12 hub
expect 0 join_office fifth
says "3 tables were made"
says "were not made"

# --- an office that leaves keeps its rows, its own tables and its keys, and nothing of ours
expect 1 t fourth leave --yes
says "a node runs on"
stop fourth
before=$(contents fourth "SELECT * FROM only_here")
expect 2 t fourth leave
says "--yes"
expect 0 t fourth leave --yes --json
same "$(json '$.views')" 2
same "$(ours fourth table) $(ours fourth trigger) $(ours fourth view)" "0 0 0" "nothing of ours is left"
same "$(contents fourth "SELECT * FROM only_here")" "$before" "the application's rows"
app fourth "INSERT INTO note VALUES('12', 5, 'alone')" || fail "the application cannot write"
[ -e "$ROOT/fourth/node/keys" ] || ls "$ROOT/fourth/node" | grep -q key || fail "the keys are gone"
expect 1 t fourth leave --yes
says "holds nothing of Tonle"
expect 1 t fourth run
# what is left of a broken one goes, too
expect 0 t third leave --yes
same "$(ours third table) $(ours third trigger) $(ours third view)" "0 0 0" "nothing of ours is left"
