#!/bin/sh
# Installs what building, testing and trying out Tonle needs on Debian 12. No questions asked; as root, or
# with sudo; again and again; does nothing when everything is there.
set -eu

packages='gcc libc6-dev binutils clang meson ninja-build pkgconf
libsqlite3-dev libsodium-dev libzstd-dev libprotobuf-c-dev protobuf-c-compiler libzmq3-dev libuv1-dev
libyaml-dev libcyaml-dev libjansson-dev libutf8proc-dev libcmocka-dev
sqlite3 jq procps faketime ca-certificates'

missing=
for package in $packages; do
    # shellcheck disable=SC2016
    case $(dpkg-query -W -f='${db:Status-Abbrev}' "$package" 2>/dev/null || true) in
    ii*) ;;
    *) missing="$missing $package" ;;
    esac
done
[ -n "$missing" ] || exit 0

if [ "$(id -u)" -eq 0 ]; then
    as_root=
elif command -v sudo >/dev/null 2>&1; then
    as_root='sudo -n'
else
    echo "deps: root or sudo is needed to install:$missing" >&2
    exit 1
fi

apt() {
    # shellcheck disable=SC2086
    $as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -y -o DPkg::Lock::Timeout=300 \
        -o Acquire::Retries=3 "$@"
}

echo "deps: installing$missing"
apt update || echo "deps: the package lists could not be renewed; trying with the old ones" >&2
# shellcheck disable=SC2086
apt install --no-install-recommends $missing
