#!/usr/bin/env bash
# Two offices edit while the line between them is cut: different fields are merged, one field written twice
# is one conflict with both values at every office, and the office that was away catches up.
. "$(dirname "$0")/lib.sh"

make_hub
start hub
add_office province 12 hub
add_office district 1201 province
settle hub province district
app hub "INSERT INTO resident(id, name) VALUES('r1', 'first'), ('r2', 'second'), ('r3', 'third')"
settle hub province district

cut_power hub
app hub "UPDATE resident SET name = 'hub says' WHERE id = 'r1';
  UPDATE resident SET age = 40 WHERE id = 'r2'; UPDATE resident SET phone = '1' WHERE id = 'r3'"
app district "UPDATE resident SET name = 'district says' WHERE id = 'r1';
  UPDATE resident SET weight = 2.5 WHERE id = 'r2'; INSERT INTO note VALUES('1201', 1, 'written meanwhile')"
settle district
same "$(app province "SELECT text FROM note")" "written meanwhile" "the rest of the tree works on"
expect 4 t province status --json
same "$(json '$.parent.name')" hub
[ "$(json '$.parent.line')" != connected ] || fail "the line to a hub that is off is shown as connected"
[ "$(json '$.parent.pending_out')" -gt 0 ] || fail "nothing waits for the hub"
same "$(json '$.synced')" 0

start hub
settle province hub province district
all_equal hub province district
same "$(app hub "SELECT age || ' ' || weight FROM resident WHERE id = 'r2'")" "40 2.5" "different fields of one row"

for office in hub province district; do
    expect 0 t "$office" conflict list --json
    same "$(json '$.schema')" 1
    same "$(json '$.conflicts[#-1].id')" "$(json '$.conflicts[0].id')" "one conflict at $office"
    same "$(json '$.conflicts[0].table')" resident
    same "$(json '$.conflicts[0].key')" r1
    same "$(json '$.conflicts[0].cell')" name
    same "$(json '$.conflicts[0].policy')" latest
    same "$(json '$.conflicts[0].state')" auto "what latest decides is recorded closed"
    values=$(sqlite3 :memory: "SELECT group_concat(v) FROM (SELECT json_extract(value, '$.office') || ':' ||
      json_extract(value, '$.value') AS v FROM json_each(CAST(readfile('$ROOT/out') AS TEXT), '$.conflicts[0].sides') ORDER BY 1)")
    same "$values" "district:district says,hub:hub says" "both values at $office"
    json '$.conflicts[0].sides[0].at' | grep -qE '^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:]{8}\.[0-9]{3}Z$' || fail "the time of a side"
    json '$.conflicts[0].sides[0].dot' | grep -qE '^[0-9a-f]{16}:[0-9]+$' || fail "the dot of a side"
    id=$(json '$.conflicts[0].id')
    expect 0 t "$office" conflict show "$id" --json
    same "$(json '$.conflict.id')" "$id"
    same "$(json '$.conflict.before.value')" first "what stood before is shown"
    expect 0 t "$office" conflict list --open --json
    same "$(json_type '$.conflicts[0]')" absent "no conflict is open"
done
expect 0 t district history resident r1 --json
names=$(sqlite3 :memory: "SELECT group_concat(json_extract(value, '$.office') || ':' || json_extract(value, '$.values.name'))
  FROM json_each(CAST(readfile('$ROOT/out') AS TEXT), '$.history') WHERE json_extract(value, '$.values.name') LIKE '%says'
  ORDER BY 1")
case $names in hub:hub\ says,district:district\ says | district:district\ says,hub:hub\ says) ;;
*) fail "the history names the writers: $names" ;; esac
expect 1 t hub conflict show 0123456789abcdef
