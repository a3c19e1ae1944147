#!/bin/sh
# Speed and memory as ratios against plain SQLite in the same run; then what conflicts and held rows cost, and how
# long the lists of the review desk take.
# usage: tests/bench/run.sh [ROWS]
set -eu
cd "$(dirname "$0")/../.."
[ -d build-bench ] || meson setup build-bench --buildtype=release >/dev/null
ninja -C build-bench tests/bench/bench tests/bench/conflicts >/dev/null
for mode in wal rollback; do
    build-bench/tests/bench/bench "${1:-50000}" "$mode"
    echo
done
build-bench/tests/bench/conflicts
echo
tests/bench/lists.sh
