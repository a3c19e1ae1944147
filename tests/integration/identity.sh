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
    DEPTH=1 fail "$1 never has $2 = $3: $(cat "$ROOT/out")"
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
until_status province '$.parent.line' '*'
expect 4 t province status --json
grep -q restored "$ROOT/out" || fail "no reason names the restore: $(cat "$ROOT/out")"
same "$(app hub "SELECT count(*) FROM note")" 2 "what a restored office wrote does not spread"
same "$(app province "SELECT count(*) FROM note WHERE no = 3")" 1 "and is not lost"
stop province

# --- a second node on one directory
expect 1 t hub run
says "runs on"

# --- an unknown key: an invitation with another secret is refused by the hub, and changes nothing
invite other 13 hub
body=$(sed 's/^tonle1://' "$ROOT/other.invitation" | tr '_-' '/+')
while [ $((${#body} % 4)) -ne 0 ]; do body="$body="; done
printf '%s' "$body" | base64 -d >"$ROOT/other.json"
grep -q '"' "$ROOT/other.json" || fail "an invitation is JSON inside"
key=$(sqlite3 :memory: "SELECT key FROM json_each(CAST(readfile('$ROOT/other.json') AS TEXT)) WHERE key LIKE '%secret%'")
old=$(json "\$.$key" "$ROOT/other.json")
new="$(printf '%s' "$old" | cut -c1-8 | tr '0-9a-fA-F' '1-9a-f0A-F0')$(printf '%s' "$old" | cut -c9-)"
[ "$old" != "$new" ] || fail "the secret did not change"
printf 'tonle1:%s\n' "$(sed "s#$old#$new#" "$ROOT/other.json" | base64 -w0 | tr '/+' '_-' | tr -d '=')" >"$ROOT/forged.invitation"
mkdir "$ROOT/forged"
expect 6 t forged join --db "$ROOT/forged/app.db" --invitation "$ROOT/forged.invitation"
[ ! -e "$ROOT/forged/app.db" ] || fail "a refused join made a database"
expect 0 t hub node list --json
same "$(sqlite3 :memory: "SELECT json_extract(value, '$.state') FROM json_each(CAST(readfile('$ROOT/out') AS TEXT), '$.nodes')
  WHERE json_extract(value, '$.name') = 'other'")" invited
