#!/usr/bin/env bash
# run.sh [NAME...]: the applications' own tools beside real nodes, one after another (default: all of them). What a
# tool needs of the npm registry is fetched; Debian's packages are installed with INSTALL=1, as root, because that
# changes the machine. Where something cannot be had the tool is skipped and said so; where none could be tried
# nothing was tested, which is no success. TONLE is the program; OUT is where npm's packages go (default: build-apps).
set -u
here=$(cd "$(dirname "$0")" && pwd)
export TONLE=${TONLE:?the tonle program}
out=${OUT:-$here/../../build-apps}
mkdir -p "$out"
out=$(cd "$out" && pwd)
export NODE_PATH=$out/node_modules
python=/usr/bin/python3 # Debian's packages are for this one

declare -A run=(
    [alembic]="$python $here/alembic_app.py"
    [django]="$python $here/django_app.py"
    [rails]="ruby $here/rails.rb"
    [doctrine]="php $here/doctrine.php"
    [knex]="node $here/knex.js"
    [sequelize]="node $here/sequelize.js"
    [typeorm]="node $here/typeorm.js"
)
declare -A debian=(
    [alembic]="python3-alembic" [django]="python3-django" [rails]="ruby-activerecord ruby-sqlite3"
    [doctrine]="php-cli php-sqlite3 php-doctrine-dbal" [knex]="" [sequelize]="" [typeorm]=""
)
declare -A npm=(
    [knex]="knex@3 better-sqlite3@12" [sequelize]="sequelize@6 sqlite3@5"
    [typeorm]="typeorm@0.3 reflect-metadata@0.2 better-sqlite3@12"
)

# has NAME: it makes its table
has() {
    rm -f "$out/try.db"
    # shellcheck disable=SC2086
    ${run[$1]} "$out/try.db" create >"$out/$1.log" 2>&1
}
# fetch NAME: what it needs, as far as it can be had; its words are in OUT/NAME.log
fetch() {
    local package
    # shellcheck disable=SC2086
    [ -z "${debian[$1]}" ] || [ "${INSTALL:-0}" != 1 ] ||
        DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends ${debian[$1]} >>"$out/$1.log" 2>&1
    # one by one: what has to be compiled, and cannot be, takes nothing else with it
    for package in ${npm[$1]:-}; do
        npm install --prefix "$out" --no-audit --no-fund --nodedir=/usr "$package" >>"$out/$1.log" 2>&1
    done
}

[ $# -gt 0 ] || set -- alembic django rails doctrine knex sequelize typeorm
passed=0 failed=0 skipped=0
for name in "$@"; do
    [ -n "${run[$name]:-}" ] || { echo "run.sh: there is no $name: it is one of ${!run[*]}" >&2; exit 2; }
    if ! has "$name" && ! { fetch "$name" && has "$name"; }; then
        echo "skipped  $name: it needs ${debian[$name]}${npm[$name]:-}, which cannot be had here ($out/$name.log)" \
            "${debian[$name]:+(INSTALL=1 installs from Debian)}"
        skipped=$((skipped + 1))
    # shellcheck disable=SC2086
    elif "$here/migrations.sh" ${run[$name]} >"$out/$name.log" 2>&1; then
        echo "ok       $name"
        passed=$((passed + 1))
    else
        echo "FAILED   $name"
        tail -n 40 "$out/$name.log"
        failed=$((failed + 1))
    fi
done
printf '%s passed, %s failed, %s skipped\n' "$passed" "$failed" "$skipped"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
