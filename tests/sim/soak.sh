#!/bin/sh
# soak.sh PROGRAM: SEEDS histories from FROM on, of every kind in turn, also where they are few; until one fails.
set -eu
sim=${1:?usage: soak.sh PROGRAM}
left=${SEEDS:-100000}
from=${FROM:-1000}
turn=$((left / 10 < 10 ? left / 10 : 10))
turn=$((turn > 0 ? turn : 1))
while [ "$left" -gt 0 ]; do
    for kind in "--drawn" "--drawn --join --write-while-loading" "--join --write-while-loading" "--hostile" "--clocks" "--ignore" "--gaps" "--gaps --stray-deletes" "--flips" ""; do
        part=$((left < turn ? left : turn))
        [ "$part" -gt 0 ] || break
        # shellcheck disable=SC2086 # several options
        "$sim" --seeds "$from" "$part" --ms 20000 $kind
        from=$((from + part))
        left=$((left - part))
    done
done
