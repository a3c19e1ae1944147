#!/usr/bin/env bash
# What is this machine's own matter: a join that cannot end well here fails before its invitation is used, a
# database that is made is nobody's to read, and two nodes never run on one database.
. "$(dirname "$0")/lib.sh"

make_hub "INSERT INTO note VALUES('', 1, 'federation')"
start hub
wait_for hub connected
PORT=$(sed -n 's/^listen: .*:\([0-9]*\).*/\1/p' "$ROOT/hub/node/node.yaml")

# A second machine: keys of its own. An invitation that was used would not let it in.
try() { # OFFICE NAME [OPTION...]: a join of NAME's invitation in a directory that is not used again
    local office=$1 name=$2
    shift 2
    rm -rf "$ROOT/$office/try"
    "$TONLE" join --dir "$ROOT/$office/try" --db "$ROOT/$office/app.db" --invitation "$ROOT/$name.invitation" "$@"
}

# --- old tables, a port that is taken, a file that is no database
invite first 11 hub
mkdir "$ROOT/first"
app first "CREATE TABLE tonle_clock(a); CREATE TABLE mine(a)"
expect 1 try first first
says "objects of an earlier Tonle"
says "tonle_clock"
app first "DROP TABLE tonle_clock"
expect 1 try first first --listen "tcp://127.0.0.1:$PORT"
says "cannot listen on tcp://127.0.0.1:$PORT"
says "the invitation is not used"
head -c 8192 /dev/urandom >"$ROOT/first/noise.db"
expect 1 "$TONLE" join --dir "$ROOT/first/try" --db "$ROOT/first/noise.db" --invitation "$ROOT/first.invitation"
same "$(app hub "SELECT state FROM tonle_node WHERE name = 'first'")" invited "still only invited"

# --- a folder and a file that cannot be written, a disk without room
if [ "$(id -u)" -eq 0 ] && mkdir "$ROOT/first/disk" && mount -t tmpfs -o size=2M none "$ROOT/first/disk" 2>/dev/null; then
    trap 'umount "$ROOT/first/disk" 2>/dev/null; clean_up' EXIT
    expect 1 "$TONLE" join --dir "$ROOT/first/try" --db "$ROOT/first/disk/app.db" --invitation "$ROOT/first.invitation"
    says "are needed"
    sqlite3 "$ROOT/first/disk/app.db" "CREATE TABLE mine(a)"
    mount -o remount,ro,size=16M "$ROOT/first/disk"
    expect 1 "$TONLE" join --dir "$ROOT/first/try" --db "$ROOT/first/disk/app.db" --invitation "$ROOT/first.invitation"
    says "Read-only file system"
    umount "$ROOT/first/disk"
    trap clean_up EXIT
elif [ "$(id -u)" -ne 0 ]; then
    chmod 500 "$ROOT/first"
    expect 1 "$TONLE" join --dir "$ROOT/try" --db "$ROOT/first/app.db" --invitation "$ROOT/first.invitation"
    says "Permission denied"
    chmod 700 "$ROOT/first"
else
    echo "local: nothing can be mounted here: a full and a read-only disk are not tried" >&2
fi
same "$(app hub "SELECT state FROM tonle_node WHERE name = 'first'")" invited "still only invited"
expect 0 join_office first

# --- what is made is its folder's
made() { # NAME UNIT MODE-OF-FOLDER WANTED [OWNER]
    invite "$1" "$2" hub
    mkdir -m "$3" "$ROOT/$1"
    [ -z "${5:-}" ] || chown "$5" "$ROOT/$1"
    (umask 022 && join_office "$1" >/dev/null 2>&1) || fail "$1 does not join"
    same "$(stat -c %a "$ROOT/$1/app.db")" "$4" "the mode of a database made in a folder of $3"
    [ -z "${5:-}" ] || same "$(stat -c %u:%g "$ROOT/$1/app.db")" "$5" "its owner"
}
made private 12 755 600
if [ "$(id -u)" -eq 0 ]; then made shared 13 2770 660 65534:65533; else made shared 13 2770 660; fi

# --- a copy is for those who could read the original
invite replaced 14 hub
mkdir "$ROOT/replaced"
app replaced "$SCHEMA INSERT INTO note VALUES('14', 1, 'mine')"
chmod 640 "$ROOT/replaced/app.db"
[ "$(id -u)" -ne 0 ] || chown 65534:65533 "$ROOT/replaced/app.db"
(umask 022 && join_office replaced --mode replace >/dev/null 2>&1) || fail "replaced does not join"
same "$(stat -c '%a %u:%g' "$ROOT"/replaced/app.db.before-join-*)" "$(stat -c '%a %u:%g' "$ROOT/replaced/app.db")" "the copy"

# --- two directories, one database: by its name, a symbolic link, a hard link
start first
wait_for first connected
cp -a "$ROOT/first/node" "$ROOT/first/twin"
rm -f "$ROOT/first/twin/control.sock"
ln -s "$ROOT/first/app.db" "$ROOT/first/soft.db"
ln "$ROOT/first/app.db" "$ROOT/first/hard.db"
for name in app soft hard; do
    sed -i "s|^db: .*|db: $ROOT/first/$name.db|" "$ROOT/first/twin/node.yaml"
    expect 1 "$TONLE" run --dir "$ROOT/first/twin"
    says "another node runs on the database"
    says "$ROOT/first/node"
done
rm "$ROOT/first/hard.db"
sed -i "s|^db: .*|db: $ROOT/first/app.db|" "$ROOT/first/twin/node.yaml"
expect 3 "$TONLE" status --dir "$ROOT/first/twin" --json
expect 0 "$TONLE" conflict list --dir "$ROOT/first/twin"
app first "INSERT INTO note VALUES('11', 1, 'goes on')"
settle first hub
all_equal hub first

# the lock ends with its holder, and the row that it left stops nobody
cut_power first
"$TONLE" run --dir "$ROOT/first/twin" >>"$ROOT/first/log" 2>&1 &
PID[twin]=$!
"$TONLE" status --dir "$ROOT/first/twin" --wait synced --timeout "$WAIT" >/dev/null 2>"$ROOT/err" || fail "the twin: $(cat "$ROOT/err")"
expect 1 t first run
says "$ROOT/first/twin"
