#!/usr/bin/env bash
# A database with plain INTEGER PRIMARY KEYs: refused, counted, made anew with AUTOINCREMENT at the hub and at an
# office that had one before; the old files are kept, and both give out numbers of their own.
. "$(dirname "$0")/lib.sh"

SCHEMA="
CREATE TABLE household(id INTEGER PRIMARY KEY, head TEXT NOT NULL);
CREATE TABLE person(id INTEGER, name TEXT NOT NULL, household_id INTEGER REFERENCES household(id), PRIMARY KEY(id));
CREATE INDEX by_name ON person(name);
CREATE TABLE seen(name TEXT);
CREATE TRIGGER noted AFTER INSERT ON person BEGIN INSERT INTO seen VALUES(new.name); END;
CREATE VIEW family AS SELECT h.head, p.name FROM household h JOIN person p ON p.household_id = h.id;
"
TABLES="household person"
ROWS="INSERT INTO household VALUES(1, 'x'), (2, 'y'); INSERT INTO person VALUES(1, 'a', 1), (2, 'b', 2), (9, 'c', 2);"
printf 'federation: test-keys\nschema_version: 1\ntables:\n  - name: household\n  - name: person\n' >"$ROOT/charter.yaml"
mkdir "$ROOT/hub" "$ROOT/office" "$ROOT/empty"
app hub "$SCHEMA $ROWS"
app office "$SCHEMA $ROWS INSERT INTO person VALUES(10, 'only here', 1)"
schema() { app "$1" "SELECT sql FROM sqlite_schema WHERE name NOT LIKE '%tonle%' AND tbl_name IN ('household', 'person',
  'family') AND sql IS NOT NULL ORDER BY name"; }
copies() { find "$ROOT/$1" -name "app.db.before-$2-*"; }
init() { t hub hub init --db "$ROOT/hub/app.db" --charter "$ROOT/charter.yaml" --listen tcp://127.0.0.1:0 "$@"; }

# --- at the hub
before=$(schema hub)
expect 6 init
says "--make-autoincrement"
expect 0 init --make-autoincrement --dry-run
says "table household, 2 rows"
says "table person, 3 rows"
says "nothing was changed"
same "$(schema hub)" "$before" "a dry run"
same "$(copies hub autoincrement)" "" "a dry run keeps no copy"
sed 's/person$/persons/' "$ROOT/charter.yaml" >"$ROOT/wrong.yaml"
expect 6 t hub hub init --db "$ROOT/hub/app.db" --charter "$ROOT/wrong.yaml" --listen tcp://127.0.0.1:0 --make-autoincrement
same "$(schema hub)$(copies hub autoincrement)" "$before" "a charter that does not fit"
expect 0 init --make-autoincrement
says "The old database is kept as"
same "$(sqlite3 "$(copies hub autoincrement)" "SELECT count(*) FROM person")" 3 "the copy"
same "$(schema hub | sed 's/ AUTOINCREMENT//')" "$before" "the definitions"
same "$(app hub "SELECT count(*) FROM sqlite_sequence WHERE name IN ('household', 'person')")" 2
same "$(app hub "SELECT group_concat(head || name) FROM family")" "xa,yb,yc" "the view"
start hub

# --- an office that had such a database
invite office 12 hub
expect 1 join_office office --mode adopt
says "the first is household (2 rows)"
says "--make-autoincrement"
same "$(schema office)" "$before" "a join that is refused"
expect 0 join_office office --mode adopt --make-autoincrement
says "2 tables were made anew"
same "$(sqlite3 "$(copies office join)" "SELECT count(*) FROM person")" 4 "the copy"
same "$(schema office | sed 's/ AUTOINCREMENT//')" "$before" "the office's definitions"
start office
# --- and one that had none
invite empty 13 hub
rmdir "$ROOT/empty"
expect 0 join_office empty
start empty
settle office hub empty

for office in hub office empty; do
    app "$office" "INSERT INTO household(head) VALUES('$office'); INSERT INTO person(name, household_id)
      VALUES('$office', last_insert_rowid())"
done
settle hub office empty hub office empty
all_equal hub office empty
same "$(app empty "SELECT count(*) || ' ' || count(DISTINCT p.id) FROM person p")" "7 7"
same "$(app hub "SELECT count(*) FROM household h JOIN tonle_site s ON s.node = h.head
  WHERE (h.id - 1) / 1024 % 4096 <> s.block")" 0 "numbers outside the blocks"
same "$(app office "SELECT count(*) FROM seen WHERE name = 'office'")" 1 "the trigger"
expect 0 t office verify
