#!/bin/sh
# Compiles the P4 program for a Tofino and assembles it: p4/compiled/tofino/ with P4Info, the
# table of resources, the tables as the switch has them, and the hash of the sources they came from. What the switch's software is
# fed with (docs/tofino.md) goes to the directory given, or to build/tofino.
#
# Needs p4c's Tofino backend (p4lang/p4c, ENABLE_TOFINO) on the PATH: p4c-barefoot and bfas. The
# directory of its own includes (tna.p4) is found beside it, or is P4C_INCLUDE.
set -eu
cd "$(dirname "$0")"
for tool in p4c-barefoot bfas; do
    command -v "$tool" >/dev/null || {
        echo "$0: $tool is not installed; p4/compiled/tofino is left as it is" >&2
        exit 1
    }
done
where=$(mkdir -p "${1:-../../build/tofino}" && cd "${1:-../../build/tofino}" && pwd)
out=../compiled/tofino
mkdir -p "$out"
./compile.sh "$where"
cp "$where/sdnblock.p4info.txtpb" "$out/"
python3 resources.py "$where" >"$out/resources.txt"
python3 schema.py "$where/bfrt.json" >"$out/schema.txt"
# shellcheck disable=SC2046  # our own files: no spaces in their names
(cat $(ls ./*.h ./*.p4 | LC_ALL=C sort) \
    ../include/types.p4 ../include/sizes.h ../include/ids.p4 ../include/wire.p4 \
    ../include/states.p4 ../include/side.p4 ../include/kind.p4) |
    sha256sum | cut -d' ' -f1 >"$out/sdnblock.p4.sha256"
p4c-barefoot --version 2>&1 | sed -n 's/^.*[Vv]ersion:\{0,1\} *\([0-9][^ ]*\).*/p4c-barefoot \1/p' |
    head -1 >"$out/compiler"
cat "$out/resources.txt"
