#!/usr/bin/env bash
# Two databases that each counted from 1: the office joins with --renumber, after a dry run. Its rows get keys of
# their own, with what refers to them, declared or not; nobody is taken for another.
. "$(dirname "$0")/lib.sh"

SCHEMA="
CREATE TABLE household(id INTEGER PRIMARY KEY, head TEXT NOT NULL);
CREATE TABLE person(id INTEGER PRIMARY KEY, name TEXT NOT NULL, household_id INTEGER REFERENCES household(id), keeper INTEGER);
CREATE TABLE draft(person INTEGER REFERENCES person(id), text TEXT);
"
TABLES="household person"
CHARTER="federation: test-keys
schema_version: 1
tables:
  - name: household
  - name: person
    references: [{ column: keeper, table: person }]
"
rows() { echo "INSERT INTO household VALUES(1, '$1 one'), (2, '$1 two');
  INSERT INTO person VALUES(1, '$1 a', 1, 3), (2, '$1 b', 2, 1), (3, '$1 c', 2, NULL);"; }
FAMILY="SELECT p.name || '/' || h.head || '/' || coalesce(k.name, '-') FROM person p JOIN household h ON h.id = p.household_id
  LEFT JOIN person k ON k.id = p.keeper ORDER BY p.name"
copies() { find "$ROOT/office" -name "app.db.before-join-*"; }

mkdir "$ROOT/hub" "$ROOT/office"
printf '%s' "$CHARTER" >"$ROOT/charter.yaml"
app hub "$SCHEMA $(rows hub)"
app office "$SCHEMA $(rows office) INSERT INTO draft VALUES(2, 'of b')"
expect 0 t hub hub init --db "$ROOT/hub/app.db" --charter "$ROOT/charter.yaml" --listen tcp://127.0.0.1:0 --make-autoincrement
start hub
invite office 12 hub
was=$(app office .dump)
family=$(app office "$FAMILY")

expect 2 join_office office --renumber
says "--mode adopt"
expect 0 join_office office --mode adopt --make-autoincrement --renumber --dry-run
says "5 rows of this office would get new keys, and 6 references to them"
says "Nothing was changed"
same "$(app office .dump)" "$was" "a dry run"
same "$(copies)" "" "a dry run keeps no copy"
[ ! -e "$ROOT/office/node/node.yaml" ] || fail "a dry run wrote node.yaml"

expect 0 join_office office --mode adopt --make-autoincrement --renumber
says "5 rows of this office have new keys, and 6 references to them"
says "The old database is kept"
same "$(sqlite3 "$(copies)" .dump)" "$was" "the copy"
start office
settle office hub office
all_equal hub office
same "$(app hub "$FAMILY" | grep office)" "$family" "whose is whose"
same "$(app hub "$FAMILY" | grep -c hub)" 3 "the hub's"
same "$(app office "SELECT p.name FROM draft d JOIN person p ON p.id = d.person")" "office b" "a table of the office alone"
same "$(app hub "SELECT count(*) || ' ' || min(id) FROM person")" "6 1" "the hub's keys are what they were"
same "$(app office "SELECT count(*) FROM tonle_held")$(app office "SELECT count(*) FROM tonle_conflict")" 00
same "$(app office "PRAGMA foreign_key_check")" ""
expect 0 t office verify
