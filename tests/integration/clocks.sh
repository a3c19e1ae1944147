#!/usr/bin/env bash
# Clocks that are wrong by days and years: what is later in truth stands, because a node stamps by the
# federation's time, and order is never decided by a clock where one writer had seen the other.
. "$(dirname "$0")/lib.sh"
command -v faketime >/dev/null || { echo "faketime is not installed" >&2; exit 77; }

make_hub "INSERT INTO note VALUES('x', 1, 'first'), ('x', 2, 'first')"
start hub
add_office province 12 hub
add_office ahead 1201 province
add_office behind 1202 province
settle hub province ahead behind

# start_at OFFICE OFFSET: its node lives at another time. The library alone, because the command stays in
# between as a process of its own. The sanitizers want to be loaded first: not here.
# shellcheck disable=SC2016
PRELOAD=$(faketime -f +0d sh -c 'echo "$LD_PRELOAD"')
start_at() {
    LD_PRELOAD=$PRELOAD FAKETIME=$2 DONT_FAKE_MONOTONIC=1 ASAN_OPTIONS="${ASAN_OPTIONS:-}:verify_asan_link_order=0" \
        "$TONLE" run --dir "$ROOT/$1/node" >>"$ROOT/$1/log" 2>&1 &
    PID[$1]=$!
}
stop ahead
stop behind
start_at ahead +2d
start_at behind -10y
for office in ahead behind; do wait_for "$office" connected; done
settle ahead behind province hub

# everyone knows its offset now; the line goes down, and they write in this order
cut_power province
app ahead "UPDATE note SET text = 'two days ahead' WHERE no = 1"
wait_sealed() { # OFFICE: its log is empty
    for _ in $(seq 100); do
        [ "$(app "$1" "SELECT count(*) FROM tonle_log_$(app "$1" "SELECT t FROM tonle_table WHERE name = 'note'")")" = 0 ] && return
        sleep 0.05
    done
    fail "$1 does not seal"
}
wait_sealed ahead
app hub "UPDATE note SET text = 'the hub, later' WHERE no = 1; UPDATE note SET text = 'the hub, first' WHERE no = 2"
wait_sealed hub
app behind "UPDATE note SET text = 'ten years back, but later' WHERE no = 2"
wait_sealed behind
start province
for office in province ahead behind; do wait_for "$office" connected; done
settle ahead behind province hub province ahead behind
all_equal hub province ahead behind
same "$(app hub "SELECT text FROM note WHERE no = 1")" "the hub, later" "a clock ahead wins nothing"
same "$(app hub "SELECT text FROM note WHERE no = 2")" "ten years back, but later" "a clock behind loses nothing"

# a write that has seen the other replaces it, whatever the clocks say, and is no conflict
before=$(app hub "SELECT count(*) FROM tonle_conflict")
app behind "UPDATE note SET text = 'seen and replaced' WHERE no = 1"
settle behind province hub province ahead behind
same "$(app ahead "SELECT text FROM note WHERE no = 1")" "seen and replaced"
same "$(app hub "SELECT count(*) FROM tonle_conflict")" "$before" "a write that had seen the other is no conflict"
stop ahead
stop behind
