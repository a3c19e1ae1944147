#!/usr/bin/env bash
# What others wrote reaches no terminal, log or spreadsheet as anything but words: values, keys, names of columns,
# reasons of decisions and of triggers with control characters, bidirectional controls and line feeds in them.
LEAKS=1
. "$(dirname "$0")/lib.sh"

ESC=$(printf '\033[2J\007') C1=$(printf '\302\233') BIDI=$(printf '\342\200\256') LF=$'\nforged: line'
BAD="$ESC$C1$BIDI$LF"
KHMER=$(printf '\341\236\200\342\200\213\341\236\224')
make_hub "INSERT INTO household VALUES('h1', '=1+1', 'v')"
start hub
add_office province 12 hub
settle hub province
cut_power province
app hub "INSERT INTO household VALUES('x$BAD', 'B-7', 'hub'); INSERT INTO resident(id, name) VALUES('r$BAD', 'hub $BAD');
  UPDATE household SET village = '=cmd $BAD' WHERE id = 'h1'"
settle hub
app province "CREATE TRIGGER \"t$BAD\" BEFORE INSERT ON note BEGIN SELECT RAISE(ABORT, 'no $BAD $KHMER'); END;
  INSERT INTO household VALUES('y$BAD', 'B-7', 'province'); INSERT INTO resident(id, name) VALUES('r$BAD', 'here $BAD');
  UPDATE household SET village = '+other' WHERE id = 'h1'"
app hub "INSERT INTO note VALUES('12', 1, 'n')"
start province
wait_for province connected
settle hub province

# Nothing but line feeds, tabs and printable characters; no line of ours is one that a value made.
clean() { # FILE WHAT
    if LC_ALL=C grep -nP '[\x00-\x08\x0b-\x1f\x7f]|\xc2[\x80-\x9f]|\xe2\x80[\xa8-\xae]|\xe2\x81[\xa6-\xa9]' "$1" >"$ROOT/found"; then
        fail "$2 shows $(od -c "$ROOT/found" | head -5)"
    fi
    ! grep -q '^forged: line' "$1" || fail "$2 shows a line that a value made: $(cat "$1")"
}
look() { # COMMAND...
    t province "$@" >"$ROOT/out" 2>"$ROOT/err" </dev/null || true
    clean "$ROOT/out" "$*"
    clean "$ROOT/err" "$* (stderr)"
}
for json in '' --json; do
    for words in 'status' 'conflict list' 'held list' 'node list' 'doctor' 'verify' 'charter show'; do
        # shellcheck disable=SC2086
        look $words $json
    done
    expect 0 t province conflict list --json
    for id in $(sqlite3 :memory: "SELECT json_extract(value, '$.id') FROM json_each(CAST(readfile('$ROOT/out') AS TEXT), '$.conflicts')"); do
        look conflict show "$id" $json
    done
    expect 0 t province held list --json
    ids=$(sqlite3 :memory: "SELECT json_extract(value, '$.id') FROM json_each(CAST(readfile('$ROOT/out') AS TEXT), '$.held')")
    [ -n "$ids" ] || fail "nothing is held"
    for id in $ids; do
        look held show "$id" $json
    done
    look history resident "\"r$BAD\"" $json
    look history resident "r$BAD" $json
    look explain resident "r$BAD" $json
    look explain "no$BAD" "r$BAD" $json
    look history "no$BAD" 1 $json
done
expect 0 t province held list
grep -qF "no $KHMER" "$ROOT/out" || grep -qF "$KHMER" "$ROOT/out" || fail "Khmer is not shown as it is: $(cat "$ROOT/out")"
look "no$BAD"
look conflict show "no$BAD"
look held drop "no$BAD" --reason "r$BAD"

# A decision's words, at another office.
expect 0 t hub conflict list --json
id=$(sqlite3 :memory: "SELECT json_extract(value, '$.id') FROM json_each(CAST(readfile('$ROOT/out') AS TEXT), '$.conflicts')
  WHERE json_extract(value, '$.cell') = 'village'")
expect 0 t hub conflict resolve "$id" --set "village=decided $BAD" --reason "because $BAD"
settle hub province
look conflict show "$id"
look conflict show "$id" --json
look history household h1
expect 0 t province conflict export --csv # its lines end with CR and LF, and a quoted field may have a LF
tr -d '\r' <"$ROOT/out" | sed 's/^forged: line/the rest/' >"$ROOT/csv"
clean "$ROOT/csv" "conflict export"
grep -q "'=cmd" "$ROOT/out" || fail "a formula goes to a spreadsheet: $(cat "$ROOT/out")"
! grep -qE "(^|,)\"?[=@]" "$ROOT/out" || fail "a formula goes to a spreadsheet: $(cat "$ROOT/out")"
clean "$ROOT/hub/log" "the hub's log"
clean "$ROOT/province/log" "the log"
stop hub
stop province
