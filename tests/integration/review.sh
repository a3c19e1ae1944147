#!/usr/bin/env bash
# The review desk, with real processes: a decision made at one office closes the conflict everywhere, stays in
# the history, may be taken again; who may not decide is refused; two who decide apart make a new conflict; held
# rows are changed, merged and dropped; a supervisor gets all of it as CSV and JSON.
LEAKS=1
. "$(dirname "$0")/lib.sh"

export USER=tester
unset SUDO_USER LOGNAME
SCHEMA="
CREATE TABLE person(id TEXT PRIMARY KEY NOT NULL, number TEXT UNIQUE, family TEXT, given TEXT, phone TEXT,
  points INTEGER) WITHOUT ROWID;
CREATE TABLE visit(no INTEGER PRIMARY KEY NOT NULL, what TEXT) WITHOUT ROWID;"
TABLES="person visit tonle_decision"
CHARTER="federation: test-registry
schema_version: 1
review_by: any
tables:
  - name: person
    columns:
      - { name: phone, policy: review, fallback: latest }
      - { name: points, policy: max }
    groups:
      - { name: full_name, columns: [family, given], policy: review }
  - name: visit
"
rows() { sqlite3 :memory: "SELECT $1 FROM json_each(CAST(readfile('$ROOT/out') AS TEXT), '$2') ${3:-}"; }
# conflict CELL [STATE]: the id of the one conflict of that cell, out of a list at $OFFICE
conflict() {
    expect 0 t "$OFFICE" conflict list --cell "$1" --state "${2:-open}" --json
    same "$(rows 'count(*)' '$.conflicts')" 1 "conflicts of $1 at $OFFICE"
    json '$.conflicts[0].id'
}
# side ID OFFICE: the dot of that office's side
side() {
    expect 0 t "$OFFICE" conflict show "$1" --json
    rows "json_extract(value, '$.dot')" '$.conflict.sides' "WHERE json_extract(value, '$.office') = '$2'"
}
held() { # KEY: the id of what is held there
    expect 0 t "$OFFICE" held list --json
    rows "json_extract(value, '$.id')" '$.held' "WHERE json_extract(value, '$.key') = '$1'"
}
everywhere() { settle province hub province; all_equal hub province; }
# apart HUB_SQL PROVINCE_SQL: both write while the line is down
apart() {
    stop province
    app hub "$1"
    settle hub
    app province "$2"
    start province
    wait_for province connected
    everywhere
}

make_hub
start hub
wait_for hub connected
app hub "INSERT INTO person VALUES('p1', 'n1', 'Sok', 'Dara', '011', 1); INSERT INTO visit VALUES(1, 'w')"
settle hub
add_office province 12 hub
settle hub province

# ---- a decision closes the conflict everywhere
apart "UPDATE person SET phone = '021', family = 'Sok', given = 'Rith', points = 5" \
      "UPDATE person SET phone = '012', family = 'Som', given = 'Dara', points = 3"
OFFICE=province
id=$(conflict phone)
expect 2 t province conflict resolve "$id" --take "$(side "$id" hub)"
says "--reason"
expect 2 t province conflict resolve "$id" --reason x
expect 2 t province conflict resolve "$id" --take 12 --reason x
says "its sides are of"
expect 1 t province conflict resolve ffffffff --set phone=1 --reason x
says "tonle conflict list"
dot=$(side "$id" hub)
expect 0 t province conflict show "$id"
grep -qF -- "--take $dot" "$ROOT/err" || fail "the command that settles it is not shown: $(cat "$ROOT/err")"
t province conflict show "$id" >"$ROOT/out" 2>&1
sed -n '/who may decide: every office (review_by: any)/,$p' "$ROOT/out" | grep -qF -- "--take $dot" ||
    fail "who may decide does not stand before the commands: $(cat "$ROOT/out")"
expect 0 t province conflict show "$id" --json
same "$(json '$.conflict.who_may_decide.review_by') $(json '$.conflict.who_may_decide.here')" "any 1"
expect 0 t province conflict resolve "${id:0:8}" --take "$dot" --reason "asked by telephone" --by chan --json
[ "$(json '$.sealed')" != "" ] || fail "not sealed: $(cat "$ROOT/out")"
sealed=$(json '$.sealed')
everywhere
same "$(app hub "SELECT phone FROM person")" 021
expect 0 t hub conflict show "$id" --json
same "$(json '$.conflict.state')" resolved
same "$(json '$.conflict.successor')" "$sealed" "what closed it"
same "$(json '$.conflict.decisions[0].operator') $(json '$.conflict.decisions[0].reason')" "chan asked by telephone"
same "$(json '$.conflict.before.value')" 011 "what stood before"
same "$(json '$.conflict.now.value')" 021
expect 8 t hub conflict resolve "$id" --take "$dot" --reason "once more"
says "nothing is changed"
expect 8 t province conflict resolve "$id" --set phone=021 --reason "once more"
same "$(app hub "SELECT count(*) FROM tonle_decision")" 1 "what changes nothing is no decision"
expect 0 t hub history person p1 --json
grep -qF "$sealed" "$ROOT/out" || fail "the history does not know $sealed"

