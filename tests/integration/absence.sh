#!/usr/bin/env bash
# A long absence: an office works on alone, restarted meanwhile, with thousands of rows on both sides; when
# the line returns everything flows both ways, and the metadata of what is settled is forgotten.
. "$(dirname "$0")/lib.sh"

make_hub
start hub
add_office province 12 hub
settle hub province
stop hub

app province "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3000)
  INSERT INTO note SELECT '12', i, 'province ' || i FROM n"
wait_for_seal() { # everything captured is sealed
    local deadline=$((SECONDS + WAIT))
    while [ $SECONDS -lt $deadline ]; do
        t province status --json --wait connected --timeout 0 >"$ROOT/out" 2>/dev/null
        [ "$(json '$.parent.pending_out')" -gt 0 ] && return
    done
    fail "nothing is sealed"
}
wait_for_seal
stop province
app province "UPDATE note SET text = text || '!' WHERE no <= 1000"
app hub "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3000)
  INSERT INTO note SELECT '', i, 'hub ' || i FROM n"
start province
expect 5 t province status --wait synced --timeout 1
start hub
settle province hub province
all_equal hub province
same "$(app hub "SELECT count(*) FROM note")" 6000
same "$(app hub "SELECT count(*) FROM note WHERE text LIKE 'province%!'")" 1000
expect 0 t province verify --json
