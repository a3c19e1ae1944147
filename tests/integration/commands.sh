#!/usr/bin/env bash
# Every command's exit codes and JSON shapes; what a person mistypes is answered with the nearest command.
LEAKS=1
. "$(dirname "$0")/lib.sh"

# --- without a node
expect 0 "$TONLE"
expect 0 "$TONLE" help
expect 0 "$TONLE" help hub init
expect 0 "$TONLE" --help
expect 0 "$TONLE" status --help
expect 0 "$TONLE" version
expect 0 "$TONLE" --version
grep -q "^tonle [0-9]" "$ROOT/out" || fail "--version prints $(cat "$ROOT/out")"
"$TONLE" help | sed -n 's/^  \([a-z ]*[a-z]\)  .*/\1/p' >"$ROOT/names"
[ "$(wc -l <"$ROOT/names")" -gt 20 ] || fail "the overview names $(cat "$ROOT/names")"
cut -d' ' -f1 "$ROOT/names" | sort -u >>"$ROOT/names" # "conflict" alone, too
while read -r command; do
    for help in "$command --help" "help $command" "$command -h"; do
        # shellcheck disable=SC2086
        expect 0 "$TONLE" $help
        grep -q "tonle $command" "$ROOT/out" || fail "tonle $help: $(cat "$ROOT/out")"
        [ ! -s "$ROOT/err" ] || fail "tonle $help: $(cat "$ROOT/err")"
    done
done <"$ROOT/names"
expect 2 "$TONLE" conflict
expect 2 "$TONLE" conflict --dir x
expect 0 "$TONLE" version --json
same "$(json '$.schema')" 1
expect 2 "$TONLE" statsu
says 'the nearest is "tonle status"'
expect 2 "$TONLE" juggle
says 'no command "juggle"'
grep -q nearest "$ROOT/err" && fail "nothing is near: $(cat "$ROOT/err")"
expect 2 "$TONLE" conflict lits
says "tonle conflict list"
expect 2 "$TONLE" status --jsno
says "--json"
expect 2 "$TONLE" status --dir
expect 2 "$TONLE" status extra words
expect 2 "$TONLE" --dir x status
for command in status "node list" "conflict list" "held list" verify "charter show" doctor run "history a b" "held retry --all"; do
    # shellcheck disable=SC2086
    expect 1 "$TONLE" $command --dir "$ROOT/nowhere"
    says "not the directory of a node"
done

