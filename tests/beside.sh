#!/bin/sh
# Runs one command at the lowest priority beside another: beside.sh LOG 'COMMAND' OTHER...
# The first writes to LOG, which is shown in the end; both must succeed.
set -eu

log=$1 quiet=$2
shift 2
mkdir -p "$(dirname "$log")"
setsid nice -n 19 sh -c "$quiet" >"$log" 2>&1 &
beside=$!
trap 'kill -- -$beside 2>/dev/null || true' EXIT INT TERM

status=0
"$@" || status=$?
wait "$beside" || { echo "beside it: '$quiet' failed" >&2; status=1; }
cat "$log"
exit "$status"
