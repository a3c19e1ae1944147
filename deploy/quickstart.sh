#!/usr/bin/env bash
# Builds Tonle and shows its main job on real processes, sockets and databases on this machine: a hub, two
# provinces and three districts, each with an ordinary SQLite database. Every claim is checked; the exit
# status is not zero when one does not hold.
#
#   deploy/quickstart.sh          shows it and stops everything
#   deploy/quickstart.sh --keep   leaves the offices running, to look at them
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root"
keep=no
case "${1:-}" in
'') ;;
--keep) keep=yes ;;
*)
    echo "usage: deploy/quickstart.sh [--keep]" >&2
    exit 2
    ;;
esac

demo=$root/build/demo
offices='hub kandal kampot d0801 d0803 d0702'
districts='d0801 d0803 d0702'
tables='unit service household resident birth_record service_request receipt permit'
export NO_COLOR=1 LC_ALL=C.UTF-8
unset TONLE_DIR CFLAGS CPPFLAGS LDFLAGS

say() { printf '\n%s\n' "$*"; }
fail() {
    printf '\nNOT SO: %s\n' "$*" >&2
    printf 'Logs of the nodes: build/demo/*/log\n' >&2
    exit 1
}
name_of() {
    case $1 in
    hub) echo 'the national hub' ;;
    kandal) echo 'Kandal province' ;;
    kampot) echo 'Kampot province' ;;
    d0801) echo 'Kandal Stueng district' ;;
    d0803) echo 'Khsach Kandal district' ;;
    d0702) echo 'Banteay Meas district' ;;
    esac
}
tonle() { "$root/build/node/cli/tonle" "$@"; }
at() { # OFFICE COMMAND...
    local office=$1
    shift
    tonle "$@" --dir "$demo/$office/node"
}
sql() { sqlite3 -bail -cmd '.timeout 10000' "$demo/$1/office.db" "$2"; } # what an application would do

# ---- starting and stopping: only processes that this script started, by their number
start() {
    "$root/build/node/cli/tonle" run --dir "$demo/$1/node" >>"$demo/$1/log" 2>&1 &
    echo $! >"$demo/$1/pid"
    at "$1" status --wait connected --timeout 30 >/dev/null 2>&1 || fail "$(name_of "$1") does not come up"
}
stop() {
    local pid n=0
    [ -f "$demo/$1/pid" ] || return 0
    pid=$(cat "$demo/$1/pid")
    rm -f "$demo/$1/pid"
    # a number may have gone to another program since: only our own program, in our own directory
    case "$(tr '\0' ' ' 2>/dev/null <"/proc/$pid/cmdline" || true)" in
    *"/tonle run --dir $demo/$1/node "*) ;;
    *) return 0 ;;
    esac
    kill -TERM "$pid" 2>/dev/null || return 0
    while kill -0 "$pid" 2>/dev/null && [ "$n" -lt 100 ]; do
        sleep 0.1
        n=$((n + 1))
    done
}
stop_all() { for o in d0702 d0803 d0801 kampot kandal hub; do stop "$o"; done; }
finish() {
    local code=$?
    trap - EXIT INT TERM
    if [ "$keep" = no ] || [ "$code" -ne 0 ]; then stop_all; fi
    exit "$code"
}

# ---- waiting: every office has everything, and nothing waits anywhere
clock() { at "$1" status --json 2>/dev/null | jq -cS 'if .synced then .clock else "busy" end'; }
settle() { # OFFICES...
    local o first other n=0
    while [ "$n" -lt 150 ]; do
        for o in "$@"; do at "$o" status --wait synced --timeout 60 >/dev/null 2>&1 || true; done
        first=$(clock "$1") other=same
        for o in "$@"; do [ "$(clock "$o")" = "$first" ] || other=differs; done
        [ "$first" != '"busy"' ] && [ "$other" = same ] && return 0
        n=$((n + 1))
        sleep 0.1
    done
    fail "the offices do not come to rest"
}
digest() {
    local t
    for t in $tables; do sql "$1" "SELECT * FROM $t ORDER BY 1, 2"; done | sha256sum | cut -c1-16
}
all_equal() {
    local o d first
    first=$(digest hub)
    for o in $offices; do
        d=$(digest "$o")
        printf '    %-26s %s  %s residents\n' "$(name_of "$o")" "$d" "$(sql "$o" 'SELECT count(*) FROM resident')"
        [ "$d" = "$first" ] || fail "$(name_of "$o") differs from the hub"
    done
}
is() { [ "$1" = "$2" ] || fail "$3: \"$1\", not \"$2\""; }

