#!/bin/sh
# Who may include what (the rooms: ARCHITECTURE.md). includes.sh ROOT [HEADERS]
#
# HEADERS: which headers of a room others may include, beside its own. Each is there, and some other
# room includes it: a list that is not true opens what nobody meant to.
#
# Prints each violation as FILE:LINE: text, then how many files were read. Fails on a violation, and on
# nothing read: a gate whose find matches nothing would stay green for ever.
set -eu
headers=${2:-$1/tests/gates/headers.txt}
list=$(sed -n "s/^\(node[^ ]*\).*/\1/p" "$headers" 2>/dev/null | tr "\n" " ")
cd "$1"
missing=$(for header in $list; do [ -f "$header" ] || printf '%s ' "$header"; done)
# shellcheck disable=SC2016
said=$(find conflict protocol node \( -name '*.c' -o -name '*.h' \) -type f 2>/dev/null | LC_ALL=C sort |
    xargs -r awk -v public="$list" -v missing="$missing" '
BEGIN {
    split("assert.h ctype.h errno.h inttypes.h limits.h math.h stdalign.h stdarg.h stdbool.h stddef.h " \
          "stdint.h stdio.h stdlib.h string.h", list, " ")
    for (i in list) pure["<" list[i] ">"] = 1
    split("file db charter config state schema record journal capture check apply store load desk core loop cli", rooms, " ")
    n = split(public, list, " ")
    for (i = 1; i <= n; i++) may["\"" list[i] "\""] = 1
    for (i in rooms) height[rooms[i]] = i + 0
}
function bad(text) {
    printf "%s:%d: %s: %s\n", FILENAME, FNR, text, inc
    violations++
}
# A library header, and the files of the room that may see it.
function only(header, who) {
    if (inc ~ header && FILENAME !~ who) bad("may be included by " who " only")
}
FNR == 1 {
    files++
    room = FILENAME
    sub("/.*", "", room)
}
/^[ \t]*#[ \t]*include/ {
    inc = $0
    sub(/^[ \t]*#[ \t]*include[ \t]*/, "", inc)
    sub(/[ \t]*(\/[\/*].*)?$/, "", inc)
    if (inc !~ /^(<[^<>]+>|"[^"]+")$/) {
        bad("not a plain include")
        next
    }
    if (inc ~ /^"/ && inc !~ /^"(conflict|protocol|node)\/[a-z0-9_\/]+(\.pb-c)?\.h"$/)
        bad("written without its room")
    if (inc ~ /^"protocol\// && room == "conflict") bad("conflict/ knows conflict/ only")
    if (inc ~ /^"node\// && room != "node") bad(room "/ does not know node/")
    if (inc ~ /^"node\/cli\// && FILENAME !~ /^node\/cli\//) bad("node/cli/ is known in node/cli/ only")
    if (inc ~ /^</ && room == "conflict" && !(inc in pure) && inc != "<utf8proc.h>")
        bad("not of the pure C library")
    if (inc ~ /^</ && room == "protocol" && !(inc in pure) && inc !~ /<(sodium|zstd|protobuf-c\/.*)\.h>/)
        bad("not of the pure C library")
    only("pb-c\\.h", "^protocol/codec[a-z_]*\\.[ch]$")
    only("protobuf-c", "^protocol/codec[a-z_]*\\.[ch]$")
    only("\"protocol/codec_internal\\.h", "^protocol/codec[a-z_]*\\.[ch]$")
    only("utf8proc", "^(conflict/text|node/file/printable)\\.c$")
    only("sodium", "^protocol/seal[a-z_]*\\.[ch]$")
    only("zstd", "^protocol/seal[a-z_]*\\.[ch]$")
    only("sqlite3|libpq", "^node/db/[a-z_]+\\.[ch]$")
    only("\"node/db/sqlite\\.h", "^node/(db/[a-z_]+\\.[ch]|schema/info\\.c|capture/triggers\\.c|apply/put\\.c)$")
    if (inc ~ /^"node\// && split(FILENAME, here, "/") == 3) {
        split(inc, there, "/")
        if (here[2] != there[2]) asked[inc] = 1
        if (here[2] != there[2] && there[3] != there[2] ".h\"" && !(inc in may))
            bad("is private to node/" there[2] "/, or not in tests/gates/headers.txt")
        if (height[there[2]] > height[here[2]]) bad("an include goes down, never up to node/" there[2] "/")
    }
    only("<(uv|zmq)\\.h", "^node/loop/[a-z_]+\\.[ch]$")
    only("\"node/loop/loop\\.h", "^node/(loop/[a-z_]+\\.[ch]|cli/(run|join)\\.c)$")
    only("\"node/loop/control\\.h", "^node/(loop/[a-z_]+\\.[ch]|cli/cli_common\\.c)$")
    only("cyaml|<yaml\\.h", "^node/(file|charter|config)/[a-z_]+\\.[ch]$")
    only("\"node/file/yaml\\.h", "^node/(file|charter|config)/[a-z_]+\\.[ch]$")
    if (inc ~ /jansson/) {
        if (room != "node") bad("may be included in node/ only")
        if (!(FILENAME in json)) seen_json = seen_json " " FILENAME
        json[FILENAME] = 1
    }
}
END {
    n = split(missing, list, " ")
    for (i = 1; i <= n; i++) {
        printf "headers.txt: %s does not exist\n", list[i]
        delete may["\"" list[i] "\""]
        violations++
    }
    for (header in may) {
        if (header in asked) continue
        printf "headers.txt: no other room includes %s\n", header
        violations++
    }
    printf "jansson is used by:%s\n", seen_json
    printf "%d files read, %d violations\n", files, violations
    exit violations > 0
}') || true
printf '%s\n' "${said:-no files were read}"
# The last line is the verdict: some files, no violation.
printf '%s\n' "$said" | grep -qE '^[1-9][0-9]* files read, 0 violations$'
