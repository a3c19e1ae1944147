#!/bin/sh
# The forms of the house that a program can see (CONTRIBUTING.md). style.sh ROOT
#
#   - a pointer is asked as `!p` or `p`, never compared with NULL
#   - sizeof of an expression stands without parentheses (a macro's parameter has them)
#   - a line has 100 columns at most
#   - what a file is about stands above its includes
#   - no name is both a struct, union or enum and a function, and no tag is declared twice in the tree
#     (programs of their own under tests/ included: who searches for a name finds one thing)
#
# Prints each violation as FILE:LINE: text, then how many files were read. Fails on a violation, and on
# nothing read.
set -eu
cd "$1"
said=$(find conflict protocol node tests \( -name '*.c' -o -name '*.h' \) -type f 2>/dev/null |
    grep -v '^tests/gates/fixtures/' | LC_ALL=C sort | LC_ALL=C xargs -r awk '
function bad(text) {
    printf "%s:%d: %s\n", FILENAME, FNR, text
    violations++
}
# Strings and comments are no code.
function code(line,    at) {
    gsub(/"(\\.|[^"\\])*"/, "\"\"", line)
    if (inside) {
        at = index(line, "*/")
        if (!at) return ""
        inside = 0
        line = substr(line, at + 2)
    }
    gsub(/\/\*([^*]|\*+[^*\/])*\*+\//, "", line)
    at = index(line, "/*")
    if (at) {
        inside = 1
        line = substr(line, 1, at - 1)
    }
    return line
}
# Whether sizeof stands before a parenthesis that holds no type.
function of_expression(line,    define) {
    define = line ~ /^[ \t]*#[ \t]*define/
    while (match(line, /sizeof *\(+/)) {
        line = substr(line, RSTART + RLENGTH)
        if (define && line ~ /^[a-z_]+\)/) continue
        if (line !~ /^(const )?(struct|union|enum|unsigned|char|short|int|long|double|float|void|bool|[a-z0-9_]+_t|[A-Z][A-Za-z0-9]*__[A-Za-z0-9_]+)[ )*[]/)
            return 1
    }
    return 0
}
# Characters, not bytes: what goes on with one in UTF-8 is not counted.
function columns(line) {
    gsub(/[\200-\277]/, "", line)
    return length(line)
}
FNR == 1 {
    files++
    inside = 0
    above = 1      # before the first line of code that is no preprocessor line
    included = 0
    comment = ended = 0
}
{
    was = inside
    text = code($0)
    if (above && FILENAME ~ /\.c$/) {
        if (text ~ /^[ \t]*#[ \t]*include/) included = 1
        if (FNR == 1 && $0 ~ /^\/\*/) above = 0
        if (included && !was && $0 ~ /^\/\*/ && $0 !~ /^\/\* ----/) comment = FNR
        if ($0 ~ /^$/ && comment && ended == FNR - 1)
            bad("what a file is about stands above its includes")
        if (!inside && $0 ~ /\*\/ *$/) ended = FNR
        else if (!inside) comment = 0
        if (text ~ /[^ \t]/ && text !~ /^[ \t]*#/) above = 0
    }
    if (text ~ /[!=]= *NULL/ || text ~ /NULL *[!=]=/) bad("!p or p, not a comparison with NULL")
    if (of_expression(text)) bad("sizeof *p, without parentheses")
    if (columns($0) > 100) bad("a line over 100 columns")
    if (match(text, /^[ \t]*(typedef |static const |static )?(struct|union|enum) (\[\[nodiscard\]\] )?[a-z_0-9]+ \{/)) {
        name = text
        sub(/ \{.*/, "", name)
        sub(/.* /, "", name)
        if (FILENAME == "tests/unit/loop/fake_node.h") name = "fake " name # it stands in that place
        if (name in tag) bad("the tag " name " is declared in " tag[name] ", too")
        else tag[name] = FILENAME ":" FNR
    }
    gsub(/__attribute__\(\([a-z_]*(\([^()]*\))?\)\) */, "", text)
    sub(/^\[\[[a-z]+\]\] */, "", text)
    # A name may begin its line, where what it returns stands on the one before.
    if (match(text, /^([a-z][a-z_0-9 *]*[ *])?\*?[a-z_0-9]+\(/) && text !~ /^(return|else|typedef|extern)/) {
        name = substr(text, RSTART, RLENGTH - 1)
        sub(/.*[ *]/, "", name)
        if (!(name in called)) called[name] = FILENAME ":" FNR
    }
}
END {
    for (name in tag) if (name in called) {
        printf "%s: the struct, union or enum %s is a function, too: %s\n", tag[name], name, called[name]
        violations++
    }
    printf "%d files read, %d violations\n", files, violations
    exit violations > 0
}') || true
printf '%s\n' "${said:-no files were read}"
printf '%s\n' "$said" | grep -qE '^[1-9][0-9]* files read, 0 violations$'
