#!/usr/bin/env bash
# A full, failing or read-only disk does not end a node: it stays, says so in `status` and (once) in the log, and
# goes on by itself when the disk does. Why a node ended otherwise is kept and shown.
JOURNAL_MODE=${JOURNAL_MODE:-delete}
. "$(dirname "$0")/lib.sh"

make_hub
start hub
until_status() { # OFFICE WORDS: until its status says them, with exit 4, while its process lives
    local deadline=$((SECONDS + WAIT)) code
    while [ $SECONDS -lt $deadline ]; do
        t "$1" status --json >"$ROOT/out" 2>"$ROOT/err"
        code=$?
        [ $code -eq 4 ] && grep -qF -- "$2" "$ROOT/out" && return 0
        kill -0 "${PID[$1]}" 2>/dev/null || fail "$1 has ended"
        sleep 0.1
    done
    fail "$1 does not say \"$2\" (exit $code): $(cat "$ROOT/out" "$ROOT/err")"
}
quiet() { # OFFICE WORDS MOST: in its log, at most so often
    [ "$(grep -cF -- "$2" "$ROOT/$1/log")" -le "$3" ] || fail "the log of $1 repeats \"$2\""
    grep -q "^trace n=" "$ROOT/$1/log" && fail "a trace in the log of $1"
    return 0
}
WAIT=45 # the longest pause between two attempts is 30 s

# --- writes that fail (a limit of the file's size: EFBIG, which SQLite calls an I/O error)
add_office small 11 hub
app small "INSERT INTO note SELECT '11', value, hex(zeroblob(500)) FROM generate_series(1, 300)"
settle small hub
prlimit --pid "${PID[small]}" --fsize=65536:unlimited
app hub "INSERT INTO note SELECT '', value, hex(zeroblob(500)) FROM generate_series(1, 300)"
until_status small "$ROOT/small/app.db"
grep -q "disk I/O error" "$ROOT/out" || fail "no word of the error: $(cat "$ROOT/out")"
same "$(json '$.running') $(json '$.synced')" "1 0"
expect 4 t small status
grep -q "next: see to that disk" "$ROOT/out" || fail "not what to do: $(cat "$ROOT/out")"
expect 0 t small conflict list
sleep 4 # three attempts more
prlimit --pid "${PID[small]}" --fsize=unlimited:unlimited
settle small hub
all_equal hub small
quiet small event=disk_failed 1
quiet small event=start 4 # attempts in vain start nothing
stop small

# --- why it ended is kept
start small
wait_for small connected
mv "$ROOT/small/app.db" "$ROOT/small/moved.db"
cp "$ROOT/small/moved.db" "$ROOT/small/app.db"
wait "${PID[small]}"
same "$?" 1 "the node ends when its file is another one"
unset "PID[small]"
expect 3 t small status --json
grep -q "it ended by itself: .*was moved, removed or replaced" "$ROOT/out" || fail "not why it ended: $(cat "$ROOT/out")"
mv "$ROOT/small/moved.db" "$ROOT/small/app.db"
start small
settle small hub
grep -q "event=last_exit reason=.*was moved, removed or replaced" "$ROOT/small/log" || fail "the log does not say why the last one ended"
stop small
expect 3 t small status --json
grep -q "ended by itself" "$ROOT/out" && fail "a clean stop is no such end"

# --- a database that is missing: it ends, and that is kept
mv "$ROOT/small/app.db" "$ROOT/small/moved.db"
expect 1 t small run
expect 1 t small status
says "It ended by itself: the database $ROOT/small/app.db of this office is missing"
mv "$ROOT/small/moved.db" "$ROOT/small/app.db"

# --- a disk without room, and one that cannot be written
if [ "$(id -u)" -ne 0 ] || ! mkdir "$ROOT/away" || ! mount -t tmpfs -o size=16M none "$ROOT/away" 2>/dev/null; then
    echo "disk: nothing can be mounted here: a full and a read-only disk are not tried" >&2
    exit 0
fi
trap 'umount -l "$ROOT/away" 2>/dev/null; clean_up' EXIT
ln -s away "$ROOT/full"
add_office full 12 hub
app full "INSERT INTO note VALUES('12', 1, 'before')"
settle full hub
mount -o remount,size=8M "$ROOT/away"
for mode in delete wal; do
    stop full
    app full "PRAGMA journal_mode=$mode" >/dev/null
    "$TONLE" run --dir "$ROOT/full/node" >>"$ROOT/full.log" 2>&1 &
    PID[full]=$!
    settle full hub
    head -c 16000000 /dev/zero >"$ROOT/away/filler" 2>/dev/null
    app hub "INSERT INTO note SELECT '$mode', value, hex(randomblob(1500)) FROM generate_series(1, 100)"
    until_status full "$ROOT/full/app.db"
    same "$(json '$.synced')" 0
    sleep 3
    expect 4 t full status
    stop full # with a full disk, cleanly
    "$TONLE" run --dir "$ROOT/full/node" >>"$ROOT/full.log" 2>&1 & # its log is elsewhere
    PID[full]=$!
    until_status full "$ROOT/full/app.db"
    rm "$ROOT/away/filler"
    settle full hub
    all_equal hub full
done
cp "$ROOT/full.log" "$ROOT/full/log"
quiet full event=disk-full 4
quiet full event=disk_failed 4
quiet full event=start 12
# the database's folder, and then all of it with the state directory
for where in away elsewhere; do
    stop full
    [ $where = elsewhere ] && mv "$ROOT/away/node" "$ROOT/full.node" && ln -s "$ROOT/full.node" "$ROOT/away/node"
    mount -o remount,ro "$ROOT/away"
    "$TONLE" run --dir "$ROOT/full/node" >>"$ROOT/full.log" 2>&1 &
    PID[full]=$!
    app hub "INSERT INTO note VALUES('', $RANDOM, 'while it cannot write')"
    if [ $where = elsewhere ]; then until_status full "see to that disk"; expect 4 t full status; else sleep 2; fi
    kill -0 "${PID[full]}" || fail "a node on a read-only disk has ended"
    mount -o remount,rw "$ROOT/away"
    settle full hub
    all_equal hub full
done
grep -q "event=disk_failed reason=.*Read-only file system" "$ROOT/full.log" || fail "no word of the read-only directory"
stop full