# ---- only the columns that differ; a group whole
OFFICE=hub
id=$(conflict full_name)
expect 0 t hub conflict show "$id"
grep -qF 'given="Rith"' "$ROOT/out" || fail "the differing member is not shown: $(cat "$ROOT/out")"
expect 0 t hub conflict resolve "$id" --set given=Vuthy --set family=Som --reason "as in the register"
everywhere
same "$(app province "SELECT family || ' ' || given FROM person")" "Som Vuthy"

# ---- taken again, and by two apart
OFFICE=province
id=$(conflict phone resolved)
expect 0 t province conflict resolve "$id" --take province --reason "it was the other one"
everywhere
same "$(app hub "SELECT phone FROM person")" 012
OFFICE=hub
dot=$(side "$id" hub)
own=$(side "$id" province)
stop province
expect 0 t hub conflict resolve "$id" --take "$dot" --reason "the hub says" --by sok
expect 8 t province conflict resolve "$id" --take "$own" --reason "it stands already" --by som
expect 0 t province conflict resolve "$id" --set phone=013 --reason "the province says" --by som
grep -qF "when the node runs" "$ROOT/out" || fail "no word that the node is stopped: $(cat "$ROOT/out")"
settle hub
start province
wait_for province connected
everywhere
again=$(conflict phone)
[ "$again" != "$id" ] || fail "the same conflict is open again"
expect 0 t hub conflict show "$again" --json
same "$(rows "group_concat(json_extract(value, '$.decision.operator'))" '$.conflict.sides' "ORDER BY 1" | tr , '\n' | sort | tr '\n' ' ')" "sok som " "sides name their decisions"
expect 0 t hub conflict show "$again"
grep -qF "the province says" "$ROOT/out" || fail "no decision beside its side: $(cat "$ROOT/out")"

# ---- resolve --all counts first, and asks
expect 2 t hub conflict resolve --all --policy max --table person --reason x </dev/null
says "1 open conflict of person"
expect 1 t hub conflict resolve --all --policy min --table person --reason x --yes
expect 0 t hub conflict resolve --all --policy max --table person --reason "the larger is right" --yes
everywhere
expect 0 t province conflict resolve --all --policy review --table person --column phone --reason "settled" --yes
everywhere
expect 0 t hub status --json
same "$(json '$.conflicts_open')" 0 "open after resolve --all"

# ---- births: both stay
apart "INSERT INTO person VALUES('p2', NULL, 'Chan', 'Hub', NULL, 1); INSERT INTO visit VALUES(7, 'hub')" \
      "INSERT INTO person VALUES('p2', NULL, 'Chea', 'Province', NULL, 2); INSERT INTO visit VALUES(7, 'province')"
expect 4 t province status
grep -qE "held rows: 2 \([0-9] of this office\)" "$ROOT/out" || fail "own held rows are not counted: $(cat "$ROOT/out")"
OFFICE=hub
expect 0 t hub conflict list --open --table person --json
id=$(json '$.conflicts[0].id')
expect 0 t hub conflict resolve "$id" --keep-both --reason "two people"
everywhere
same "$(app province "SELECT group_concat(given, ' ') FROM (SELECT given FROM person WHERE id LIKE 'p2%' ORDER BY id)")" "Hub Province"
expect 0 t hub conflict list --open --table visit --json
id=$(json '$.conflicts[0].id')
expect 2 t hub conflict resolve "$id" --keep-both --reason "two visits"
says "--set no=VALUE"
expect 1 t hub conflict resolve "$id" --keep-both --set no=1 --reason "two visits"
expect 0 t hub conflict resolve "$id" --keep-both --set no=8 --reason "two visits"
everywhere
same "$(app province "SELECT group_concat(no) FROM (SELECT no FROM visit ORDER BY no)")" 1,7,8
expect 0 t hub status --json
same "$(json '$.held') $(json '$.conflicts_open')" "0 0"

# ---- held rows
apart "INSERT INTO person(id, number, given) VALUES('a1', 'x', 'A1'), ('b1', 'y', 'B1'), ('c1', 'z', 'C1')" \
      "INSERT INTO person(id, number, given, phone) VALUES('a2', 'x', 'A2', '1'), ('b2', 'y', 'B2', '2'), ('c2', 'z', 'C2', '3')"
