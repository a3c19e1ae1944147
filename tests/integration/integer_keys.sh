#!/usr/bin/env bash
# Integer keys that SQLite gives out: two offices and the hub, none of which hears of another, enter rows and
# rows that refer to them, all without ids. Nobody's row is held, no reference goes astray, and
# last_insert_rowid() is what it is without a node.
. "$(dirname "$0")/lib.sh"

SCHEMA="
CREATE TABLE household(id INTEGER PRIMARY KEY AUTOINCREMENT, office TEXT NOT NULL, head TEXT NOT NULL);
CREATE TABLE person(id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL,
  household_id INTEGER NOT NULL REFERENCES household(id));
CREATE TABLE session(id INTEGER PRIMARY KEY, token TEXT);
"
TABLES="household person"
CHARTER="federation: test-keys
schema_version: 1
tables:
  - name: household
  - name: person
"

# enter OFFICE FROM TO: a household with a person each, in a transaction of its own; the child gets its parent by
# last_insert_rowid(), as an application does it.
enter() {
    local i
    {
        echo ".timeout 10000"
        echo "PRAGMA foreign_keys = ON;"
        for ((i = $2; i <= $3; i++)); do
            echo "BEGIN IMMEDIATE; INSERT INTO household(office, head) VALUES('$1', '$1 $i');"
            echo "INSERT INTO person(name, household_id) VALUES('$1 $i', last_insert_rowid()); COMMIT;"
        done
    } | sqlite3 -bail "$ROOT/$1/app.db" || fail "$1 cannot enter a household"
}
doctor() { t "$1" doctor >"$ROOT/out" 2>"$ROOT/err"; } # it may warn of this machine's SQLite
strangers() { # OFFICE: households whose id is not of the office that entered them
    app "$1" "SELECT count(*) FROM household h JOIN tonle_site s ON s.node = h.office
      WHERE (h.id - 1) / 1024 % 4096 <> s.block"
}

# --- a key without AUTOINCREMENT is refused, and the way out is named
mkdir "$ROOT/plain"
printf '%s  - name: session\n' "$CHARTER" >"$ROOT/charter.yaml"
app plain "$SCHEMA"
expect 6 t plain hub init --db "$ROOT/plain/app.db" --charter "$ROOT/charter.yaml" --listen tcp://127.0.0.1:0
says "session.id is a lone INTEGER PRIMARY KEY"
says "make it AUTOINCREMENT"
same "$(app plain "SELECT count(*) FROM sqlite_schema WHERE name LIKE 'tonle%'")" 0 "nothing was changed"

# --- the hub has rows of before; its numbers go on as they did
make_hub "INSERT INTO household VALUES(1, 'before', 'x'), (2, 'before', 'y');
  INSERT INTO person VALUES(1, 'x', 1), (2, 'y', 2)"
start hub
add_office takeo 21 hub
add_office kampot 07 hub
settle hub takeo kampot
enter hub 1 1
same "$(app hub "SELECT max(id) FROM household")" 3 "the hub's next number"

# --- all apart: kampot runs and hears nobody, takeo's node stops and starts, the hub is off for a while
cut_power hub
enter takeo 1 60
enter kampot 1 60
enter hub 2 30
cut_power takeo
enter takeo 61 90 # what is left of a block is there without a node, too
start takeo
enter takeo 91 120
start hub
enter hub 31 60
enter kampot 61 120
settle takeo kampot hub takeo kampot
all_equal hub takeo kampot
same "$(app hub "SELECT count(*) || ' ' || count(DISTINCT id) FROM household")" "302 302"
same "$(app hub "SELECT count(*) FROM person p JOIN household h ON h.id = p.household_id WHERE p.name <> h.head
  AND h.office <> 'before'")" 0 "a person in somebody else's household"
same "$(app hub "SELECT count(*) FROM tonle_held")" 0 "held rows"
same "$(strangers hub)" 0 "numbers outside the blocks"
for office in hub takeo kampot; do
    doctor "$office"
    grep -q "^ok  *household: its numbers are this office's own" "$ROOT/out" || fail "doctor says nothing: $(cat "$ROOT/out")"
done

# --- more at once than a block has: counted, told, and the next one is the office's own again
app takeo "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3000)
  INSERT INTO household(office, head) SELECT 'takeo', 'bulk' FROM n"
settle takeo hub kampot
doctor takeo
grep -q "^warn  household: [0-9]* rows were entered here with numbers outside this office's blocks" "$ROOT/out" || fail "$(cat "$ROOT/out")"
doctor kampot
grep -q "^warn  household" "$ROOT/out" && fail "kampot is warned of takeo's rows"
before=$(strangers takeo)
[ "$before" -gt 1000 ] || fail "only $before rows of the bulk are outside"
enter takeo 121 125
settle takeo hub kampot
same "$(strangers takeo)" "$before" "what was entered after the bulk"
all_equal hub takeo kampot
expect 0 t kampot verify
