#include "node/db/ddl.h"

/* The tables of Tonle in the application's database. An application or operator may read
 * tonle_conflict, tonle_held and tonle_freshness with plain SQL; the others are the node's own.
 * What they may read has NULL, never 0, where no time is known: 0 is a day in 1970.
 *
 * tonle_freshness: as_of_ms is the time of an office's last write that is here, heard_up_to_ms the
 * time up to which all that it wrote is known to be here.
 *
 * A key stands in front of its row: the integrity_check of SQLite 3.40 takes the columns of a
 * WITHOUT ROWID table for NULL where it does not.
 *
 * u64 numbers (sites, hybrid times) are stored as the signed 64-bit integer of the same bits.
 *
 * - tonle_meta: small named values; identity, counters
 * - tonle_clock: per site, highest seq applied here, its hash and hybrid time
 * - tonle_stable: the stable clock
 * - tonle_keep: stable births that keep their names (the list of the last stable message); of a
 *   table that changesets wait for also those of earlier lists, until: the end of the journal when
 *   they were listed no longer (record/keep.c)
 * - tonle_table: number of each published table, fingerprint of what capture installed for it
 * - tonle_row: the record (conflict/row.h) of each row that is not settled; births > 1 is indexed
 *   for the hub's keep list; a settled row has none. swept: 1 where a sweep found that the record
 *   has nothing left to become stable (open conflicts, held rows), until it is settled: such
 *   records lie apart, so that the many that come and go with a bulk of changes lie close together.
 *   A row has one record
 * - tonle_came: rows that came in since the stable clock was raised last though nothing of them was
 *   to become stable (children of a parent that is back): a first load reads them with the records
 * - tonle_claim: values of unique keys (idx = number of the unique index) and foreign references
 *   (idx = 1000 + number of the foreign key) of living births that do not stand, and unique values
 *   of dead ones on record; v: canonical bytes
 * - tonle_held: living births that do not stand, and what cannot be taken here (reasons `schema`
 *   and `limit`). blocked_by, blocked_table: the row in its way (for `parent`: the row it refers
 *   to), blocked_office, blocked_ms: whose claim that is and since when ('' and NULL: settled, or
 *   not here); bt, bk: the same row by number and key (passes 2 and 3); o: the place of the key in
 *   the order of its table (schema_key_order; empty: it has none)
 * - tonle_deferred: changesets of the journal with rows of a table that does not fit here (yet),
 *   and the stable clock when each came (record/deferral.c)
 * - tonle_local: values of columns that only this office has, of rows that were taken out of their
 *   table
 * - tonle_journal: every item in the order it was sealed or applied here; source '' is our own,
 *   otherwise the neighbour's node name; kind: enum item_kind
 * - tonle_touch: of each changeset of the journal, which rows it may have touched (journal/touch.c)
 * - tonle_peer: what is durable of each neighbour
 * - tonle_conflict, tonle_side: the conflict record, every value, office and time; the view
 *   tonle_conflict_side has the sides by the conflict's id. n: its number in this database, so that
 *   new ones, whose ids are scattered, come in at the end. cell:
 *   column, group, `exists` or `birth`; policy: the rule that decides it, by its name in the
 *   charter. form: 0 when `value` is the value itself, else its enum value_type, `value` then being
 *   the bytes (of a group: its members, value_encode each, in the group's order). detail: for a
 *   birth, and for what is alive beside a delete, the whole row as it would stand: a JSON object of
 *   all its columns. A superseded record keeps only the sides that its successor has not
 * - tonle_node, tonle_site, tonle_charter: replicated, written by the hub only; seq of a charter:
 *   of the hub's changeset that it came with
 *   block of a site: its number among the blocks of integer keys (conflict/block.h), never given
 *   twice; -1: none was left
 * - tonle_registry: the same; one row, what the hub signs of those three as a whole
 *   (journal/attest.h)
 * - tonle_decision: replicated, written by any office: what a person decided about a conflict or a
 *   held row (subject `conflict`, `held`; conflict: its id), and why
 * - tonle_todo: changes that no application statement can express, for the next seal
 *   (capture/todo.c)
 * - tonle_limit: what the last seals left out of rows of our own for its size (capture/limit.c)
 * - tonle_sequence: of a table whose integer keys are given out in blocks, the greatest that SQLite
 *   gave or was steered to, and how many rows were born here outside the own blocks
 *   (capture/sequence.c)
 * - tonle_gap: tables whose capture is known to have been away, and since which clock and time;
 *   tables that differ from a neighbour's and wait for a person (capture/gap.c). state: enum
 *   gap_state; differs_from: the neighbours of which that is known, '/NAME/NAME/'
 * - tonle_again: rows that a cut log left alone, to be decided when the rest of it is sealed;
 *   stands: was decided, by a parent that was not sealed yet (apply/retry.c)
 * - tonle_chunk: first load, the clock of each chunk, until the stream has passed the load's end
 * - tonle_log_<t>: capture log of table number t (capture/capture.c)
 */
