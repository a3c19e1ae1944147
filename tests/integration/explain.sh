#!/usr/bin/env bash
# `tonle history` and `tonle explain` with real processes: what each write had seen and met, the rule of each
# cell with its line in the charter, and what another charter file would have decided. Nothing is changed.
LEAKS=1
. "$(dirname "$0")/lib.sh"

SCHEMA="$SCHEMA CREATE TABLE card(id TEXT PRIMARY KEY NOT NULL, name TEXT, phone TEXT, weight REAL, age INTEGER) WITHOUT ROWID;"
TABLES="household note card"
CHARTER="federation: test-registry
schema_version: 1
tables:
  - name: household
  - name: card
    columns:
      - { name: phone, policy: earliest }
      - { name: age, policy: sum }
      - { name: weight, policy: review, fallback: max }
  - name: note
"
make_hub "INSERT INTO household VALUES('h1', 'B-1', 'v'); INSERT INTO card(id, name, age) VALUES('r1', 'Sok', 10)"
start hub
add_office province 12 hub
settle hub province

app hub "UPDATE card SET name = 'Sok Dara' WHERE id = 'r1'"
settle hub province
cut_power province
app hub "UPDATE card SET phone = 'hub', weight = 50.5, age = age + 5 WHERE id = 'r1'"
wait_for hub connected
settle hub
app province "UPDATE card SET phone = 'province', weight = 60.5, age = age - 2 WHERE id = 'r1'"
start province
wait_for province connected
settle province hub province
all_equal hub province
same "$(app hub "SELECT phone || ' ' || weight || ' ' || age FROM card")" "hub 60.5 13"

# one value out of the entry of an office whose cell is that value
entry() { # OFFICE PATH: of that office's last write
    sqlite3 :memory: "SELECT json_extract(value, '$2') FROM json_each(CAST(readfile('$ROOT/out') AS TEXT), '$.history')
      WHERE json_extract(value, '$.office') = '$1' ORDER BY key DESC LIMIT 1"
}
for office in hub province; do
    expect 0 t "$office" history card r1 --json
    same "$(entry hub '$.values.age.delta')" 5 "a sum is told in deltas"
    same "$(entry province '$.values.age.delta')" -2
    same "$(sqlite3 :memory: "SELECT group_concat(json_extract(value, '$.cell') || json_extract(value, '$.won'), ' ')
      FROM json_each('$(entry province '$.beat')')")" "phone0 weight1" "the earlier phone, the larger weight"
    same "$(entry province '$.beat[0].dot')" "$(entry hub '$.dot')" "both name each other"
    same "$(entry hub '$.beat[0].policy')" earliest
    same "$(entry hub '$.beat[1].policy')" "review (max until somebody decides)"
    same "$(entry hub '$.decision')" "" "nobody decided"
    seen=$(entry province '$.seen[0].dot')
    [ -n "$seen" ] && [ "$seen" = "$(entry hub '$.seen[0].dot')" ] || fail "both had seen the same name: $seen"
done
expect 0 t hub history card r1
grep -q "phone: concurrent with .* of hub: it lost, by earliest" "$ROOT/out" || fail "in words: $(cat "$ROOT/out")"
grep -q "age=+5" "$ROOT/out" || fail "a delta in words"
says "Older changes are not on record" # the row was there when the federation was made
expect 0 t province history card r1
says "Older changes are at the hub"

# what the rule of each cell is, and where the charter says so
line=$(grep -n "name: phone" "$ROOT/charter.yaml" | cut -d: -f1)
cell() { # CELL PATH
    sqlite3 :memory: "SELECT json_extract(value, '$2') FROM json_each(CAST(readfile('$ROOT/out') AS TEXT), '$.cells')
      WHERE json_extract(value, '$.cell') = '$1'"
}
expect 0 t province explain card r1 --json
same "$(json '$.schema')" 1
same "$(json '$.state')" stands
same "$(json '$.owner')" hub
same "$(cell phone '$.rule.policy')" earliest
same "$(cell phone '$.rule.line')" "$line" "the line of the charter"
same "$(cell weight '$.rule.fallback')" max
same "$(sqlite3 :memory: "SELECT json_extract(s.value, '$.value') FROM json_each('$(cell weight '$.sides')') s
  WHERE json_extract(s.value, '$.shown')")" 60.5 "the larger one is in force"
