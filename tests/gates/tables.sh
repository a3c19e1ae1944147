#!/bin/sh
# Each tonle_* table is written by one room (ARCHITECTURE.md). tables.sh ROOT LIST
#
# Reads the string literals of node/, with neighbours joined over lines and over the macros between
# them, and looks in them for INSERT INTO, REPLACE INTO, UPDATE and DELETE FROM. A table that is
# named has to be LIST's for the file's room; a name that is put in at run time (%s) is only allowed
# in a file that LIST names for that. LIST says nothing that is not so.
#
# Prints each violation, then how many files and writes were read. Fails on a violation, and on
# nothing read.
set -eu
list=$2
cd "$1"
said=$(find node \( -name '*.c' -o -name '*.h' \) -type f 2>/dev/null | LC_ALL=C sort |
    xargs -r awk '
function bad(text) {
    print text
    violations++
}
# One literal, joined: every write in it.
function writes(text,    verb, table, room, place) {
    gsub(/\\n|\\"/, " ", text)
    while (match(text, verbs)) {
        verb = substr(text, RSTART, RLENGTH)
        text = substr(text, RSTART + RLENGTH)
        sub(/^(main|temp)\./, "", text)
        if (match(text, /^tonle_[a-z_]+/)) table = substr(text, 1, RLENGTH)
        else if (text ~ /^%s|^$/) table = "%"
        else continue
        found++
        split(file, place, "/")
        room = place[2]
        if ((table, file) in except) used[table, file] = 1
        else if (table == "%") bad(file ": writes a table named at run time, and is not listed for that")
        else if (!(table in owner)) bad(file ": writes " table ", which has no room in the list")
        else if (owner[table] != room) bad(file ": writes " table ", which is node/" owner[table] "/ alone to write")
        else used[table] = 1
    }
}
function finish() {
    if (joined != "") writes(joined)
    joined = ""
}
# Comments out, then literals; whatever stands between two of them but spaces, backslashes and the
# name of a macro ends a joined one.
function scan(line,    c, end, text) {
    while (line != "") {
        if (in_comment) {
            end = index(line, "*/")
            if (!end) return
            line = substr(line, end + 2)
            in_comment = 0
        }
        c = substr(line, 1, 1)
        if (c == "\"") {
            match(line, /^"([^"\\]|\\.)*"/)
            if (RLENGTH < 2) return
            text = substr(line, 2, RLENGTH - 2)
            line = substr(line, RLENGTH + 1)
            joined = joined text
        } else if (substr(line, 1, 2) == "/*") {
            in_comment = 1
            line = substr(line, 3)
        } else if (substr(line, 1, 2) == "//") {
            return
        } else if (match(line, /^\047([^\047\\]|\\.)*\047/)) {
            line = substr(line, RLENGTH + 1)
            finish()
        } else if (match(line, /^[ \t\\]+/) || match(line, /^[A-Z][A-Z0-9_]*/)) {
            line = substr(line, RLENGTH + 1)
        } else {
            line = substr(line, 2)
            finish()
        }
    }
}
FNR == 1 {
    finish()
    in_comment = 0
    file = FILENAME
}
FILENAME == LIST {
    if ($0 ~ /^#/ || NF == 0) next
    if ($2 ~ /\//) {
        if (NF < 3) bad("the list gives no reason for " $1 " in " $2)
        except[$1, $2] = $1 " in " $2
    } else owner[$1] = $2
    next
}
FNR == 1 { files++ }
{ scan($0) }
END {
    finish()
    if (!files) exit 1
    for (t in owner)
        if (!(t in used)) bad("the list names " t ", which nobody in node/" owner[t] "/ writes")
    for (x in except)
        if (!(x in used)) bad("the list excepts " except[x] ", which is not so")
    printf "%d files read, %d writes, %d violations\n", files, found, violations
}' LIST="$list" verbs='(INSERT( OR [A-Z]+)? INTO|REPLACE INTO|UPDATE( OR [A-Z]+)?|DELETE FROM) +' "$list") || true
printf '%s\n' "${said:-no files were read}"
# The last line is the verdict: some files, some writes, no violation.
printf '%s\n' "$said" | grep -qE '^[1-9][0-9]* files read, [1-9][0-9]* writes, 0 violations$'
