#!/usr/bin/env bash
# The meetings that happen in real offices, one after another: what stands afterwards is what the charter asks
# for, the same everywhere, and every value that lost is in the conflict record or in a held row.
#
# A hub, a province, two districts below it. `meet` cuts the province's power, lets the offices write what they
# know nothing of, brings the province back and waits until everything has met.
. "$(dirname "$0")/lib.sh"

SCHEMA="
CREATE TABLE household(id TEXT PRIMARY KEY NOT NULL, book_no TEXT NOT NULL UNIQUE, village TEXT NOT NULL, house_no TEXT,
  phone TEXT) WITHOUT ROWID;
CREATE TABLE person(id TEXT PRIMARY KEY NOT NULL, family_name_km TEXT NOT NULL, given_name_km TEXT NOT NULL,
  born_on TEXT, occupation_km TEXT, updated_at INTEGER, father_id TEXT REFERENCES person(id)) WITHOUT ROWID;
CREATE TABLE residence(id TEXT PRIMARY KEY NOT NULL, person_id TEXT NOT NULL REFERENCES person(id),
  household_id TEXT NOT NULL REFERENCES household(id), relation TEXT) WITHOUT ROWID;
CREATE TABLE permit(id TEXT PRIMARY KEY NOT NULL, permit_no TEXT NOT NULL UNIQUE, business_km TEXT NOT NULL,
  expires_on TEXT, state TEXT NOT NULL, suspended_by TEXT) WITHOUT ROWID;
CREATE TABLE receipt(id TEXT PRIMARY KEY NOT NULL, series TEXT NOT NULL, number INTEGER NOT NULL,
  amount_riel INTEGER NOT NULL CHECK(amount_riel >= 0), UNIQUE(series, number)) WITHOUT ROWID;
CREATE TABLE cash_day(unit TEXT NOT NULL, day TEXT NOT NULL, receipts INTEGER NOT NULL DEFAULT 0,
  riel INTEGER NOT NULL DEFAULT 0, PRIMARY KEY(unit, day)) WITHOUT ROWID;
CREATE TABLE appointment(id TEXT PRIMARY KEY NOT NULL, post TEXT NOT NULL, officer TEXT NOT NULL, to_at INTEGER) WITHOUT ROWID;
CREATE UNIQUE INDEX one_in_a_post ON appointment(post) WHERE to_at IS NULL;
CREATE TABLE kept(id TEXT PRIMARY KEY NOT NULL, a TEXT, b TEXT) WITHOUT ROWID;
CREATE TABLE removed(id TEXT PRIMARY KEY NOT NULL, a TEXT, b TEXT) WITHOUT ROWID;
CREATE TABLE asked(id TEXT PRIMARY KEY NOT NULL, a TEXT, b TEXT) WITHOUT ROWID;
"
TABLES="household person residence permit receipt cash_day appointment kept removed asked"
CHARTER="federation: catalogue
schema_version: 1
review_by: any
tables:
  - name: household
    groups:
      - { name: address, columns: [village, house_no] }
  - name: person
    columns:
      - { name: born_on, policy: review, fallback: earliest }
      - { name: updated_at, policy: max }
    groups:
      - { name: name_km, columns: [family_name_km, given_name_km] }
  - name: residence
  - name: permit
    groups:
      - { name: standing, columns: [state, suspended_by], policy: rank, rank: [active, suspended, revoked] }
  - name: receipt
  - name: cash_day
    columns:
      - { name: receipts, policy: sum }
      - { name: riel, policy: sum }
  - name: appointment
  - name: kept
    delete: update-wins
  - name: removed
    delete: delete-wins
  - name: asked
    delete: review
"
ALL="hub province east west"
make_hub "
INSERT INTO household VALUES('h1', 'B-1', 'Phnom', '1', '012'), ('h2', 'B-2', 'Phnom', '2', NULL), ('h3', 'B-3', 'Phnom', '3', NULL);
INSERT INTO person(id, family_name_km, given_name_km) VALUES('p1', 'សុខ', 'សុភា'), ('p2', 'ចាន់', 'ដារ៉ា'), ('p3', 'លី', 'ម៉ារី');
INSERT INTO permit VALUES('m1', 'N-1', 'shop', '2026-12-31', 'active', NULL);
INSERT INTO cash_day VALUES('1201', '2026-11-21', 2, 20000);
INSERT INTO appointment VALUES('a0', 'chief', 'Vanna', 2026);
INSERT INTO kept VALUES('k1', 'a', 'b'), ('k2', 'a', 'b'); INSERT INTO removed VALUES('k1', 'a', 'b'); INSERT INTO asked VALUES('k1', 'a', 'b');"
start hub
add_office province 12 hub
add_office east 1201 province
add_office west 1202 province
settle hub province east west

