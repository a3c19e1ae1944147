#!/usr/bin/env bash
# Strangers at the hub's endpoint: a thousand connections that say nothing, at a process that may have 256
# descriptors. The node stays, offices sync through it and after it, one joins meanwhile, `status` says so.
JOURNAL_MODE=${JOURNAL_MODE:-delete} # each commit opens a file
. "$(dirname "$0")/lib.sh"

make_hub
sed -i "s/^heartbeat_ms:.*/heartbeat_ms: 300/" "$ROOT/hub/node/node.yaml"
( ulimit -n 256 && exec "$TONLE" run --dir "$ROOT/hub/node" ) >>"$ROOT/hub/log" 2>&1 &
PID[hub]=$!
add_office province 12 hub
app province "INSERT INTO note VALUES('12', 1, 'before')"
settle province hub
PORT=$(sed -n 's/^listen: .*:\([0-9]*\).*/\1/p' "$ROOT/hub/node/node.yaml")

# flood N: N connections, and then one more in the place of each that is shut, until killed.
flood() {
    ulimit -n $(($1 + 64)) || exit 1
    local fd fds=() round
    for ((round = 0; ; round++)); do
        for ((i = 0; i < $1; i++)); do
            [ -z "${fds[i]:-}" ] || { fd=${fds[i]}; exec {fd}>&-; }
            exec {fd}<>"/dev/tcp/127.0.0.1/$PORT" && fds[i]=$fd
        done 2>/dev/null
        echo "$round" >>"$ROOT/rounds"
        sleep 2
    done
}
flood 1000 &
PID[flood]=$!
deadline=$((SECONDS + 8)) # where they are not taken in, the last ones wait for ever
until [ -s "$ROOT/rounds" ] || [ $SECONDS -ge $deadline ]; do sleep 0.1; done
kill -0 "${PID[hub]}" 2>/dev/null || fail "the hub has ended"

# through it: what an office writes, what the hub writes
app province "INSERT INTO note VALUES('12', 2, 'through')"
app hub "INSERT INTO note VALUES('', 1, 'from the hub')"
settle province hub
all_equal hub province
open=$(find "/proc/${PID[hub]}/fd" 2>/dev/null | wc -l)
[ "$open" -lt 200 ] || fail "$open descriptors of 256 are taken"

# it is told, with what to do
expect 4 t hub status --json
grep -q "strangers crowd the endpoint" "$ROOT/out" || fail "status does not tell: $(cat "$ROOT/out")"
expect 4 t hub status
grep -q "next: find out who it is" "$ROOT/out" || fail "status does not say what to do: $(cat "$ROOT/out")"
[ "$(grep -c "event=connections_shut" "$ROOT/hub/log")" -le $((SECONDS / 10 + 1)) ] || fail "the log is flooded"
grep -q "event=fatal\|database failed\|work-failed" "$ROOT/hub/log" && fail "the hub was in trouble"

# an office that joins, and one whose line comes back
add_office late 13 hub
stop province
start province
app late "INSERT INTO note VALUES('13', 1, 'late')"
settle late province hub
all_equal hub province late

# after it
{ kill -KILL "${PID[flood]}"; wait "${PID[flood]}"; } 2>/dev/null
unset "PID[flood]"
app province "INSERT INTO note VALUES('12', 3, 'after')"
settle province hub late
all_equal hub province late
deadline=$((SECONDS + 60))
while t hub status --json >"$ROOT/out" 2>/dev/null; grep -q "strangers crowd" "$ROOT/out"; do
    [ $SECONDS -lt $deadline ] || fail "status does not forget: $(cat "$ROOT/out")"
    sleep 0.5
done
stop hub
