#!/usr/bin/env bash
# A restored database, a second copy of an office, and a key that nobody knows are each refused, and said so.
. "$(dirname "$0")/lib.sh"

make_hub
start hub
add_office province 12 hub
app province "INSERT INTO note VALUES('12', 1, 'first')"
settle province hub

# --- a second copy: the whole office copied while it runs elsewhere
stop province
mkdir "$ROOT/copy"
cp -r "$ROOT/province/node" "$ROOT/copy/node"
cp "$ROOT/province/app.db" "$ROOT/copy/app.db"
sed -i "s#$ROOT/province/#$ROOT/copy/#; s#^listen:.*#listen: tcp://127.0.0.1:0#" "$ROOT/copy/node/node.yaml"
start province
wait_for province connected
start copy
until_status() { # OFFICE PATH GLOB: until the status has it
    local deadline=$((SECONDS + WAIT))
    while [ $SECONDS -lt $deadline ]; do
        t "$1" status --json --wait connected --timeout 0 >"$ROOT/out" 2>/dev/null
        # shellcheck disable=SC2254
        case "$(json "$2" 2>/dev/null)" in $3) return 0 ;; esac
    done
    fail "$1 never has $2 = $3: $(cat "$ROOT/out")"
}
until_status copy '$.parent.line' refused
until_status copy '$.reasons[0].text' '*second copy*'
app province "INSERT INTO note VALUES('12', 2, 'the right office works on')"
settle province hub
same "$(app hub "SELECT count(*) FROM note")" 2
stop copy

# --- a restored database: yesterday's file put back
stop province
cp "$ROOT/copy/app.db" "$ROOT/province/app.db"
rm -f "$ROOT/province/app.db-wal" "$ROOT/province/app.db-shm"
app province "INSERT INTO note VALUES('12', 3, 'after the restore')"
start province
until_status province '$.parent.line' refused
expect 4 t province status --json
grep -q restored "$ROOT/out" || fail "no reason names the restore: $(cat "$ROOT/out")"
same "$(app hub "SELECT count(*) FROM note")" 2 "what a restored office wrote does not spread"
same "$(app province "SELECT count(*) FROM note WHERE no = 3")" 1 "and is not lost"
stop province

# the way back that this version has: the office's tables in a new file, a new name, adopted
expect 2 t province join --db "$ROOT/province/app.db" --as-new-site
says "--mode adopt"
mkdir "$ROOT/again"
sqlite3 "$ROOT/province/app.db" ".dump household resident note" | sqlite3 "$ROOT/again/app.db"
invite again 12 hub
expect 0 join_office again --mode adopt
start again
settle again hub
same "$(app hub "SELECT text FROM note WHERE no = 3")" "after the restore" "what nobody had seen is published"
all_equal hub again
app again "INSERT INTO note VALUES('12', 4, 'captured again')"
settle again hub
same "$(app hub "SELECT count(*) FROM note WHERE no = 4")" 1

# --- a second node on one directory
expect 1 t hub run
says "runs on"

# --- an unknown key: an invitation that was withdrawn by a newer one is refused, and changes nothing
invite other 13 hub
mv "$ROOT/other.invitation" "$ROOT/old.invitation"
invite other 13 hub
mkdir "$ROOT/late"
expect 6 t late join --db "$ROOT/late/app.db" --invitation "$ROOT/old.invitation"
[ ! -e "$ROOT/late/app.db" ] || fail "a refused join made a database"
expect 0 t hub node list --json
same "$(sqlite3 :memory: "SELECT json_extract(value, '$.state') FROM json_each(CAST(readfile('$ROOT/out') AS TEXT), '$.nodes')
  WHERE json_extract(value, '$.name') = 'other'")" invited

# --- a parent that puts its own key in another office's place: who joins below it believes the hub alone
add_office liar 14 hub
settle liar hub
invite below 1401 liar
settle liar hub
app liar "CREATE TABLE kept AS SELECT * FROM tonle_site;
  UPDATE tonle_site SET sign_key = (SELECT sign_key FROM kept WHERE node = 'liar') WHERE node = 'again'"
expect 6 join_office below
says "tonle_site of what liar sent is not what the hub has signed"
[ ! -e "$ROOT/below/app.db" ] || fail "a refused join made a database"
expect 4 t liar status
grep -q "not what the hub has signed" "$ROOT/out" || fail "no reason names it: $(cat "$ROOT/out")"
app liar "UPDATE tonle_site SET sign_key = (SELECT sign_key FROM kept WHERE node = 'again') WHERE node = 'again';
  DROP TABLE kept"
expect 0 join_office below
start below
settle below liar hub
