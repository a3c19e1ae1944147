#!/usr/bin/env bash
# Every office's application enters the same reference rows by itself, with a line down or up: they are one row each.
. "$(dirname "$0")/lib.sh"

SEEDS="WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100)
  INSERT OR IGNORE INTO household SELECT 'h' || i, 'b' || i, 'village ' || i % 7 FROM n;
  INSERT OR IGNORE INTO resident(id, name, household_id) VALUES('r', 'Sok', 'h1')"
make_hub
start hub
add_office one 12 hub
add_office two 17 hub
settle hub one two
stop one
stop two
app one "$SEEDS"
app two "BEGIN; $SEEDS; UPDATE household SET village = 'Prek Leap' WHERE id = 'h9'; COMMIT"
app hub "$SEEDS"
start one
start two
settle one two hub
all_equal hub one two
for office in hub one two; do
    same "$(app $office "SELECT count(*) FROM household")" 100
    same "$(app $office "SELECT group_concat(name || household_id) FROM resident")" Sokh1
    same "$(app $office "SELECT group_concat(key || reason) FROM tonle_held")" '"h9"birth' # not equal
    same "$(app $office "SELECT count(*) FROM tonle_conflict WHERE state = 'open'")" 1
done
app two "UPDATE household SET village = 'Chbar Ampov' WHERE id = 'h2'"
app one "DELETE FROM household WHERE id = 'h3'"
settle two one hub
all_equal hub one two
for office in hub one two; do
    same "$(app $office "SELECT village FROM household WHERE id = 'h2'")" 'Chbar Ampov'
    same "$(app $office "SELECT count(*) FROM household")" 99
    same "$(app $office "SELECT count(*) FROM tonle_held")" 1
done
for office in one two; do expect 0 t $office verify --json; done
add_office three 1701 two # what is on record comes with a first load
settle three
all_equal hub one two three
app three "DELETE FROM household WHERE id = 'h4'"
settle three two one hub
all_equal hub one two three
same "$(app hub "SELECT count(*) FROM household")" 98