same "$(cell name '$.rule.line')" "" "latest is the default"
expect 0 t province explain card r1
grep -q "line $line (column)" "$ROOT/out" || fail "the line in words: $(cat "$ROOT/out")"

# a dry run of another charter
sed -e 's/policy: earliest/policy: latest/' -e 's/fallback: max/fallback: earliest/' "$ROOT/charter.yaml" >"$ROOT/other.yaml"
before=$(contents hub)
expect 0 t hub explain card r1 --charter "$ROOT/other.yaml" --json
same "$(cell phone '$.other.verdict')" otherwise
same "$(cell weight '$.other.verdict')" otherwise
same "$(cell name '$.other.verdict')" none "nothing met there"
same "$(cell exists '$.other.policy')" update-wins
expect 0 t hub explain card r1 --charter "$ROOT/charter.yaml" --json
same "$(cell phone '$.other.verdict')" same
expect 0 t hub explain card r1 --charter "$ROOT/other.yaml"
grep -q 'otherwise: "province" of province' "$ROOT/out" || fail "the dry run in words: $(cat "$ROOT/out")"
counts() { json '$.counts[#-1].conflicts' && json '$.counts[#-1].otherwise'; }
expect 0 t hub explain --charter "$ROOT/other.yaml" --json
same "$(json '$.counts[0].cell') $(json '$.counts[0].conflicts') $(json '$.counts[0].otherwise')" "phone 1 1"
same "$(json '$.counts[1].cell') $(json '$.counts[1].otherwise')" "weight 1"
expect 0 t hub explain --charter "$ROOT/charter.yaml" --table card --json
same "$(counts)" "1
0" "the charter in force decides as it did"
expect 0 t hub explain --charter "$ROOT/other.yaml" --until 2020-01-01 --json
same "$(json '$.counts')" "[]"
expect 0 t hub explain --charter "$ROOT/other.yaml" --since 2020-01-01T00:00:00Z --table household
says "0 conflicts on record"
same "$(contents hub)" "$before" "a dry run changes nothing"
expect 0 t hub charter show --json
same "$(json '$.version')" 1

# a person's decision stands at the write that it is, at every office
expect 0 t hub conflict list --open --json
id=$(sqlite3 :memory: "SELECT json_extract(value, '$.id') FROM json_each(CAST(readfile('$ROOT/out') AS TEXT), '$.conflicts')
  WHERE json_extract(value, '$.cell') = 'weight'")
expect 0 t hub history card r1 --json
dot=$(entry hub '$.dot')
expect 0 t hub conflict resolve "$id" --take "$dot" --reason "seen the scales" --by Sok
settle hub province
for office in hub province; do
    expect 0 t "$office" history card r1 --json
    same "$(entry hub '$.decision.operator') $(entry hub '$.decision.reason')" "Sok seen the scales" "the decision at $office"
    same "$(entry hub '$.values.weight') $(json '$.decisions[0].conflict')" "50.5 $id"
    same "$(entry province '$.decision')" ""
done
expect 0 t hub explain card r1 --json
same "$(cell weight '$.sides')" "[]" "what was decided is no conflict any more"

# a held row says why
cut_power province
app hub "INSERT INTO household VALUES('h3', 'B-9', 'hub')"
settle hub
app province "INSERT INTO household VALUES('h4', 'B-9', 'province')"
start province
wait_for province connected
settle province hub province
expect 0 t hub explain household h4 --json
same "$(json '$.state')" held
same "$(json '$.held[0].kind')" unique
expect 0 t hub explain household h4
grep -q "^held .*(unique, written at province)" "$ROOT/out" || fail "why it is held: $(cat "$ROOT/out")"

# mistakes are named
expect 1 t hub explain nothing 1
says "no replicated table nothing"
expect 1 t hub explain card nobody
says 'card has no row "nobody"'
expect 2 t hub explain note 1
expect 2 t hub explain card
expect 2 t hub explain
expect 2 t hub explain card r1 --since 2026-01-01
expect 2 t hub explain --charter "$ROOT/other.yaml" --since 2026-02-31
expect 1 t hub explain --charter "$ROOT/no-such-file"
expect 1 t hub explain --charter "$ROOT/other.yaml" --table nothing
sed -e 's/name: age/name: wings/' "$ROOT/charter.yaml" >"$ROOT/unfit.yaml"
expect 6 t hub explain --charter "$ROOT/unfit.yaml"
says wings