say '== Building (what is missing is installed with apt)'
sh deploy/deps.sh >&2
[ -f build/build.ninja ] || meson setup build --buildtype=release >/dev/null
ninja -C build node/cli/tonle >/dev/null
tonle version

trap finish EXIT
trap 'exit 130' INT TERM
if [ -d "$demo" ]; then stop_all; fi
rm -rf "$demo"
for o in $offices; do mkdir -p "$demo/$o"; done

say '== The hub: an ordinary database with the reference data, and a charter that names its tables'
sqlite3 -bail "$demo/hub/office.db" 'PRAGMA journal_mode=WAL' >/dev/null
sqlite3 -bail "$demo/hub/office.db" <deploy/demo/schema.sql
sh deploy/demo/generate.sh reference | sqlite3 -bail "$demo/hub/office.db"
at hub hub init --db "$demo/hub/office.db" --charter deploy/demo/charter.yaml --listen tcp://127.0.0.1:0
start hub

say '== Two provinces join: an invitation is one line, made at the hub'
for p in 'kandal 08' 'kampot 07'; do
    set -- $p
    at hub node add --unit "$2" --name "$1" --listen tcp://127.0.0.1:0 >"$demo/$1/invitation" 2>/dev/null
    sqlite3 "$demo/$1/office.db" 'PRAGMA journal_mode=WAL' >/dev/null
    at "$1" join --db "$demo/$1/office.db" --invitation "$demo/$1/invitation" 2>/dev/null
    start "$1"
done

say '== Three districts join with the rows they already have (--mode adopt): 250 households each'
for d in '0801 kandal' '0803 kandal' '0702 kampot'; do
    set -- $d
    o=d$1
    at hub node add --unit "$1" --name "$o" --parent "$2" >"$demo/$o/invitation" 2>/dev/null
    at "$2" status --wait synced --timeout 30 >/dev/null 2>&1 || true
    sqlite3 -bail "$demo/$o/office.db" 'PRAGMA journal_mode=WAL' >/dev/null
    sqlite3 -bail "$demo/$o/office.db" <deploy/demo/schema.sql
    { sh deploy/demo/generate.sh reference; sh deploy/demo/generate.sh "$1" 250; } | sqlite3 -bail "$demo/$o/office.db"
    at "$o" join --db "$demo/$o/office.db" --invitation "$demo/$o/invitation" --mode adopt 2>/dev/null
    start "$o"
done
settle $offices
say 'Every office now has the rows of all three (digest of all tables, counted by sqlite3):'
all_equal
is "$(sql hub 'SELECT count(*) FROM resident')" 3000 'residents at the hub'

say '== A clerk in Kandal Stueng writes with plain SQL ...'
write="INSERT INTO resident(id, ident_code, commune_code, family_name_km, given_name_km, family_name_latin,
 given_name_latin, sex, born_on, phone) VALUES('demo-1', '999000001', '080101', 'សុខ', 'ដារ៉ា', 'Sok', 'Dara', 'F',
 '1994-04-13', '012 345 678')"
echo '    sqlite3 d0801/office.db "INSERT INTO resident ... សុខ ដារ៉ា (Sok Dara)"'
before=$(date +%s%N)
sql d0801 "$write"
row=
while [ -z "$row" ] && [ $((($(date +%s%N) - before) / 1000000)) -lt 20000 ]; do
    row=$(sql d0702 "SELECT family_name_km || ' ' || given_name_km || ', ' || phone FROM resident WHERE id = 'demo-1'")