OFFICE=hub
expect 0 t hub held show "$(held a2)"
grep -qF 'in its way: person "a1"' "$ROOT/out" || fail "the row in its way is not shown: $(cat "$ROOT/out")"
grep -qF "tonle held merge" "$ROOT/err" || fail "no command that settles it"
expect 2 t hub held drop "$(held a2)"
says "--reason"
expect 8 t hub held set "$(held a2)" number=x
says "nothing is changed"
expect 0 t hub held set "$(held a2)" number=x2
expect 0 t province held merge "$(OFFICE=province held b2)" --reason "the same person"
everywhere
expect 0 t hub held drop "$(held c2)" --reason "a test entry" --by $'\033[8mhidden'
expect 1 t hub held drop 0123456789abcdef --reason x
says "tonle held list"
everywhere
same "$(app province "SELECT group_concat(id || number || coalesce(phone, ''), ' ') FROM (SELECT * FROM person WHERE number IS NOT NULL AND id <> 'p1' ORDER BY id)")" \
     "a1x a2x21 b1y2 c1z"
expect 0 t province status --json
same "$(json '$.held') $(json '$.conflicts_open')" "0 0"

# ---- a decision that makes a row unable to stand says so
apart "UPDATE person SET points = 5 WHERE id = 'c1'" "UPDATE person SET points = 6 WHERE id = 'c1'"
OFFICE=hub
expect 0 t hub conflict resolve "$(conflict points)" --set points=3 --reason x --json
same "$(json_type '$.held')" null "a row that stands"
app hub "INSERT INTO person(id, number) VALUES('d1', 'd')"
everywhere
apart "INSERT INTO person(id, given) VALUES('e1', 'Hub')" "INSERT INTO person(id, number, given) VALUES('e1', 'e', 'Province')"
expect 0 t hub held set "$(held e1)" number=d --reason x
grep -qF "is held (another record" "$ROOT/err" || fail "no word that it is held still: $(cat "$ROOT/err")"
expect 0 t hub held drop "$(held e1)" --reason x
everywhere

# ---- who writes control characters steers nobody's terminal
expect 0 t hub history person c2
grep -qF '\x1b[8mhidden' "$ROOT/out" || fail "the operator's name is not shown: $(cat "$ROOT/out")"
"$TONLE" history person p1 --dir "$ROOT/hub/node" >/dev/full 2>"$ROOT/err"
same $? 1 "history into a full disk"
! grep -q $'\033' "$ROOT/out" || fail "an escape sequence reaches the terminal: $(cat -v "$ROOT/out")"

# ---- for a supervisor
expect 2 t hub conflict export
expect 0 t hub conflict export --csv "$ROOT/export.csv" --table person
expect 1 t hub conflict export --csv "$ROOT/export.csv"
expect 0 t hub conflict export --json --table person
same "$(sqlite3 :memory: ".mode csv" ".import $ROOT/export.csv e" "SELECT count(*) FROM e")" \
     "$(sqlite3 :memory: "SELECT sum(json_array_length(value, '$.sides')) FROM json_each(CAST(readfile('$ROOT/out') AS TEXT), '$.conflicts')")" "one line a side"
same "$(sqlite3 :memory: ".mode csv" ".import $ROOT/export.csv e" ".mode list" "SELECT group_concat(DISTINCT value) FROM e WHERE cell = 'phone' AND office = 'hub' AND shown = 'no'")" 021
apart "UPDATE person SET phone = NULL WHERE id = 'b1'" "UPDATE person SET phone = '' WHERE id = 'b1'"
expect 0 t hub conflict export --csv --cell phone --open
same "$(cut -d, -f9,14 "$ROOT/out" | tr -d '\r' | sort | tr '\n' ' ')" 'hub, office,value province,"" ' "NULL and the empty text"

# ---- who may decide is in the charter
for office in province hub; do stop "$office"; done
rm -rf "$ROOT/hub" "$ROOT/province"
CHARTER=${CHARTER/review_by: any/review_by: national}
make_hub "INSERT INTO person VALUES('p1', 'n1', 'Sok', 'Dara', '011', 1)"
start hub
wait_for hub connected
add_office province 12 hub
settle hub province
apart "UPDATE person SET phone = '021'" "UPDATE person SET phone = '012'"
OFFICE=province
id=$(conflict phone)
expect 6 t province conflict resolve "$id" --set phone=1 --reason x
says "not to this office"
expect 6 t province conflict resolve --all --policy review --table person --reason x --yes
same "$(app province "SELECT count(*) FROM tonle_decision")" 0 "nothing is changed by a refused decision"
expect 0 t hub conflict resolve "$id" --set phone=1 --reason x
everywhere
same "$(app province "SELECT phone FROM person")" 1
