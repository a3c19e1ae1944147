#!/usr/bin/env bash
# Power cuts at every node in turn, with writes going on all the time: nothing is lost, all offices end equal.
. "$(dirname "$0")/lib.sh"
ROUNDS=${ROUNDS:-4}

make_hub
start hub
add_office province 12 hub
add_office district 1201 province
settle hub province district

write() { # OFFICE UNIT NUMBER: births, changes of one row, a delete
    app "$1" "INSERT INTO note VALUES('$2', $3, 'from $1');
      INSERT INTO household VALUES('$1-$3', '$2-$3', 'v');
      UPDATE household SET village = village || '$3' WHERE id = '$1-$(($3 - 1))';
      DELETE FROM household WHERE id = '$1-$(($3 - 3))'" || fail "$1 cannot write"
}
n=0
for round in $(seq "$ROUNDS"); do
    for victim in hub province district; do
        for i in 1 2 3; do
            n=$((n + 1))
            write hub 0 $n; write province 12 $n; write district 1201 $n
        done
        cut_power "$victim"
        n=$((n + 1))
        write hub 0 $n; write province 12 $n; write district 1201 $n
        start "$victim"
    done
done
for office in hub province district; do wait_for "$office" connected; done
settle district province hub province district
all_equal hub province district
for unit in 0 12 1201; do
    same "$(app hub "SELECT count(*) FROM note WHERE unit = '$unit'")" "$n" "writes of unit $unit at the hub"
done
same "$(app district "SELECT count(*) FROM household")" 9
for office in province district; do expect 0 t "$office" verify --json; done
for office in hub province district; do
    same "$(app "$office" "PRAGMA integrity_check")" ok
    stop "$office"
done
