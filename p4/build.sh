#!/bin/sh
# Compiles the P4 program for BMv2: p4/compiled/sdnblock.json and sdnblock.p4info.txtpb, and
# the hash of the sources they came from. Needs p4c-bm2-ss (p4lang/p4c) on the PATH.
set -eu
cd "$(dirname "$0")"
command -v p4c-bm2-ss >/dev/null || {
    echo "$0: p4c-bm2-ss is not installed; p4/compiled is left as it is" >&2
    exit 1
}
out=compiled
p4c-bm2-ss --arch v1model --std p4-16 --Werror \
    --p4runtime-files "$out/sdnblock.p4info.txtpb" -o "$out/sdnblock.json" sdnblock.p4
# The compiler notes where its input was: not for the repository, and not the same elsewhere.
sed -i "s,$(pwd)/,,g" "$out/sdnblock.json"
cat sdnblock.p4 include/* | sha256sum | cut -d' ' -f1 >"$out/sdnblock.p4.sha256"
p4c-bm2-ss --version 2>&1 | sed -n 's/^Version \([0-9.]*\).*/p4c \1/p' >"$out/compiler"
ls -l "$out"