# everyone: waits until what was written anywhere is everywhere
everyone() {
    settle east west province hub province east west
    # shellcheck disable=SC2086
    all_equal $ALL
}
# sealed OFFICE: waits until what was written there has its time
sealed() {
    local logs left=500
    logs=$(app "$1" "SELECT group_concat('SELECT count(*) AS n FROM ' || name, ' UNION ALL ') FROM sqlite_schema
      WHERE type = 'table' AND name GLOB 'tonle_log_*'")
    while [ "$(app "$1" "SELECT sum(n) FROM ($logs)")" != 0 ]; do
        left=$((left - 1))
        [ "$left" -gt 0 ] || fail "$1 does not seal"
        sleep 0.02
    done
}
# meet EAST-SQL WEST-SQL: written while neither office knows of the other; EAST first, by more than what the
# offices' clocks may seem apart on a busy machine
meet() {
    cut_power province
    app east "$1"
    sealed east
    sleep 0.3
    app west "$2"
    start province
    wait_for province connected
    wait_for east connected
    wait_for west connected
    everyone
}
# conflicts TABLE KEY: cell:policy:state of the conflicts of a row, but the superseded ones
conflicts() {
    app hub "SELECT group_concat(x, ' ') FROM (SELECT cell || ':' || policy || ':' || state AS x FROM tonle_conflict
      WHERE table_name = '$1' AND key = '$2' AND state <> 'superseded' ORDER BY x)"
}
held() { # TABLE: key:reason:office of its held rows
    app hub "SELECT group_concat(x, ' ') FROM (SELECT key || ':' || reason || ':' || office AS x FROM tonle_held
      WHERE table_name = '$1' ORDER BY x)"
}
sides() { # TABLE KEY CELL: the values of the sides
    app hub "SELECT group_concat(v, ' | ') FROM (SELECT CAST(s.value AS TEXT) AS v FROM tonle_conflict c
      JOIN tonle_conflict_side s ON s.conflict = c.id WHERE c.table_name = '$1' AND c.key = '$2' AND c.cell = '$3'
      AND c.state <> 'superseded' ORDER BY v)"
}

# --- different fields: both stand, no conflict
meet "UPDATE person SET occupation_km = 'គ្រូ' WHERE id = 'p1'" "UPDATE person SET born_on = '1990-01-01' WHERE id = 'p1'"
same "$(app hub "SELECT occupation_km || born_on FROM person WHERE id = 'p1'")" "គ្រូ1990-01-01" "different fields"
same "$(conflicts person '"p1"')" "" "different fields are no conflict"

# --- the same field: the later stands, the other is on record, closed
meet "UPDATE person SET occupation_km = 'កសិករ' WHERE id = 'p1'" "UPDATE person SET occupation_km = 'ពេទ្យ' WHERE id = 'p1'"
same "$(app hub "SELECT occupation_km FROM person WHERE id = 'p1'")" "ពេទ្យ" "the same field: the later"
same "$(conflicts person '"p1"')" "occupation_km:latest:auto"
same "$(sides person '"p1"' occupation_km)" "កសិករ | ពេទ្យ" "both values are kept"

# --- the same words with a zero-width space that nobody sees, and in another normal form: no conflict
meet "UPDATE person SET occupation_km = 'ម្ចាស់ផ្ទះ é' WHERE id = 'p2'" \
    "UPDATE person SET occupation_km = 'ម្ចាស់' || char(8203) || 'ផ្ទះ e' || char(769) WHERE id = 'p2'"
same "$(conflicts person '"p2"')" "" "one word for people is no conflict"
same "$(app hub "SELECT instr(occupation_km, char(8203)) > 0 FROM person WHERE id = 'p2'")" 1 "what was written is stored as it was"

# --- names change as one: never the family name of one and the given name of another
meet "UPDATE person SET family_name_km = 'កែវ' WHERE id = 'p3'" "UPDATE person SET given_name_km = 'ស្រីមុំ' WHERE id = 'p3'"
same "$(app hub "SELECT family_name_km || ' ' || given_name_km FROM person WHERE id = 'p3'")" "លី ស្រីមុំ" "a name is one cell"
same "$(conflicts person '"p3"')" "name_km:latest:auto"

# --- a household moved by both offices
meet "UPDATE household SET village = 'East', house_no = '7' WHERE id = 'h1'" "UPDATE household SET village = 'West' WHERE id = 'h1'"
same "$(app hub "SELECT village || house_no FROM household WHERE id = 'h1'")" "West1" "a household moved by both"
same "$(conflicts household '"h1"')" "address:latest:auto"

