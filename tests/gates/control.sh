#!/bin/sh
# A gate's negative control. control.sh WANTED GATE ARGUMENT...
#
# Succeeds only when the gate fails *and* says WANTED: a gate that fails for another reason proves nothing.
set -u
wanted=$1
shift
said=$(sh "$@" 2>&1) && {
    echo "the gate let it pass:"
    printf '%s\n' "$said"
    exit 1
}
case $said in
*"$wanted"*) exit 0 ;;
esac
echo "the gate failed, but without saying '$wanted':"
printf '%s\n' "$said"
exit 1
