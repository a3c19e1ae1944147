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

# Whether a word matches the first column of a list.
matches() { # WORD FILE
    while read -r pattern _; do
        case $pattern in '' | '#'*) continue ;; esac
        # shellcheck disable=SC2254
        case $1 in $pattern) return 0 ;; esac
    done < "$2"
    return 1
}

denied() { # SYMBOL OBJECT FILE
    while read -r pattern may; do
        case $pattern in '' | '#'*) continue ;; esac
        # shellcheck disable=SC2254
        case $1 in
        $pattern)
            for caller in $may; do
                # shellcheck disable=SC2254
                case $2 in $caller) return 1 ;; esac
            done
            return 0
            ;;
        esac
    done < "$3"
    return 1
}

awk '$4 == "U" { print $1, $2, $3 }' "$work/all" | LC_ALL=C sort -u -k1,1 -k3,3 -k2,2 > "$work/undefined"
while read -r lib object symbol; do
    if [ -f "$allow/$lib.txt" ]; then
        grep -qxF "$symbol" "$work/defined" || matches "$symbol" "$allow/$lib.txt" ||
            say "$lib: $object calls $symbol, which is not on its list"
        continue
    fi
    case $lib in
    libroom_*) list=$allow/rooms.deny.txt ;;
    *) list=$allow/$lib.deny.txt ;;
    esac
    if [ ! -f "$list" ]; then
        say "$lib: no list of symbols"
    elif denied "$symbol" "$lib/$object" "$list"; then
        say "$lib: $object may not call $symbol"
    fi
done < "$work/undefined"

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
        FILENAME ~ /all$/ { if ($4 != "U" && $4 ~ /^[A-Z]$/) at[$3] = $1; next }
        ($1 in height) && ($3 in at) && height[at[$3]] > height[$1] { print $1, $2, $3, at[$3] }
        $1 ~ /^libroom_/ && !($1 in height) { print $1, "-", "-", "-" }' \
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
