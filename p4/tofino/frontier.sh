#!/bin/sh
# The mixes of table sizes of docs/tofino.md: each compiled and assembled, and what it takes.
# Needs what build.sh needs, and a few minutes for each.
set -eu
cd "$(dirname "$0")"
where=$(mktemp -d)
trap 'rm -rf "$where"' EXIT
echo 'source_v4 flow_v4 source_v6 flow_v6 prefix_v4 prefix_v6 | stages, assembled'
while read -r source4 flow4 source6 flow6 prefix4 prefix6; do
    printf '%s %s %s %s %s %s | ' "$source4" "$flow4" "$source6" "$flow6" "$prefix4" "$prefix6"
    if ./compile.sh "$where/mix" -DMIX_SOURCE_V4="$source4" -DMIX_FLOW_V4="$flow4" \
        -DMIX_SOURCE_V6="$source6" -DMIX_FLOW_V6="$flow6" -DMIX_PREFIX_V4="$prefix4" \
        -DMIX_PREFIX_V6="$prefix6" >"$where/log" 2>&1; then
        python3 resources.py "$where/mix" | head -1
    else
        grep -m1 -i 'error' "$where/log" || echo 'does not fit'
    fi
    rm -rf "$where/mix"
done <<MIXES
400384 65536 32768 4096 16384 4096
400384 65536 32768 4096 9216 4096
512000 65536 32768 4096 9216 4096
MIXES
