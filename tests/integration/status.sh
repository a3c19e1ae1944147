#!/usr/bin/env bash
# Text, JSON and exit code of `tonle status` say the same, and none of them is green while anything is not
# well: a port that is taken, a line that is down, what waits, a table that does not fit, held rows, what
# differs, a database that is not ours, a wrong clock.
. "$(dirname "$0")/lib.sh"

codes() { sqlite3 :memory: "SELECT group_concat(c, ' ') FROM (SELECT json_extract(value, '$.code') AS c
  FROM json_each(CAST(readfile('$ROOT/status.json') AS TEXT), '$.reasons'))"; }
texts() { sqlite3 :memory: "SELECT json_extract(value, '$.text') FROM json_each(CAST(readfile('$ROOT/status.json') AS TEXT), '$.reasons')"; }
same_everywhere() { # EXIT: what JSON, text and exit codes said last
    local line
    same "$json_code $text_code" "$1 $1" "exit codes of --json and of the text"
    case $1 in
    0) same "$(json '$.state' "$ROOT/status.json")" green ;;
    3) same "$(json '$.state' "$ROOT/status.json")" stopped ;;
    *) case $(json '$.state' "$ROOT/status.json") in waiting | degraded) ;; *) fail "$(cat "$ROOT/status.json")" ;; esac ;;
    esac
    if [ "$1" = 0 ]; then
        same "$(codes)" "" "reasons of a green status"
        grep -qF "all is well" "$ROOT/status.text" || fail "a green text says so: $(cat "$ROOT/status.text")"
        ! grep -q "next:" "$ROOT/status.text" || fail "a green text has a next step: $(cat "$ROOT/status.text")"
    else
        ! grep -qF "all is well" "$ROOT/status.text" || fail "green text: $(cat "$ROOT/status.text")"
        while IFS= read -r line; do
            grep -qF -- "$line" "$ROOT/status.text" || fail "the text has no word of: $line: $(cat "$ROOT/status.text")"
        done < <(texts)
    fi
}
ask() {
    t "$1" status --json >"$ROOT/status.json" 2>"$ROOT/err"
    json_code=$?
    t "$1" status >"$ROOT/status.text" 2>>"$ROOT/err"
    text_code=$?
}
# shows OFFICE EXIT [CODE...]: soon, and then in all three; no CODE: nothing is listed.
shows() {
    local office=$1 want=$2 deadline=$((SECONDS + WAIT)) code good
    shift 2
    while :; do
        ask "$office"
        good=$((json_code == want && text_code == want))
        for code in "$@"; do [[ " $(codes) " == *" $code "* ]] || good=0; done
        [ $good = 0 ] || break
        [ $SECONDS -lt $deadline ] || fail "$office: exits $json_code $text_code, not $want ($*): $(cat "$ROOT/status.json" "$ROOT/status.text")"
    done
    same_everywhere "$want"
}

make_hub
shows hub 3 not-running
start hub
wait_for hub synced
shows hub 0
add_office province 12 hub
settle province hub
shows province 0

# --- the port could not be bound: another federation's hub has the address
mkdir "$ROOT/other"
app other "$SCHEMA"
sed 's/test-registry/other-registry/' "$ROOT/charter.yaml" >"$ROOT/other.yaml"
endpoint=$(sed -n 's/^listen: *//p' "$ROOT/hub/node/node.yaml" | tr -d '"')
expect 0 t other hub init --db "$ROOT/other/app.db" --charter "$ROOT/other.yaml" --listen "$endpoint"
start other
shows other 4 listen
stop hub
shows other 0

# --- another program holds the database's lock: nothing is known for sure
sqlite3 "$ROOT/other/app.db" 'BEGIN EXCLUSIVE' ".shell touch $ROOT/locked; while [ -e $ROOT/locked ]; do sleep 0.05; done" &
until [ -e "$ROOT/locked" ]; do sleep 0.05; done
t other status >"$ROOT/out" 2>"$ROOT/err"
code=$?
rm "$ROOT/locked"
wait $!
case $code in 4 | 5) ;; *) fail "exit $code of an office whose database is locked: $(cat "$ROOT/out")" ;; esac
shows other 0
stop other

# --- the line is down, and something waits
app province "INSERT INTO note VALUES('12', 1, 'x')"
shows province 4 line waiting
[ "$(json '$.synced' "$ROOT/status.json")" = 0 ] || fail "synced without a line"
grep -qE "wait to be taken there \(for [0-9]+ s\)" "$ROOT/status.text" || fail "no age: $(cat "$ROOT/status.text")"
start hub
settle province hub
shows province 0
shows hub 0

# --- an office that is away
stop province
shows hub 4 line
shows province 3 not-running
start province
settle province hub
shows hub 0

# --- a table that does not fit
app province "ALTER TABLE note RENAME COLUMN text TO words"
shows province 4 capture-gap
app province "ALTER TABLE note RENAME COLUMN words TO text"
shows province 0
stop province
app province "ALTER TABLE note RENAME TO notes"
shows province 3 not-running table
app province "ALTER TABLE notes RENAME TO note"
start province
settle province hub
shows province 0

# --- rows are held
stop province
app hub "INSERT INTO resident(id, name) VALUES('both', 'hub')"
app province "INSERT INTO resident(id, name) VALUES('both', 'province')"
start province
settle province hub
shows province 4 held
shows hub 4 held
expect 0 t province status --wait synced --timeout 20 # what waits is what scripts wait for
expect 0 t hub held list --json
expect 0 t hub held drop "$(json '$.held[0].id')" --reason "the same person"
settle hub province
shows province 0
shows hub 0

# --- what differs waits for a person
sqlite3 -bail -cmd '.timeout 10000' -cmd '.dbconfig enable_trigger off' "$ROOT/province/app.db" "UPDATE note SET text = 'secret'" >/dev/null
expect 7 t province verify --local
shows province 4 differs
expect 0 t province verify --repair --take parent
shows province 0

# --- the database is not ours any more: an older copy in its place
stop province
sqlite3 "$ROOT/province/app.db" ".backup $ROOT/older.db"
start province
settle province hub
app province "INSERT INTO note VALUES('12', 2, 'since')"
settle province hub
stop province
stop hub
rm -f "$ROOT"/province/app.db-*
mv "$ROOT/province/app.db" "$ROOT/newest.db"
cp "$ROOT/older.db" "$ROOT/province/app.db"
shows province 3 not-running database
start province
shows province 4 database line
stop province
rm -f "$ROOT"/province/app.db-*
mv "$ROOT/newest.db" "$ROOT/province/app.db"
start hub
start province
settle province hub
shows province 0

# --- the clock is wrong
if command -v faketime >/dev/null; then
    # shellcheck disable=SC2016
    PRELOAD=$(faketime -f +0d sh -c 'echo "$LD_PRELOAD"')
    stop province
    LD_PRELOAD=$PRELOAD FAKETIME=+2d DONT_FAKE_MONOTONIC=1 ASAN_OPTIONS="${ASAN_OPTIONS:-}:verify_asan_link_order=0" \
        "$TONLE" run --dir "$ROOT/province/node" >>"$ROOT/province/log" 2>&1 &
    PID[province]=$!
    settle province
    shows province 4 clock
    stop province
    start province
    settle province hub
    shows province 0
fi
