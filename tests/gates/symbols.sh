#!/bin/sh
# What the libraries call and what they keep. symbols.sh ALLOW_DIR LIBRARY...
#
# 1. An undefined symbol of a library must be defined by one of the libraries given, or match a line of
#    ALLOW_DIR/<library>.txt (a shell pattern; # begins a comment). Where that file does not exist, every
#    line of ALLOW_DIR/<library>.deny.txt (for libroom_*: rooms.deny.txt) is "symbol pattern, then who may
#    have it": patterns of library/object.
# 2. No library has mutable state: no object in .data, .bss, common or thread-local sections, but for the
#    lines "object symbol" of ALLOW_DIR/state.txt (either may be a pattern).
# 3. No external name is defined twice.
# 4. A room (libroom_<name>) calls only rooms that stand before it in ALLOW_DIR/order.txt.
#
# Prints each violation and how many objects were read; fails on a violation or on none read.
set -eu
allow=$1
shift
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

for lib in "$@"; do
    name=$(basename "$lib" .a)
    # "library object symbol type section", one a line; nm -A writes "path:object:symbol | ..."
    nm -A -f sysv "$lib" | awk -F'|' -v lib="$name" 'NF >= 7 {
        n = split($1, part, ":"); object = part[n - 1]; symbol = part[n]
        sub(".*/", "", object); gsub(/ /, "", object); gsub(/ /, "", symbol); gsub(/ /, "", $3); gsub(/ /, "", $7)
        print lib, object, symbol, $3, $7 }'
done > "$work/all"

awk '$4 != "U" && $4 ~ /^[A-Z]$/ { print $3 }' "$work/all" | LC_ALL=C sort > "$work/defined"
violations=0
say() {
    echo "$*"
    violations=$((violations + 1))
}

awk '$4 == "U" { print $1, $2, $3 }' "$work/all" | LC_ALL=C sort -u -k1,1 -k3,3 -k2,2 > "$work/undefined"
awk -v allow="$allow" '
# A shell pattern as a regular expression.
function glob(p) {
    gsub(/[.+(){}|^$]/, "\\\\&", p)
    gsub(/\*/, ".*", p)
    gsub(/\?/, ".", p)
    return "^" p "$"
}
function read_list(lib,    file, line, n, word, i) {
    kind[lib] = "allow"
    file = allow "/" lib ".txt"
    if ((getline line < file) < 0) {
        kind[lib] = "deny"
        file = allow "/" (lib ~ /^libroom_/ ? "rooms" : lib) ".deny.txt"
        if ((getline line < file) < 0) {
            kind[lib] = "none"
            return
        }
    }
    do {
        n = split(line, word, " ")
        if (n == 0 || word[1] ~ /^#/) continue
        i = ++lines[lib]
        pattern[lib, i] = glob(word[1])
        callers[lib, i] = n
        for (; n > 1; n--) caller[lib, i, n] = glob(word[n])
    } while ((getline line < file) > 0)
    close(file)
}
function denied(lib, object, symbol,    i, j) {
    for (i = 1; i <= lines[lib]; i++) {
        if (symbol !~ pattern[lib, i]) continue
        for (j = 2; j <= callers[lib, i]; j++) if ((lib "/" object) ~ caller[lib, i, j]) return 0
        return 1
    }
    return 0
}
function allowed(lib, symbol,    i) {
    for (i = 1; i <= lines[lib]; i++) if (symbol ~ pattern[lib, i]) return 1
    return 0
}
FILENAME ~ /defined$/ && FILENAME !~ /undefined$/ { defined[$1] = 1; next }
{
    if (!($1 in kind)) read_list($1)
    if (kind[$1] == "none") print $1 ": no list of symbols"
    else if (kind[$1] == "deny" && denied($1, $2, $3)) print $1 ": " $2 " may not call " $3
    else if (kind[$1] == "allow" && !($3 in defined) && !allowed($1, $3))
        print $1 ": " $2 " calls " $3 ", which is not on its list"
}' "$work/defined" "$work/undefined" > "$work/wrong"
while read -r line; do say "$line"; done < "$work/wrong"

awk '$5 ~ /^(\.data|\.bss|\.tdata|\.tbss|\*COM\*)/ && $5 !~ /^\.data\.rel\.ro/ { print $1, $2, $3, $5 }' \
    "$work/all" > "$work/state"
while read -r lib object symbol section; do
    ok=
    while read -r may_object may_symbol; do
        case $may_object in '' | '#'*) continue ;; esac
        # shellcheck disable=SC2254
        case $object in $may_object) case $symbol in $may_symbol) ok=1 ;; esac ;; esac
    done < "$allow/state.txt"
    [ -n "$ok" ] || say "$lib: $object keeps mutable state: $symbol in $section"
done < "$work/state"

# Which room defines each name that another room calls, and where both stand in the order.
if [ -f "$allow/order.txt" ]; then
    sed 's/#.*//' "$allow/order.txt" | tr -s ' \n' '\n\n' | awk 'NF { print "libroom_" $1, NR }' > "$work/order"
    awk 'FILENAME ~ /order$/ { height[$1] = $2; next }
        FILENAME ~ /all$/ && $1 ~ /^libroom_/ && !($1 in height) { print $1, "-", "-", "-" }
        FILENAME ~ /all$/ { if ($4 != "U" && $4 ~ /^[A-Z]$/) at[$3] = $1; next }
        ($1 in height) && ($3 in at) && height[at[$3]] > height[$1] { print $1, $2, $3, at[$3] }' \
        "$work/order" "$work/all" "$work/undefined" | LC_ALL=C sort -u > "$work/upward"
    while read -r lib object symbol at; do
        [ "$symbol" = - ] && say "$lib has no place in order.txt" && continue
        say "$lib: $object calls $symbol, which is up in $at"
    done < "$work/upward"
fi

for twice in $(uniq -d "$work/defined"); do
    say "the name $twice is defined twice"
done

objects=$(awk '{ print $1, $2 }' "$work/all" | LC_ALL=C sort -u | wc -l)
echo "$objects objects read, $violations violations"
[ "$objects" -gt 0 ] && [ "$violations" -eq 0 ]
