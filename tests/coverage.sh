#!/bin/sh
# Branch coverage of conflict/ by its unit and property tests: every file's share, what is uncovered, line by
# line; fails below LIMIT percent in all. coverage.sh [BUILD-DIR]
#
# A branch counts when it was taken at least once (gcov's own count). Asserts stand for bugs of our own and are
# not branches that a test could take: their lines are left out, and counted at the end.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
out=${1:-$root/build-coverage}
limit=${LIMIT:-95}
cd "$root"
[ -f "$out/build.ninja" ] || CC=gcc meson setup "$out" -Db_coverage=true -Doptimization=0 >/dev/null
find "$out" -name '*.gcda' -delete
meson introspect "$out" --tests | jq -r '.[].name | select(test("^(conflict|property) "))' >"$out/coverage-tests"
[ -s "$out/coverage-tests" ] || { echo "coverage: no tests of conflict/ were found" >&2; exit 1; }
xargs -d '\n' meson test -C "$out" <"$out/coverage-tests" >"$out/coverage-tests.log" 2>&1 ||
    { tail -n 40 "$out/coverage-tests.log"; exit 1; }
objects=$(find "$out/conflict" -name '*.gcda')
[ -n "$objects" ] || { echo "coverage: nothing was measured" >&2; exit 1; }
# shellcheck disable=SC2086
(cd "$out" && gcov --json-format --stdout --branch-probabilities $objects 2>/dev/null) >"$out/coverage.json"
jq -sr --arg limit "$limit" --rawfile asserts /dev/stdin '
    ($asserts | split("\n") | map({(.): true}) | add) as $assert |
    [ .[].files[] | select(.file | test("(^|/)conflict/[a-z_]+\\.c$")) |
      (.file | sub(".*conflict/"; "conflict/")) as $file |
      .lines[] | select(.branches | length > 0) | .line_number as $line |
      { file: $file, line: $line, assert: ($assert["\($file):\($line)"] // false),
        all: (.branches | length), taken: ([.branches[] | select(.count > 0)] | length) } ] |
    map(select(.assert | not)) as $lines |
    ($lines | group_by(.file)[] | "\(.[0].file): \([.[].taken] | add) of \([.[].all] | add) branches" +
        (map(select(.taken < .all) | "\n    line \(.line): \(.all - .taken) of \(.all) not taken") | join(""))),
    ($lines | [([.[].taken] | add // 0), ([.[].all] | add // 0)]) as [$taken, $all] |
    if $all == 0 then "coverage: no branch was found\n" | halt_error(1)
    elif $taken * 100 < $all * ($limit | tonumber) then
        "conflict/: \($taken) of \($all) branches, \($taken * 1000 / $all | floor / 10) %: below \($limit) %\n" | halt_error(1)
    else "conflict/: \($taken) of \($all) branches, \($taken * 1000 / $all | floor / 10) %" end
' "$out/coverage.json" <<ASSERTS
$(grep -n 'assert(' conflict/*.c | sed 's/^\([^:]*:[0-9]*\):.*/\1/')
ASSERTS
