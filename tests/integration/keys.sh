#!/usr/bin/env bash
# Keys that name no row, or are too long to be sent: refused where a table is published, told where they
# stand, and nothing is deleted elsewhere by them. Databases that do not store UTF-8 are refused at every door.
. "$(dirname "$0")/lib.sh"

# --- a table whose key accepts NULL is not published
mkdir "$ROOT/open"
printf '%s' "$CHARTER" >"$ROOT/charter.yaml"
app open "${SCHEMA/household(id TEXT PRIMARY KEY NOT NULL, book_no TEXT NOT NULL UNIQUE, village TEXT NOT NULL) WITHOUT ROWID/household(id TEXT PRIMARY KEY, book_no TEXT, village TEXT)}"
expect 6 t open hub init --db "$ROOT/open/app.db" --charter "$ROOT/charter.yaml" --listen tcp://127.0.0.1:0
says "household.id accepts NULL"
says "NOT NULL"
same "$(app open "SELECT count(*) FROM sqlite_schema WHERE name LIKE 'tonle%'")" 0 "nothing was changed"

# --- nor is a database that stores UTF-16 served
utf16() { # OFFICE SQL
    mkdir -p "$ROOT/$1"
    rm -f "$ROOT/$1"/app.db*
    sqlite3 "$ROOT/$1/app.db" "PRAGMA encoding = 'UTF-16le'; $2" || fail "a database in UTF-16"
}
utf16 wide "$SCHEMA"
expect 1 t wide hub init --db "$ROOT/wide/app.db" --charter "$ROOT/charter.yaml" --listen tcp://127.0.0.1:0
says "UTF-16"
says ".dump"
same "$(app wide "SELECT count(*) FROM sqlite_schema WHERE name LIKE 'tonle%'")" 0 "nothing was changed"

make_hub "INSERT INTO household VALUES('h1', 'B-1', 'v')"
start hub
invite wide 19 hub
expect 1 join_office wide --mode adopt
says "UTF-16"
rm "$ROOT/wide/app.db"
expect 0 join_office wide # the invitation was not spent
{ echo "PRAGMA encoding = 'UTF-16le';"; app wide .dump; } >"$ROOT/dump.sql"
rm "$ROOT/wide"/app.db*
sqlite3 "$ROOT/wide/app.db" <"$ROOT/dump.sql" || fail "the copy in UTF-16"
expect 1 t wide run
says "UTF-16"
t hub node retire wide >/dev/null 2>&1

# --- an office whose own table accepts NULL: its rows without a key are told there
mkdir "$ROOT/office"
app office "${SCHEMA/household(id TEXT PRIMARY KEY NOT NULL, book_no TEXT NOT NULL UNIQUE, village TEXT NOT NULL) WITHOUT ROWID/household(id TEXT PRIMARY KEY, book_no TEXT, village TEXT)}"
app office "INSERT INTO household VALUES(NULL, 'B-5', 'before it joined')"
invite office 12 hub
expect 0 join_office office --mode adopt
start office
settle hub office
expect 0 t office held list --json
grep -q "its key is NULL" "$ROOT/out" || fail "the row set aside is not told: $(cat "$ROOT/out")"
app office "INSERT INTO household VALUES(NULL, 'B-6', 'no key'); UPDATE household SET id = NULL WHERE id = 'h1'"
settle office hub
same "$(app hub "SELECT village FROM household WHERE id = 'h1'")" v "a row whose key became NULL elsewhere"
expect 0 t office held list
grep -q "id is of the key and NULL: 2 rows" "$ROOT/out" || fail "not told: $(cat "$ROOT/out")"
grep -q "its key became NULL here" "$ROOT/out" || fail "not told: $(cat "$ROOT/out")"
t office status >"$ROOT/out" 2>"$ROOT/err"
grep -q "1 row of this office cannot be sent as it is; the first, of household: id is of the key" "$ROOT/out" ||
    fail "status does not say why: $(cat "$ROOT/out")"
expect 0 t office verify
app office "UPDATE household SET id = 'h1' WHERE village = 'v'; UPDATE household SET id = 'h6' WHERE id IS NULL"
settle office hub
same "$(app hub "SELECT group_concat(id || village, ' ') FROM (SELECT * FROM household ORDER BY id)")" "h1v h6no key"
expect 0 t hub conflict list --json
same "$(json_type '$.conflicts[0]')" absent "no conflict of a row with itself"

# --- a key of 200,000 bytes
app office "INSERT INTO note VALUES(printf('%.*c', 200000, 'k'), 1, 'long')"
settle office hub
for command in "status" "status --json" "held list" "held list --json" "doctor"; do
    # shellcheck disable=SC2086
    t office $command >"$ROOT/out" 2>"$ROOT/err"
    [ "$(cat "$ROOT/out" "$ROOT/err" | wc -c)" -lt 20000 ] || fail "$command prints the key"
done
t office status >"$ROOT/out" 2>"$ROOT/err"
grep -q "the key has 200[0-9]* bytes, a key can have 8192" "$ROOT/out" || fail "the wrong reason: $(cat "$ROOT/out")"
expect 0 t office held list
grep -q '"kkkk.*bytes' "$ROOT/out" || fail "the key is not shown by its beginning: $(cat "$ROOT/out")"
app office "UPDATE household SET id = printf('%.*c', 9000, 'k') WHERE id = 'h1'"
settle office hub
same "$(app hub "SELECT village FROM household WHERE id = 'h1'")" v "a row whose key became too long elsewhere"
app office "UPDATE household SET id = 'h1' WHERE village = 'v'"
app office "UPDATE note SET unit = 'short'"
settle office hub
same "$(app hub "SELECT unit FROM note")" short
expect 0 t office verify
