#!/bin/sh
# compile.sh DIRECTORY [-DNAME=VALUE...]: compiles and assembles the program for a Tofino into
# DIRECTORY, with P4Info and the schema of the SDE's own interface.
#
# The compiler runs twice, side by side: for P4Info with each action written once, and for the
# switch with each table's own copies (blocks.p4). The first is let to fail behind the point where
# P4Info is written.
set -eu
where=$(mkdir -p "$1" && cd "$1" && pwd)
shift
cd "$(dirname "$0")"
name=sdnblock_tofino
compile="p4c-barefoot --std p4-16 --target tofino --arch tna"
rm -f "$where/sdnblock.p4info.txtpb"
$compile "$@" -DACTIONS_ONCE -o "$where/p4info" --p4runtime-force-std-externs \
    --p4runtime-files "$where/sdnblock.p4info.txtpb" "$name.p4" >"$where/p4info.log" 2>&1 &
p4info=$!
$compile "$@" -g -o "$where" --bf-rt-schema "$where/bfrt.json" "$name.p4"
wait $p4info || true
test -s "$where/sdnblock.p4info.txtpb" || {
    cat "$where/p4info.log" >&2
    exit 1
}
# What is left of the architecture's own kind describes the ports to the SDE, and P4Runtime has
# no message for it.
sed -i '/^externs {/,/^}/d' "$where/sdnblock.p4info.txtpb"
bfas --target tofino -o "$where/pipe" "$where/pipe/$name.bfa"
