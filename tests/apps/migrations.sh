#!/usr/bin/env bash
# A table is rebuilt by the tool that wrote the application, with rows changed in the same migration: while the
# node runs and while it does not, at a leaf, in the middle and at the hub, and twice in a row. Nothing is lost or
# held, what others wrote meanwhile stands, and all offices are equal.
#
#   migrations.sh COMMAND...    COMMAND DATABASE create | COMMAND DATABASE migrate VALUE LENGTH
#
# `create` makes the table household(id, name, village, n) with a text key; `migrate` changes the type of its
# column `name` to that length, writes VALUE into the name of row 1 and enters row mVALUE.
. "$(dirname "$0")/../integration/lib.sh"
command=("$@")
NAME="migrations of ${command[*]##*/}"
SCHEMA=
TABLES=household
CHARTER="federation: migrations
schema_version: 1
tables:
  - name: household
"
ALL="hub province leaf"

# by name: some tools put the columns into another order
contents() {
    sqlite3 -cmd '.timeout 10000' -cmd '.mode quote' "$ROOT/$1/app.db" \
        "SELECT id, name, village, n FROM household ORDER BY id; ${2:-}"
}
application() { # OFFICE WORDS...
    local office=$1
    shift
    "${command[@]}" "$ROOT/$office/app.db" "$@" >"$ROOT/out" 2>&1 || fail "$* at $office: $(cat "$ROOT/out")"
}
# everywhere VALUE: waits until the migration of that value is everywhere
everywhere() {
    local office left=600 what="SELECT (SELECT name FROM household WHERE id = '1') || (SELECT count(*) FROM
      household WHERE id = 'm$1')"
    for office in $ALL; do
        until [ "$(app "$office" "$what")" = "${1}1" ]; do
            left=$((left - 1))
            [ "$left" -gt 0 ] || fail "$1 is not at $office: $(contents "$office")"
            sleep 0.1
        done
    done
    settle leaf province hub province leaf
    # shellcheck disable=SC2086
    all_equal $ALL
    for office in $ALL; do same "$(app "$office" "SELECT count(*) FROM tonle_held")" 0 "held at $office after $1"; done
}

mkdir -p "$ROOT/hub"
application hub create
make_hub "INSERT INTO household(id, name, village, n) VALUES('1', 'a', 'b', 1), ('2', 'a', 'b', 1), ('3', 'c', 'd', 2);"
start hub
add_office province 12 hub
add_office leaf 1201 province
settle hub province leaf

app hub "UPDATE household SET village = 'by the hub' WHERE id = '2'"
for office in leaf province hub; do
    application "$office" migrate "running-$office" 200
    everywhere "running-$office"
done
stop leaf
app hub "UPDATE household SET village = 'meanwhile' WHERE id = '3'"
application leaf migrate off-leaf 300
app leaf "UPDATE household SET n = 7 WHERE id = '2'"
start leaf
everywhere off-leaf
same "$(app leaf "SELECT village FROM household WHERE id = '3'")" meanwhile "what the hub wrote"
same "$(app hub "SELECT n || village FROM household WHERE id = '2'")" "7by the hub" "what was written behind the migration"
for office in province hub; do
    stop "$office"
    application "$office" migrate "off-$office" 301
    start "$office"
    everywhere "off-$office"
done
application leaf migrate first 303
application leaf migrate second 304
everywhere second
same "$(app hub "SELECT name FROM household WHERE id = 'mfirst'")" "made by first"
expect 0 t leaf verify