const char store_ddl[] =
    "CREATE TABLE tonle_meta(k TEXT PRIMARY KEY, v) WITHOUT ROWID;"
    "CREATE TABLE tonle_clock(site INTEGER PRIMARY KEY, seq INTEGER NOT NULL, hlc INTEGER NOT NULL,"
    " hash BLOB NOT NULL);"
    "CREATE TABLE tonle_stable(site INTEGER PRIMARY KEY, seq INTEGER NOT NULL);"
    "CREATE TABLE tonle_keep(t INTEGER NOT NULL, k BLOB NOT NULL, site INTEGER NOT NULL,"
    " seq INTEGER NOT NULL, until INTEGER, PRIMARY KEY(t, k, site, seq)) WITHOUT ROWID;"
    "CREATE INDEX tonle_keep_name ON tonle_keep(t, site, seq);"
    "CREATE TABLE tonle_came(t INTEGER NOT NULL, k BLOB NOT NULL, PRIMARY KEY(t, k)) WITHOUT ROWID;"
    "CREATE TABLE tonle_table(t INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, fingerprint TEXT);"
    "CREATE TABLE tonle_row(swept INTEGER NOT NULL, t INTEGER NOT NULL, k BLOB NOT NULL,"
    " births INTEGER NOT NULL, rec BLOB NOT NULL, PRIMARY KEY(swept, t, k)) WITHOUT ROWID;"
    "CREATE INDEX tonle_row_births ON tonle_row(t, k) WHERE births > 1;"
    "CREATE TABLE tonle_claim(t INTEGER NOT NULL, idx INTEGER NOT NULL, v BLOB NOT NULL,"
    " k BLOB NOT NULL, site INTEGER NOT NULL, seq INTEGER NOT NULL,"
    " PRIMARY KEY(t, idx, v, k, site, seq)) WITHOUT ROWID;"
    "CREATE INDEX tonle_claim_row ON tonle_claim(t, k);"
    "CREATE TABLE tonle_held(id TEXT PRIMARY KEY, table_name TEXT NOT NULL, key TEXT NOT NULL,"
    " reason TEXT NOT NULL, message TEXT NOT NULL, office TEXT NOT NULL, since_ms INTEGER NOT NULL,"
    " blocked_by TEXT NOT NULL, t INTEGER NOT NULL, k BLOB NOT NULL, site INTEGER NOT NULL,"
    " seq INTEGER NOT NULL, bt INTEGER NOT NULL, bk BLOB NOT NULL,"
    " blocked_table TEXT NOT NULL DEFAULT '', blocked_office TEXT NOT NULL DEFAULT '',"
    " blocked_ms INTEGER, o BLOB NOT NULL DEFAULT x'') WITHOUT ROWID;"
    "CREATE INDEX tonle_held_order ON tonle_held(t, o, k);"
    "CREATE INDEX tonle_held_blocked ON tonle_held(bt, bk);"
    "CREATE UNIQUE INDEX tonle_held_row ON tonle_held(t, k, site, seq);"
    "CREATE TABLE tonle_deferred(name TEXT NOT NULL, pos INTEGER NOT NULL, stable BLOB NOT NULL,"
    " PRIMARY KEY(name, pos)) WITHOUT ROWID;"
    "CREATE TABLE tonle_local(t INTEGER NOT NULL, k BLOB NOT NULL, site INTEGER NOT NULL,"
    " seq INTEGER NOT NULL, c TEXT NOT NULL, v, PRIMARY KEY(t, k, site, seq, c)) WITHOUT ROWID;"
    "CREATE TABLE tonle_journal(pos INTEGER PRIMARY KEY AUTOINCREMENT, kind INTEGER NOT NULL,"
    " source TEXT NOT NULL, site INTEGER NOT NULL, seq INTEGER NOT NULL, hlc INTEGER NOT NULL,"
    " bytes BLOB NOT NULL);"
    "CREATE INDEX tonle_journal_dot ON tonle_journal(site, seq) WHERE kind = 1;"
    "CREATE INDEX tonle_journal_mark ON tonle_journal(seq) WHERE kind = 2;"
    "CREATE INDEX tonle_journal_source ON tonle_journal(source, kind);"
    "CREATE TABLE tonle_touch(pos INTEGER PRIMARY KEY, filter BLOB NOT NULL);"
    "CREATE TABLE tonle_peer(node TEXT PRIMARY KEY, received_pos INTEGER NOT NULL DEFAULT 0,"
    " acked_pos INTEGER NOT NULL DEFAULT 0, contact_ms INTEGER NOT NULL DEFAULT 0) WITHOUT ROWID;"
    "CREATE TABLE tonle_conflict(n INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE,"
    " table_name TEXT NOT NULL, key TEXT NOT NULL, cell TEXT NOT NULL, policy TEXT NOT NULL,"
    " state TEXT NOT NULL, opened_ms INTEGER NOT NULL, closed_ms INTEGER, successor TEXT,"
    " t INTEGER NOT NULL, k BLOB NOT NULL, bsite INTEGER NOT NULL, bseq INTEGER NOT NULL);"
    "CREATE INDEX tonle_conflict_open ON tonle_conflict(t, k) WHERE state = 'open';"
    "CREATE TABLE tonle_side(n INTEGER NOT NULL, site INTEGER NOT NULL, seq INTEGER NOT NULL,"
    " hlc INTEGER NOT NULL, office TEXT NOT NULL, unit TEXT NOT NULL, value,"
    " shown INTEGER NOT NULL, form INTEGER NOT NULL DEFAULT 0, detail TEXT,"
    " PRIMARY KEY(n, site, seq)) WITHOUT ROWID;"
    "CREATE VIEW tonle_conflict_side AS SELECT c.id AS conflict, s.site AS site, s.seq AS seq,"
    " nullif(s.hlc, 0) AS hlc, s.office AS office, s.unit AS unit, s.value AS value, s.shown AS "
    "shown,"
    " s.form AS form, s.detail AS detail FROM tonle_conflict c JOIN tonle_side s ON s.n = c.n;"
    "CREATE TABLE tonle_node(name TEXT PRIMARY KEY NOT NULL, unit TEXT NOT NULL, parent TEXT NOT "
    "NULL,"
    " listen TEXT NOT NULL, state TEXT NOT NULL, site TEXT NOT NULL, curve_key TEXT NOT NULL,"
    " enrol_key TEXT NOT NULL, enrol_expires_ms INTEGER NOT NULL, reads TEXT NOT NULL,"
    " joined_ms INTEGER NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE tonle_site(site TEXT PRIMARY KEY NOT NULL, number INTEGER NOT NULL,"
    " node TEXT NOT NULL, sign_key TEXT NOT NULL, block INTEGER NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE tonle_charter(version TEXT PRIMARY KEY NOT NULL, schema_version INTEGER NOT NULL,"
    " yaml TEXT NOT NULL, compiled TEXT NOT NULL, published_ms INTEGER NOT NULL,"
    " seq INTEGER NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE tonle_registry(name TEXT PRIMARY KEY NOT NULL, number INTEGER NOT NULL,"
    " nodes TEXT NOT NULL, sites TEXT NOT NULL, charters TEXT NOT NULL, signature TEXT NOT NULL)"
    " WITHOUT ROWID;"
    "CREATE TABLE tonle_decision(id TEXT PRIMARY KEY NOT NULL, conflict TEXT NOT NULL,"
    " subject TEXT NOT NULL, table_name TEXT NOT NULL, key TEXT NOT NULL, cell TEXT NOT NULL,"
    " choice TEXT NOT NULL, operator TEXT NOT NULL, office TEXT NOT NULL, reason TEXT NOT NULL,"
    " at_ms INTEGER NOT NULL) WITHOUT ROWID;"
    "CREATE INDEX tonle_decision_row ON tonle_decision(table_name, key, at_ms);"
    "CREATE TABLE tonle_todo(n INTEGER PRIMARY KEY, t INTEGER NOT NULL, k BLOB NOT NULL,"
    " site INTEGER NOT NULL, seq INTEGER NOT NULL, kind INTEGER NOT NULL, cells BLOB NOT NULL);"
    "CREATE TABLE tonle_gap(t INTEGER PRIMARY KEY, table_name TEXT NOT NULL,"
    " state INTEGER NOT NULL, clock BLOB NOT NULL, from_ms INTEGER NOT NULL,"
    " found_ms INTEGER NOT NULL, changed INTEGER NOT NULL DEFAULT 0,"
    " born INTEGER NOT NULL DEFAULT 0, deleted INTEGER NOT NULL DEFAULT 0,"
    " differs_from TEXT NOT NULL DEFAULT '/');"
    "CREATE TABLE tonle_sequence(t INTEGER PRIMARY KEY, position INTEGER NOT NULL DEFAULT 0,"
    " outside INTEGER NOT NULL DEFAULT 0, outside_ms INTEGER);"
    "CREATE TABLE tonle_limit(t INTEGER NOT NULL, k BLOB NOT NULL, c TEXT NOT NULL, v,"
    " PRIMARY KEY(t, k, c)) WITHOUT ROWID;"
    "CREATE TABLE tonle_again(t INTEGER NOT NULL, k BLOB NOT NULL, stands INTEGER NOT NULL,"
    " PRIMARY KEY(t, k)) WITHOUT ROWID;"
    "CREATE TABLE tonle_chunk(t INTEGER NOT NULL, ord INTEGER NOT NULL, last_key BLOB,"
    " clock BLOB NOT NULL, pos INTEGER NOT NULL, PRIMARY KEY(t, ord)) WITHOUT ROWID;"
    "CREATE VIEW tonle_freshness AS SELECT node, unit, site, seq, nullif(last_ms, 0) AS as_of_ms,"
    " nullif(max(last_ms, CASE WHEN stable_ms >= joined_ms THEN stable_ms ELSE 0 END), 0)"
    " AS heard_up_to_ms FROM (SELECT n.name AS node, n.unit AS unit, n.site AS site,"
    " n.joined_ms AS joined_ms, coalesce(c.seq, 0) AS seq, coalesce(c.hlc >> 16, 0) AS last_ms,"
    " coalesce((SELECT v FROM tonle_meta WHERE k = 'stable_ms'), 0) AS stable_ms"
    " FROM tonle_node n LEFT JOIN tonle_site s ON s.site = n.site"
    " LEFT JOIN tonle_clock c ON c.site = s.number WHERE n.state = 'active');"
    "INSERT INTO tonle_table(t, name) VALUES(1, 'tonle_node'), (2, 'tonle_site'), (3, "
    "'tonle_charter'), (4, 'tonle_decision'), (5, 'tonle_registry');";