done
took=$((($(date +%s%N) - before) / 1000000))
is "$row" 'សុខ ដារ៉ា, 012 345 678' 'the row in the other province'
echo "    ... and it stands in Banteay Meas, in the other province, $took ms later: $row"
sql d0801 "INSERT INTO resident(id, commune_code, family_name_km, given_name_km, family_name_latin,
 given_name_latin, sex) VALUES('demo-2', '080103', 'ចាន់', 'ធី', 'Chan', 'Thy', 'M')"
settle $offices

say '== The line of Kandal Stueng is cut (its node is stopped; its database and its clerks work on)'
stop d0801
echo '    Both offices edit the same two residents meanwhile:'
echo '    demo-1: Kandal Stueng changes the phone, Banteay Meas the status      (different fields)'
echo '    demo-2: both change the given name                                    (the same field)'
sql d0801 "UPDATE resident SET phone = '092 111 222' WHERE id = 'demo-1';
           UPDATE resident SET given_name_latin = 'Thida' WHERE id = 'demo-2'"
sql d0702 "UPDATE resident SET status = 'moved' WHERE id = 'demo-1';
           UPDATE resident SET given_name_latin = 'Thyda' WHERE id = 'demo-2'"
settle hub kandal kampot d0803 d0702
is "$(sql d0801 "SELECT phone || status FROM resident WHERE id = 'demo-1'")" '092 111 222present' 'while the line is cut'
is "$(sql hub "SELECT phone || status FROM resident WHERE id = 'demo-1'")" '012 345 678moved' 'while the line is cut'

say '== The line returns'
start d0801
settle $offices
for o in $offices; do
    is "$(sql "$o" "SELECT phone || ' ' || status FROM resident WHERE id = 'demo-1'")" '092 111 222 moved' \
        "demo-1 at $(name_of "$o")"
done
echo '    demo-1: both edits stand, at every office: phone 092 111 222, status moved. No conflict.'
is "$(sql d0801 "SELECT count(*) FROM tonle_conflict WHERE key LIKE '%demo-1%'")" 0 'conflicts of demo-1'
winner=$(sql hub "SELECT given_name_latin FROM resident WHERE id = 'demo-2'")
id=$(sql d0801 "SELECT id FROM tonle_conflict WHERE key LIKE '%demo-2%' AND cell = 'given_name_latin'")
[ -n "$id" ] || fail 'the conflict of demo-2 is not recorded'
sides=$(sql d0801 "SELECT group_concat(value, ' and ') FROM (SELECT value FROM tonle_conflict_side
 WHERE conflict = '$id' ORDER BY value)")
is "$sides" 'Thida and Thyda' 'the values in the conflict record'
echo "    demo-2: the later edit stands everywhere ($winner); the conflict is recorded with both values:"
at d0801 conflict show "$id" | sed 's/^/    | /'

say '== All offices are equal again'
all_equal
for o in kandal kampot $districts; do
    at "$o" verify >/dev/null || fail "$(name_of "$o"): tonle verify finds a difference"
done
echo '    and every office agrees with its parent, table by table (tonle verify).'

say '== tonle status, at the hub'
at hub status | sed 's/^/    | /'

say '== To look further'
cat <<EOT
    PATH="$PWD/build/node/cli:\$PATH"
    tonle status --dir build/demo/d0801/node          tonle node list --dir build/demo/hub/node
    tonle conflict list --dir build/demo/hub/node     tonle history resident demo-2 --dir build/demo/hub/node
    sqlite3 build/demo/hub/office.db 'SELECT node, datetime(as_of_ms / 1000, "unixepoch") FROM tonle_freshness'
EOT
if [ "$keep" = yes ]; then
    echo
    echo 'The offices are running. To stop them:'
    echo '    for p in build/demo/*/pid; do kill "$(cat "$p")"; done'
else
    echo '    With --keep the offices stay running; now they are being stopped.'
fi
