#!/usr/bin/env bash
# run.sh [--some N | --all] [NAME...]: puts one wrong line at a time into a copy of the sources and runs the tests
# that must find it. A mutant that every test passes is a promise nobody keeps: the script fails and names it.
#
# mutants.txt holds them; --some N takes N in rotation, other ones each day (SEED=number instead of the day).
# OUT is where the copy and its build go (default: build-mutants); they are used again the next time.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
out=${OUT:-$root/build-mutants}
list=${MUTANTS:-$here/mutants.txt}
some=0 names=()
while [ $# -gt 0 ]; do
    case $1 in
    --some) some=$2 && shift ;;
    --all) some=0 ;;
    -*) echo "usage: run.sh [--some N | --all] [NAME...]" >&2 && exit 2 ;;
    *) names+=("$1") ;;
    esac
    shift
done

# One mutant is a paragraph of "word: text" lines: name, promise, file, from, to, run (one or more).
field() { # WORD NAME: the texts of that word
    awk -v word="$1" -v name="$2" 'BEGIN { RS = ""; FS = "\n" }
        { mine = 0; for (i = 1; i <= NF; i++) if ($i == "name: " name) mine = 1 }
        mine { for (i = 1; i <= NF; i++) if (index($i, word ": ") == 1) print substr($i, length(word) + 3) }' "$list"
}
mapfile -t all < <(sed -n 's/^name: //p' "$list")
[ "${#all[@]}" -gt 0 ] || { echo "mutants: none in $list" >&2; exit 1; }
for name in "${names[@]}"; do
    [[ " ${all[*]} " == *" $name "* ]] || { echo "mutants: there is no $name" >&2; exit 1; }
done
if [ "${#names[@]}" -eq 0 ] && [ "$some" -gt 0 ]; then
    seed=${SEED:-$(($(date +%s) / 86400))}
    for ((i = 0; i < some; i++)); do names+=("${all[$(((seed * some + i) % ${#all[@]}))]}"); done
elif [ "${#names[@]}" -eq 0 ]; then
    names=("${all[@]}")
fi

# A line that was rewritten or stands twice is no mutant any more: whoever changed it gives it a new one.
stands() { # NAME: its line stands exactly once
    local file hits
    file=$root/$(field file "$1")
    hits=$(grep -cF -- "$(field from "$1")" "$file" 2>/dev/null || true)
    [ "${hits:-0}" = 1 ] || { echo "STALE    $1: its line stands ${hits:-0} times in ${file#"$root"/}" && return 1; }
}
stale=0
for name in "${all[@]}"; do stands "$name" || stale=1; done
[ "$stale" -eq 0 ] || { echo "mutants: $list does not fit the sources" >&2; exit 1; }

# The copy; what differs from the tree (an older copy, a mutant of a run that was ended) is taken anew. `sound`
# holds what each file was when it was copied: the tree may be worked on meanwhile.
mkdir -p "$out/src" "$out/sound"
(cd "$root" && tar --exclude='./build*' --exclude=./.git -cf - .) | (cd "$out/sound" && tar -xf -)
(cd "$out/sound" && find . -type f) | while read -r file; do
    cmp -s "$out/sound/$file" "$out/src/$file" && continue
    mkdir -p "$out/src/${file%/*}" && cp "$out/sound/$file" "$out/src/$file"
done
# not optimised, nothing to debug with: building is most of the time
[ -f "$out/b/build.ninja" ] || meson setup "$out/b" "$out/src" -Doptimization=0 -Ddebug=false >"$out/setup.log" 2>&1 ||
    { cat "$out/setup.log"; exit 1; }

# what one history of a property test used serves the next (as in tests/property/meson.build)
export MALLOC_MMAP_THRESHOLD_=1000000000 MALLOC_TRIM_THRESHOLD_=1000000000

# passes COMMAND...: 0 all passed, 1 one failed, 2 it does not compile
passes() {
    local command programs=()
    for command in "$@"; do
        case $command in
        'integration '*) programs+=(node/cli/tonle) ;;
        *) programs+=("${command%% *}") ;;
        esac
    done
    ninja -C "$out/b" "${programs[@]}" >"$out/build.log" 2>&1 || return 2
    for command in "$@"; do
        if [ "${command%% *}" = integration ]; then
            TONLE=$out/b/node/cli/tonle WAIT=10 timeout 400 "$out/src/tests/integration/${command#* }.sh" \
                >"$out/test.log" 2>&1 || return 1
        else
            # shellcheck disable=SC2086 # a test that aborts is not worth a word of the shell's
            { (cd "$out/b" && timeout 400 $command) >"$out/test.log" 2>&1; } 2>/dev/null || return 1
        fi
    done
}

# without a mutant they pass
: >"$out/test.log"
mapfile -t sound < <(for name in "${names[@]}"; do field run "$name"; done | sort -u)
passes "${sound[@]}" || { tail -n 20 "$out/build.log" "$out/test.log"; echo "mutants: the tests fail without one" >&2; exit 1; }

red=0 wrong=0
for name in "${names[@]}"; do
    file=$(field file "$name") from=$(field from "$name") to=$(field to "$name") promise=$(field promise "$name")
    FROM=$from TO=$to perl -0pi -e 's/\Q$ENV{FROM}\E/$ENV{TO}/' "$out/src/$file"
    mapfile -t commands < <(field run "$name")
    code=0
    passes "${commands[@]}" || code=$?
    cp "$out/sound/$file" "$out/src/$file"
    case $code in
    0) wrong=$((wrong + 1)) && echo "SURVIVES $name: promise $promise" ;;
    1) red=$((red + 1)) && echo "red      $name: promise $promise" ;;
    *) wrong=$((wrong + 1)) && tail -n 20 "$out/build.log" && echo "BROKEN   $name: does not compile" ;;
    esac
done
echo "mutants: $red of ${#names[@]} found"
[ "$wrong" -eq 0 ]
