#!/bin/sh
# Everything that must hold before a change is taken: four builds without a warning, the gates, all tests.
# From any directory, from a clean clone; on two cores in under 15 minutes. The last line is
# "N passed, N failed"; the exit status is 0 only when something passed and nothing failed.
#
#   gcc       -Werror, -O2, as developers build it     gates, property, simulation, the rest
#   clang     -Werror, unoptimised                     builds
#   mutants   one wrong line at a time, three a day    the tests that must find each
#   coverage  branches of conflict/ by its own tests   at least 95 %; what is uncovered is listed
#   sanitize  address and undefined behaviour (their   unit, property, integration but the long
#             checks make gcc warn where nothing is)
#   release   -Werror, as it is shipped                gates, integration: lives of processes, long scripts
#
# The last two build only what their tests need.
set -u
root=$(cd "$(dirname "$0")/.." && pwd) || exit 1
cd "$root" || exit 1
out=$root/build-check
begun=$(date +%s)
limit_s=${CHECK_LIMIT_S:-1200} # an end, whatever hangs; it is to take less than 900
passed=0 failed=0
unset CFLAGS CPPFLAGS LDFLAGS TONLE_DIR
# Some 170 test programs are linked in each build: a quicker linker where there is one, but not for what ships.
if command -v ld.gold >/dev/null; then
    CC_LD=gold && export CC_LD
fi
export LC_ALL=C.UTF-8
# The tests write small files and wait for the disk; where there is room for them in memory they do not.
shm=/dev/shm
if [ -z "${TMPDIR:-}" ] && [ -w "$shm" ] && [ "$(df -Pk "$shm" | awk 'NR == 2 { print $4 }')" -gt 4000000 ]; then
    TMPDIR=$(mktemp -d "$shm/tonle-check.XXXXXX") && export TMPDIR
    trap 'rm -rf "$TMPDIR"' EXIT
    trap 'exit 1' INT TERM
fi
# a smaller quarantine: with 256 MiB every allocation is on pages not touched before, a quarter of the time
export ASAN_OPTIONS="${ASAN_OPTIONS:-detect_leaks=1:quarantine_size_mb=32}"
export UBSAN_OPTIONS="${UBSAN_OPTIONS:-halt_on_error=1:print_stacktrace=1}"

say() {
    printf '\n== %s (%s s)\n' "$*" "$(($(date +%s) - begun))"
}

# Runs a command within what is left of the time; its output goes to a log, whose end is shown on failure.
step() { # LOG COMMAND...
    log=$1
    shift
    left=$((limit_s - ($(date +%s) - begun)))
    if [ "$left" -le 0 ]; then
        echo "no time is left for: $*"
        failed=$((failed + 1))
        return 1
    fi
    timeout --kill-after=10 "$left" "$@" >"$log" 2>&1 && return 0
    echo "failed: $*"
    tail -n 80 "$log"
    return 1
}

setup() { # NAME COMPILER MESON-OPTION...
    name=$1 compiler=$2
    shift 2
    say "set up $name"
    step "$out/$name-setup.log" env CC="$compiler" meson setup "$out/$name" "$@" && return 0
    failed=$((failed + 1))
    return 1
}

build() { # NAME COMPILER MESON-OPTION...
    setup "$@" || return 1
    say "build $1"
    step "$out/$1-build.log" ninja -C "$out/$1" && return 0
    failed=$((failed + 1))
    return 1
}

# How many lines of meson's log (one JSON object a test) have one of these results. The tests' own output
# is in there with its quotes escaped, so it cannot match.
count() { # FILE RESULT-PATTERN
    grep -cE "\"result\": \"($2)\"" "$1" 2>/dev/null || true
}

run_tests() { # NAME SUITE-OPTION...
    name=$1
    shift
    say "tests $name: $*"
    results=$out/$name/meson-logs/check.json
    rm -f "$results"
    step "$out/$name-test.log" meson test -C "$out/$name" --logbase check --print-errorlogs "$@"
    status=$?
    ok=$(count "$results" 'OK|EXPECTEDFAIL')
    bad=$(count "$results" 'FAIL|ERROR|TIMEOUT|INTERRUPT|UNEXPECTEDPASS')
    ok=${ok:-0} bad=${bad:-0}
    # stopped by the time limit, or broken before the first test: that is a failure too
    if [ "$status" -ne 0 ] && [ "$bad" -eq 0 ]; then
        bad=1
    fi
    if [ "$ok" -eq 0 ] && [ "$bad" -eq 0 ]; then
        echo "no tests were run"
        bad=1
    fi
    passed=$((passed + ok)) failed=$((failed + bad))
    echo "$name: $ok passed, $bad failed, $(count "$results" SKIP) skipped"
}

rm -rf "$out"
mkdir -p "$out" || exit 1
say "what is needed"
if ! sh deploy/deps.sh; then
    printf '%s passed, %s failed\n' 0 1
    exit 1
fi

build gcc gcc -Dwerror=true && run_tests gcc --no-suite integration --no-suite unit --no-suite bench

# What computes runs beside the integration tests, which mostly wait, and yields to them; its status goes to a file.
beside() { # NAME COMMAND...
    name=$1
    shift
    (nice -n 19 "$@" >"$out/$name.log" 2>&1
        echo $? >"$out/$name.status") &
}
beside_passed() { # NAME
    say "$1"
    if [ "$(cat "$out/$1.status" 2>/dev/null)" = 0 ]; then
        passed=$((passed + 1))
        return 0
    fi
    failed=$((failed + 1))
    tail -n 80 "$out/$1.log"
    return 1
}

left=$((limit_s - ($(date +%s) - begun)))
[ "$left" -gt 0 ] || left=1
# shellcheck disable=SC2016
beside clang timeout --kill-after=10 "$left" sh -c 'CC=clang meson setup "$1" -Dwerror=true -Doptimization=0 -Ddebug=false &&
    ninja -j 1 -C "$1"' clang "$out/clang"
beside mutants timeout --kill-after=10 "$left" env OUT="$out/mutants" tests/mutants/run.sh --some 3
beside coverage timeout --kill-after=10 "$left" sh tests/coverage.sh "$out/coverage"
setup sanitize gcc -Db_sanitize=address,undefined -Doptimization=1 -Dc_args=-g1 &&
    run_tests sanitize --num-processes 3 --suite unit --suite property \
        --suite integration --no-suite long
unset CC_LD
setup release gcc --buildtype=release -Dwerror=true && run_tests release --num-processes 3 --suite gates --suite lives --suite long
wait
beside_passed mutants && cat "$out/mutants.log"
beside_passed clang
beside_passed coverage && cat "$out/coverage.log"

say "done"
printf '%s passed, %s failed\n' "$passed" "$failed"
[ "$passed" -gt 0 ] && [ "$failed" -eq 0 ]
