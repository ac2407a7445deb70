#!/bin/sh
# Compiles the XDP program to p4/compiled/sdnblock.bpf.o and writes the hash of its sources.
# Needs clang with the BPF target and libbpf's headers (Debian: clang llvm libbpf-dev).
set -eu
cd "$(dirname "$0")"
for tool in clang llvm-strip; do
    command -v "$tool" >/dev/null || {
        echo "$0: $tool is not installed; p4/compiled is left as it is" >&2
        exit 1
    }
done
out=../compiled
# -g makes the BTF that libbpf needs; the rest of the debug information goes. What BTF says of
# file names is made relative, so that the object is the same wherever it is built.
clang -O2 -g -Wall -Wextra -Werror -Wno-unused-parameter -Wno-address-of-packed-member \
    -target bpf -mcpu=v2 -ffile-prefix-map="$(pwd)/=" -ffile-prefix-map="$(pwd)=." \
    -I"/usr/include/$(uname -m)-linux-gnu" \
    -c sdnblock.bpf.c -o "$out/sdnblock.bpf.o"
llvm-strip -g "$out/sdnblock.bpf.o"
cat sdnblock.bpf.c ./*.h ../include/sizes.h | sha256sum | cut -d' ' -f1 >"$out/sdnblock.bpf.sha256"
ls -l "$out/sdnblock.bpf.o"
