# shellcheck shell=bash
# lib.sh - a federation of real processes on this machine: real sockets on 127.0.0.1, the sqlite3 shell as
# the application, power cuts as SIGKILL to one process id. Sourced by every test here.
#
# $TONLE is the program. Everything lives in $ROOT: one directory an office, named after it, with the
# node's state in `node/` and the application's database `app.db`.
set -u
TONLE=${TONLE:?the tonle program}
ROOT=$(mktemp -d "${TMPDIR:-/tmp}/tonle-test.XXXXXX")
NAME=$(basename "$0" .sh)
export NO_COLOR=1
declare -A PID=()
WAIT=${WAIT:-20}

clean_up() {
    local code=$? office
    trap - EXIT
    if [ "$code" -ne 0 ]; then
        echo "--- logs of the nodes" >&2
        tail -n 25 "$ROOT"/*/log >&2 2>/dev/null
    fi
    [ -z "${KEEP:-}" ] || echo "kept: $ROOT" >&2
    exec 2>/dev/null # the shell's words about those killed here
    for office in "${!PID[@]}"; do kill -KILL "${PID[$office]}"; done
    wait
    [ -n "${KEEP:-}" ] || rm -rf "$ROOT"
    exit "$code"
}
trap clean_up EXIT

fail() {
    echo "$NAME: FAILED at line ${BASH_LINENO[-2]}: $*" >&2
    exit 1
}

# expect CODE COMMAND...: runs it; stdout and stderr go to $ROOT/out and $ROOT/err.
expect() {
    local want=$1 got
    shift
    "$@" >"$ROOT/out" 2>"$ROOT/err"
    got=$?
    [ "$got" -eq "$want" ] || fail "exit $got, not $want: $*
$(cat "$ROOT/out" "$ROOT/err")"
}

# The last expect's message names this.
says() { grep -qF -- "$1" "$ROOT/err" || fail "no word of \"$1\" in: $(cat "$ROOT/err")"; }
same() { [ "$1" = "$2" ] || fail "${3:-differs}: \"$1\" is not \"$2\""; }

# Whether commands leak is looked for where each is used (LEAKS=1 there): it doubles the time of a start.
t() {
    local office=$1
    shift
    ASAN_OPTIONS="${ASAN_OPTIONS:-}:detect_leaks=${LEAKS:-0}" "$TONLE" "$@" --dir "$ROOT/$office/node"
}
app() { sqlite3 -bail -cmd '.timeout 10000' "$ROOT/$1/app.db" "$2"; }

# json PATH [FILE]: a value out of the last expect's stdout (or a file), by sqlite3's JSON functions.
json() { sqlite3 :memory: "SELECT json_extract(CAST(readfile('${2:-$ROOT/out}') AS TEXT), '$1')"; }
json_type() { sqlite3 :memory: "SELECT coalesce(json_type(CAST(readfile('${2:-$ROOT/out}') AS TEXT), '$1'), 'absent')"; }

SCHEMA="
CREATE TABLE household(id TEXT PRIMARY KEY NOT NULL, book_no TEXT NOT NULL UNIQUE, village TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE resident(id TEXT PRIMARY KEY NOT NULL, name TEXT NOT NULL, phone TEXT, photo BLOB, weight REAL,
  age INTEGER CHECK(age IS NULL OR age >= 0), household_id TEXT REFERENCES household(id)) WITHOUT ROWID;
CREATE TABLE note(unit TEXT NOT NULL, no INTEGER NOT NULL, text TEXT, PRIMARY KEY(unit, no)) WITHOUT ROWID;
CREATE TABLE only_here(a);
"
TABLES="household resident note"
CHARTER="federation: test-registry
schema_version: 1
tables:
  - name: household
  - name: resident
    columns:
      - { name: phone, policy: earliest }
  - name: note
"

# make_hub [SQL]: the hub's database with the schema and what SQL adds; the federation.
make_hub() {
    mkdir -p "$ROOT/hub"
    printf '%s' "$CHARTER" >"$ROOT/charter.yaml"
    app hub "PRAGMA journal_mode=${JOURNAL_MODE:-wal}; $SCHEMA ${1:-}" >/dev/null || fail "the hub's database"
    expect 0 t hub hub init --db "$ROOT/hub/app.db" --charter "$ROOT/charter.yaml" --listen tcp://127.0.0.1:0
}

# invite OFFICE UNIT PARENT [OPTION...]: the invitation into $ROOT/OFFICE.invitation.
invite() {
    local office=$1 unit=$2 parent=$3
    shift 3
    t hub node add --name "$office" --unit "$unit" --parent "$parent" --listen tcp://127.0.0.1:0 "$@" \
        >"$ROOT/$office.invitation" 2>"$ROOT/err" || fail "node add $office: $(cat "$ROOT/err")"
}
# join_office OFFICE [OPTION...]
join_office() {
    local office=$1
    shift
    mkdir -p "$ROOT/$office"
    t "$office" join --db "$ROOT/$office/app.db" --invitation "$ROOT/$office.invitation" "$@"
}
add_office() { # OFFICE UNIT PARENT: invited, joined, running, in WAL mode as the hub
    invite "$1" "$2" "$3"
    expect 0 join_office "$1"
    app "$1" "PRAGMA journal_mode=${JOURNAL_MODE:-wal}" >/dev/null
    start "$1"
}

# start OFFICE: runs the node; the log is $ROOT/OFFICE/log.
start() {
    sed -i "s/^heartbeat_ms:.*/heartbeat_ms: ${HEARTBEAT_MS:-300}/" "$ROOT/$1/node/node.yaml"
    "$TONLE" run --dir "$ROOT/$1/node" >>"$ROOT/$1/log" 2>&1 &
    PID[$1]=$!
}
wait_for() { # OFFICE synced|connected
    t "$1" status --wait "$2" --timeout "$WAIT" --json >"$ROOT/$1.status" 2>"$ROOT/$1.err" ||
        fail "$1 is not $2 after $WAIT s: $(cat "$ROOT/$1.err" "$ROOT/$1.status")"
}
stop() { # SIGTERM, and the exit code must be 0
    local code
    kill -TERM "${PID[$1]}" || fail "$1 does not run"
    wait "${PID[$1]}"
    code=$?
    unset "PID[$1]"
    [ "$code" -eq 0 ] || fail "$1 ended with $code after SIGTERM"
}
cut_power() { # SIGKILL
    { kill -KILL "${PID[$1]}"; wait "${PID[$1]}"; } 2>/dev/null
    unset "PID[$1]"
}

