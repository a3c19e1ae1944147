#!/bin/sh
# The demo registry: its schema, its made-up people and its charter fit together. demo.sh DEMO_DIR
#
# The generated rows pass every constraint, are the same each time, and are some thousands; the charter
# names exactly the schema's tables.
set -eu
demo=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

fill() { # DATABASE
    { cat "$demo/schema.sql" && sh "$demo/generate.sh"; } | sqlite3 -bail "$1"
    sqlite3 "$1" .dump | cksum
}
first=$(fill "$work/a.db")
second=$(fill "$work/b.db")
[ "$first" = "$second" ] || { echo "two runs made different rows" && exit 1; }

broken=$(sqlite3 "$work/a.db" 'PRAGMA foreign_key_check; PRAGMA quick_check;')
[ "$broken" = ok ] || { echo "not sound: $broken" && exit 1; }

people=$(sqlite3 "$work/a.db" 'SELECT count(*) FROM resident')
names=$(sqlite3 "$work/a.db" 'SELECT count(DISTINCT family_name_km || given_name_km || family_name_latin) FROM resident')
if [ "$people" -lt 2000 ] || [ "$names" -lt 200 ]; then
    echo "only $people residents, $names names"
    exit 1
fi

# one district after the other is the same as all of them
{ cat "$demo/schema.sql" && sh "$demo/generate.sh" reference; for district in 0702 0708 0801 0803; do
    sh "$demo/generate.sh" $district; done; } | sqlite3 -bail "$work/c.db"
[ "$(sqlite3 "$work/c.db" .dump | cksum)" = "$first" ] || { echo "the parts are not the whole" && exit 1; }

tables=$(sqlite3 "$work/a.db" "SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name")
named=$(sed -n 's/^  - name: //p' "$demo/charter.yaml" | LC_ALL=C sort)
[ "$tables" = "$named" ] || { echo "the schema has $tables; the charter names $named" && exit 1; }
echo "$people residents, $names names, $(echo "$tables" | wc -l) tables"