# --- a date that a person must decide; until then the earlier write shows
meet "UPDATE person SET born_on = '1991-01-01' WHERE id = 'p2'" "UPDATE person SET born_on = '1992-02-02' WHERE id = 'p2'"
same "$(app hub "SELECT born_on FROM person WHERE id = 'p2'")" "1991-01-01" "the fallback shows"
same "$(conflicts person '"p2"')" "born_on:review:open"
same "$(sides person '"p2"' born_on)" "1991-01-01 | 1992-02-02"

# --- two births of one person number
meet "INSERT INTO person(id, family_name_km, given_name_km) VALUES('p9', 'East', 'One'); UPDATE person SET occupation_km = 'e' WHERE id = 'p9'" \
    "INSERT INTO person(id, family_name_km, given_name_km) VALUES('p9', 'West', 'Two')"
same "$(app hub "SELECT family_name_km || given_name_km || occupation_km FROM person WHERE id = 'p9'")" "EastOnee" "the first birth stands, unmixed"
same "$(held person)" '"p9":birth:west' "the other is held whole"
same "$(conflicts person '"p9"')" "birth:first:open"

# --- the same receipt number twice; it comes in by itself when the other is renumbered
meet "INSERT INTO receipt VALUES('r-e', 'A', 100, 5000)" "INSERT INTO receipt VALUES('r-w', 'A', 100, 7000)"
same "$(app hub "SELECT id FROM receipt WHERE series = 'A' AND number = 100")" r-e "the earlier claim stands"
same "$(held receipt)" '"r-w":unique:west'
app east "UPDATE receipt SET number = 101 WHERE id = 'r-e'"
everyone
same "$(app west "SELECT group_concat(id || number) FROM receipt ORDER BY id")" "r-e101,r-w100" "it comes in by itself"
same "$(held receipt)" ""

# --- two cashiers' totals, and a correction of one of them
meet "UPDATE cash_day SET receipts = receipts + 1, riel = riel + 5000 WHERE unit = '1201'; UPDATE cash_day SET riel = riel + 1000 WHERE unit = '1201'" \
    "UPDATE cash_day SET receipts = receipts + 3, riel = riel + 9000 WHERE unit = '1201'"
same "$(app hub "SELECT receipts || '/' || riel FROM cash_day")" "6/35000" "two cashiers' totals"
meet "UPDATE cash_day SET riel = 30000 WHERE unit = '1201'" "UPDATE cash_day SET riel = riel + 500 WHERE unit = '1201'"
same "$(app hub "SELECT riel FROM cash_day")" 30500 "a correction is a delta like any other"
same "$(conflicts cash_day '["1201","2026-11-21"]')" "" "sums are never in conflict"
meet "UPDATE cash_day SET riel = 'lost' WHERE unit = '1201'" "UPDATE cash_day SET riel = riel + 1 WHERE unit = '1201'"
same "$(held cash_day)" '["1201","2026-11-21"]:check:east' "what is no number is held"
id=$(app east "SELECT id FROM tonle_held WHERE table_name = 'cash_day'")
expect 0 t east held set "$id" riel=40000 --by Sophea --reason "counted again"
everyone
same "$(app hub "SELECT receipts || '/' || riel FROM cash_day")" "6/40000" "settled by a person"
meet "UPDATE cash_day SET riel = 9223372036854775807 WHERE unit = '1201'" "UPDATE cash_day SET riel = riel + 10 WHERE unit = '1201'"
same "$(held cash_day)" '["1201","2026-11-21"]:check:west' "an overflow is held, not wrapped"
id=$(app west "SELECT id FROM tonle_held WHERE table_name = 'cash_day'")
expect 0 t west held set "$id" riel=50000 --by Sophea --reason "counted once more"
everyone
same "$(app hub "SELECT riel FROM cash_day")" 50000

# --- a permit renewed at the district while it is suspended elsewhere
meet "UPDATE permit SET state = 'suspended', suspended_by = 'province' WHERE id = 'm1'" \
    "UPDATE permit SET expires_on = '2027-12-31', state = 'active', suspended_by = 'nobody' WHERE id = 'm1'"
same "$(app hub "SELECT state || suspended_by || expires_on FROM permit")" "suspendedprovince2027-12-31" "states only move forward"
same "$(conflicts permit '"m1"')" "standing:rank:open"

# --- delete beside edit, under each delete policy
meet "DELETE FROM kept WHERE id = 'k1'; DELETE FROM removed WHERE id = 'k1'; DELETE FROM asked WHERE id = 'k1'" \
    "UPDATE kept SET b = 'changed' WHERE id = 'k1'; UPDATE removed SET b = 'changed' WHERE id = 'k1'; UPDATE asked SET b = 'changed' WHERE id = 'k1'"
