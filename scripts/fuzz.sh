#!/usr/bin/env bash
# Runs a fuzzer for a while: fuzz.sh PROGRAM SECONDS. It starts from tests/fuzz/corpus/<name>/, where there is one,
# and keeps what it learns beside the program. An input that breaks it is left there too, and named.
set -euo pipefail
# shellcheck source=scripts/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

program=$1 seconds=$2
name=${program##*/fuzz_}
learnt=$(dirname "$program")/../corpus/$name
log=$learnt.log
mkdir -p "$learnt"
seeds=()
[ ! -d "tests/fuzz/corpus/$name" ] || seeds=("tests/fuzz/corpus/$name")
if ! "$program" "$learnt" "${seeds[@]}" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 \
    -print_final_stats=1 -artifact_prefix="$learnt-" >"$log" 2>&1; then
    tail -n 40 "$log" >&2
    fail "$name broke on the input named above; the whole log is $log"
fi
say "$(sed -n 's/^stat::number_of_executed_units: */inputs tried: /p' "$log")"
