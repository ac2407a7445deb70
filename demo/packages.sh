#!/bin/sh
# Installs from the distribution what is missing, and nothing else: `packages.sh NAME...`.
# Services that a package brings (redis, kamailio, ...) are neither started nor enabled:
# the demo and the tests start their own, privately.
set -eu

missing=
for package in "$@"; do
    dpkg-query -W -f '${db:Status-Abbrev}' "$package" 2>/dev/null | grep -q '^ii' ||
        missing="$missing $package"
done
[ -n "$missing" ] || exit 0

if [ "$(id -u)" != 0 ]; then
    echo "missing packages:$missing; as root: apt-get install$missing" >&2
    exit 1
fi
echo "installing from the distribution:$missing"
export DEBIAN_FRONTEND=noninteractive

policy=/usr/sbin/policy-rc.d
made=
if [ ! -e "$policy" ]; then
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod 755 "$policy"
    made=yes
fi
trap '[ -z "$made" ] || rm -f "$policy"' EXIT INT TERM

# shellcheck disable=SC2086  # a list of words
apt-get install -qq -y --no-install-recommends $missing >/dev/null 2>&1 || {
    apt-get update -qq
    apt-get install -qq -y --no-install-recommends $missing >/dev/null
}

if [ -d /run/systemd/system ]; then
    for package in $missing; do
        for unit in $(dpkg -L "$package" | sed -n 's,^/lib/systemd/system/\([^/@]*\.service\)$,\1,p'); do
            systemctl disable --quiet "$unit" || true
        done
    done
fi
