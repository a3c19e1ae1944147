#!/bin/sh
# soak.sh COUNT [FROM]: many seeds, longer histories, until one fails. SIM is the program.
set -eu
count=${1:?usage: soak.sh COUNT [FROM]}
from=${2:-1000}
sim=${SIM:-build/tests/sim/sim}
while [ "$count" -gt 0 ]; do
    part=$((count < 20 ? count : 20))
    "$sim" --seeds "$from" "$part" --ms 30000
    from=$((from + part))
    count=$((count - part))
done