# --- hub init refuses what is not fit
mkdir "$ROOT/bad"
printf '%s' "$CHARTER" >"$ROOT/charter.yaml"
bad_init() { t bad hub init --db "$ROOT/bad/app.db" --charter "$ROOT/charter.yaml" --listen tcp://127.0.0.1:0 "$@"; }
expect 1 bad_init
says "does not exist"
app bad "CREATE TABLE unrelated(a)"
expect 6 bad_init
says household
app bad "$SCHEMA PRAGMA foreign_keys=OFF; INSERT INTO resident(id, name, household_id) VALUES('r9', 'x', 'gone')"
expect 6 bad_init
says r9
app bad "DELETE FROM resident; INSERT INTO resident(id, name, photo) VALUES('r8', 'x', zeroblob(9000000))"
expect 6 bad_init
says "id='r8'"
app bad "DELETE FROM resident; VACUUM"
expect 2 bad_init --name "a name with spaces"
expect 2 t bad hub init --db "$ROOT/bad/app.db" --charter "$ROOT/charter.yaml" --listen nonsense
expect 2 t bad hub init --db "$ROOT/bad/app.db" --charter "$ROOT/charter.yaml"
expect 1 t bad hub init --db "$ROOT/bad/app.db" --charter "$ROOT/charter.yaml" --listen tcp://no.such.host.invalid:0
same "$(app bad "SELECT count(*) FROM sqlite_schema WHERE name LIKE 'tonle%'")" 0 "a refused init changed nothing"
printf 'federation: x\nschema_version: 1\ntables:\n  - name: household\n    colour: red\n' >"$ROOT/wrong.yaml"
expect 1 t bad hub init --db "$ROOT/bad/app.db" --charter "$ROOT/wrong.yaml" --listen tcp://127.0.0.1:0
says wrong.yaml:5
expect 6 "$TONLE" charter check "$ROOT/wrong.yaml" --json
same "$(json '$.ok')" 0
expect 1 "$TONLE" charter check "$ROOT/missing.yaml"
expect 0 "$TONLE" charter check "$ROOT/charter.yaml" --json
same "$(json '$.ok')" 1
expect 0 "$TONLE" charter check "$ROOT/charter.yaml" --db "$ROOT/bad/app.db"
app bad "DROP TABLE note"
expect 6 "$TONLE" charter check "$ROOT/charter.yaml" --db "$ROOT/bad/app.db" --json
same "$(json '$.findings[#-1].level')$(json '$.ok')" "$(json '$.findings[#-1].level')0"

# --- a hub, stopped
make_hub "INSERT INTO resident(id, name) VALUES('r1', 'one')"
same "$(app hub "PRAGMA journal_mode")" wal "the journal mode stays"
expect 1 t hub hub init --db "$ROOT/hub/app.db" --charter "$ROOT/charter.yaml" --listen tcp://127.0.0.1:0
says "already"
expect 3 t hub status --json
for field in schema node unit site children held conflicts_open clock sealed_seq synced; do
    [ "$(json_type "$.$field")" != absent ] || fail "status --json has no $field: $(cat "$ROOT/out")"
done
same "$(json '$.schema')" 1
same "$(json '$.node')" hub
same "$(json '$.synced')" 0 "a stopped node is not synced"
expect 3 t hub verify
expect 3 t hub status --wait synced --timeout 0

# --- node add
add() { t hub node add "$@"; }
expect 0 add --name province --unit 12
same "$(wc -l <"$ROOT/out")" 1 "one line"
grep -q '^tonle1:' "$ROOT/out" || fail "an invitation begins with tonle1:"
expect 0 add --name province --unit 12 --expires 1
expect 0 add --unit 11 --name other --read 12 --read 13
expect 2 add --name x
expect 2 add --name x --unit "1 2"
expect 2 add --name x --unit ""
expect 2 add --name "x y" --unit 3
expect 2 add --name x --unit 3 --expires 0
expect 1 add --name x --unit 3 --parent nobody
expect 1 add --name x --unit 3 --parent province
says "has not joined yet"
expect 1 add --name hub --unit 3
expect 0 t hub node list --json
same "$(json '$.schema')" 1
same "$(json '$.nodes[0].name')" hub
same "$(json '$.nodes[0].state')" active
same "$(json '$.nodes[1].reads[1]')" 13
same "$(json '$.nodes[2].state')" invited
expect 0 t hub node list

# --- running
start hub
wait_for hub connected
expect 0 t hub node add --name more --unit 14
expect 0 t hub charter show
grep -q "federation: test-registry" "$ROOT/out" || fail "charter show prints the file"
expect 0 t hub charter show --json
same "$(json '$.version')" 1
same "$(json '$.charter.federation')" test-registry
expect 0 t hub conflict list --json
same "$(json_type '$.conflicts')" array
expect 0 t hub held list --json
same "$(json_type '$.held')" array
app hub "UPDATE resident SET phone = '7' WHERE id = 'r1'"
wait_for hub synced
expect 0 t hub history resident r1 --json
same "$(json '$.history[#-1].values.phone')" 7
same "$(json '$.history[#-1].office')" hub
expect 0 t hub history note '["", 1]' --json
expect 1 t hub history nothing 1
expect 2 t hub history note 1
expect 2 t hub history note
"$TONLE" doctor --json --dir "$ROOT/hub/node" >"$ROOT/out" 2>"$ROOT/err"
case $? in 0 | 4) ;; *) fail "doctor: $(cat "$ROOT/out" "$ROOT/err")" ;; esac
same "$(json '$.schema')" 1
same "$(json '$.ok')" 1 "doctor"
chmod 755 "$ROOT/hub/node"
expect 1 t hub doctor --json
grep -q "chmod 0700" "$ROOT/out" || fail "doctor names the remedy"
chmod 700 "$ROOT/hub/node"
"$TONLE" status --dir "$ROOT/hub/node" | grep -q $'\033' && fail "colour without a terminal"
TONLE_DIR="$ROOT/hub/node" "$TONLE" status --json >"$ROOT/out" || fail "TONLE_DIR"
same "$(json '$.node')" hub
# --- who reads has what he wanted and is gone (`| head`): silence, and no error
for command in "node list" status "status --json" "conflict list" "conflict list --json" "conflict export --csv" \
    "held list" "held list --json" "history resident r1 --json"; do
    # shellcheck disable=SC2086
    { sleep 0.1; t hub $command 2>"$ROOT/err"; echo $? >"$ROOT/code"; } | true
    same "$(cat "$ROOT/code") $(cat "$ROOT/err")" "0 $([ "$command" != "conflict list" ] || echo "No conflict is on record.")$([ "$command" != "held list" ] || echo "No row is held.")" "tonle $command | head"
done
t hub status --json >/dev/full 2>"$ROOT/err" && fail "a full disk is not told"
says "could not be written"
kill -INT "${PID[hub]}"
wait "${PID[hub]}" || fail "Ctrl-C ended the node with $?"
unset "PID[hub]"
expect 4 t hub doctor --json
grep -q "tonle run" "$ROOT/out" || fail "doctor says how to start a node that is stopped"

# --- an application that was killed in the middle of a transaction leaves a journal to roll back
app hub "PRAGMA journal_mode=delete" >/dev/null
{ sqlite3 "$ROOT/hub/app.db" >/dev/null <<SQL
PRAGMA cache_size = 2;
BEGIN IMMEDIATE;
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 500) INSERT INTO note SELECT 'x', i, zeroblob(2000) FROM n;
.shell kill -9 \$PPID
SQL
} 2>/dev/null
[ -s "$ROOT/hub/app.db-journal" ] || fail "no journal to roll back"
expect 3 t hub status --json
expect 0 t hub conflict list
same "$(app hub "SELECT count(*) FROM note")" 0

# --- a missing or an empty database never becomes a mass delete: the node stops and says so
mv "$ROOT/hub/app.db" "$ROOT/hub/kept.db"
expect 1 t hub run
says "missing"
expect 1 t hub status
sqlite3 "$ROOT/hub/app.db" "CREATE TABLE x(a)"
expect 1 t hub run
says "replaced"