same "$(app hub "SELECT a || b FROM kept WHERE id = 'k1'")" "achanged" "update-wins: it comes back with all columns"
same "$(conflicts kept '"k1"')" "exists:update-wins:open"
same "$(app hub "SELECT count(*) FROM removed WHERE id = 'k1'")" 0 "delete-wins"
same "$(conflicts removed '"k1"')" "exists:delete-wins:open"
expect 0 t hub conflict list --table removed --json
id=$(json '$.conflicts[0].id')
expect 0 t hub conflict show "$id"
grep -q changed "$ROOT/out" || fail "what the delete beat is shown: $(cat "$ROOT/out")"
same "$(app hub "SELECT a || b FROM asked WHERE id = 'k1'")" "achanged" "review: it stays until a person decides"
same "$(conflicts asked '"k1"')" "exists:review:open"

# --- a key that is deleted and entered again is another record
meet "DELETE FROM kept WHERE id = 'k2'; INSERT INTO kept VALUES('k2', 'new', NULL)" "SELECT 1"
same "$(app west "SELECT a || coalesce(b, '-') FROM kept WHERE id = 'k2'")" "new-" "an insert after a delete"

# --- child before parent, and a chain of three: whatever the order in one transaction
app west "BEGIN; INSERT INTO residence VALUES('s1', 'p20', 'h20', 'head');
  INSERT INTO person(id, family_name_km, given_name_km, father_id) VALUES('p20', 'x', 'y', 'p21');
  INSERT INTO person(id, family_name_km, given_name_km) VALUES('p21', 'x', 'z');
  INSERT INTO household VALUES('h20', 'B-20', 'W', NULL, NULL); COMMIT"
everyone
same "$(app hub "SELECT count(*) FROM residence WHERE id = 's1'")" 1 "child before parent"

# --- a parent deleted while a child arrives: the child is held, never deleted, and comes in with its parent
meet "DELETE FROM household WHERE id = 'h3'" "INSERT INTO residence VALUES('s2', 'p1', 'h3', 'guest')"
same "$(held residence)" '"s2":parent:west' "the child of a deleted parent is held"
same "$(app west "SELECT count(*) FROM residence WHERE id = 's2'")" 0
app east "INSERT INTO household VALUES('h3', 'B-3', 'again', NULL, NULL)"
everyone
same "$(app hub "SELECT count(*) FROM residence WHERE id = 's2'")" 1 "it comes in with its parent"

# --- an appointment overlapping: one post, two officers; the second comes in when the first leaves
meet "INSERT INTO appointment VALUES('a1', 'chief', 'Dara', NULL)" "INSERT INTO appointment VALUES('a2', 'chief', 'Bopha', NULL)"
same "$(app hub "SELECT officer FROM appointment WHERE post = 'chief' AND to_at IS NULL")" Dara "one officer in a post"
same "$(held appointment)" '"a2":unique:west'
app hub "UPDATE appointment SET to_at = 2027 WHERE id = 'a1'"
everyone
same "$(app east "SELECT officer FROM appointment WHERE post = 'chief' AND to_at IS NULL")" Bopha "the next one in the post"

# --- INSERT OR REPLACE that evicts a row by its unique number, beside an edit of the evicted row: the edit keeps the
# row, whose claim to the number is the earlier one; what replaced it is held, and neither is gone
meet "INSERT OR REPLACE INTO household VALUES('h9', 'B-2', 'evicts', NULL, NULL)" "UPDATE household SET phone = '099' WHERE id = 'h2'"
same "$(app hub "SELECT group_concat(id || phone) FROM household WHERE book_no = 'B-2'")" h2099 "the earlier claim to the number"
same "$(held household)" '"h9":unique:east' "what evicted it is held, not gone"
same "$(conflicts household '"h2"')" "exists:update-wins:open"
app hub "UPDATE household SET book_no = 'B-22' WHERE id = 'h2'"
everyone
same "$(app east "SELECT group_concat(id || village || book_no) FROM (SELECT * FROM household WHERE id IN ('h2', 'h9') ORDER BY id)")" \
    "h2PhnomB-22,h9evictsB-2" "both stand, whole"
same "$(held household)" ""

# --- and without an edit: the evicted row is deleted everywhere
meet "INSERT OR REPLACE INTO household VALUES('h8', 'B-22', 'evicts', NULL, NULL)" "SELECT 1"
same "$(app west "SELECT group_concat(id) FROM household WHERE id IN ('h2', 'h8')")" h8 "an eviction is a delete"