# settle OFFICE...: waits, office by office along the way, until each has nothing waiting. The way of a write
# at a leaf is up the tree and down again.
settle() {
    local office
    for office in "$@"; do wait_for "$office" synced; done
}

# contents OFFICE [SQL]: every row of every replicated table, and what SQL adds. One process reads it all: this is
# asked so often that a process a table was half the time of the tests.
contents() {
    local table sql=
    for table in $TABLES; do sql+="SELECT '-- $table'; SELECT * FROM $table ORDER BY 1, 2;"; done
    sqlite3 -cmd '.timeout 10000' -cmd '.mode quote' "$ROOT/$1/app.db" "BEGIN; $sql ${2:-}"
}
# all_equal OFFICE...: the same visible rows, held rows and open conflicts everywhere (DESIGN 2, promise 3).
all_equal() {
    local first=$1 office
    for office in "$@"; do
        contents "$office" "SELECT '-- open conflicts'; SELECT id FROM tonle_conflict WHERE state = 'open' ORDER BY id;
          SELECT '-- held'; SELECT table_name, key, reason FROM tonle_held ORDER BY 1, 2, 3;" >"$ROOT/contents.$office" ||
            fail "the database of $office cannot be read"
        cmp -s "$ROOT/contents.$first" "$ROOT/contents.$office" ||
            fail "$first and $office differ: $(diff "$ROOT/contents.$first" "$ROOT/contents.$office" | head -20)"
    done
}
