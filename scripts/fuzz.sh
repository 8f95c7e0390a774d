#!/usr/bin/env bash
# Runs a fuzzer from tests/fuzz/corpus/<name>/, where there is one:
#   fuzz.sh PROGRAM            always the same inputs, as many as tests/fuzz/runs.txt says
#   fuzz.sh PROGRAM SECONDS    others each time, and it keeps what it learns beside the program
# An input that breaks it is left there too, and named.
set -euo pipefail
# shellcheck source=scripts/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

program=$1 seconds=${2:-}
name=${program##*/fuzz_}
learnt=$(dirname "$program")/../corpus/$name
log=$learnt.log
alike=()
if [ -n "$seconds" ]; then
    mkdir -p "$learnt"
    how=("-max_total_time=$seconds")
else
    runs=$(awk -v name="$name" '$1 == name { print $2 }' tests/fuzz/runs.txt)
    [ -n "$runs" ] || fail "tests/fuzz/runs.txt does not say how many inputs $name is to try"
    learnt+=-fixed
    rm -rf "$learnt" && mkdir -p "$learnt"
    how=(-seed=1 "-runs=$runs" -reload=0)
    # Addresses get into what it learns of comparisons, so they have to be the same too.
    ! setarch -R true 2>/dev/null || alike=(setarch -R)
fi
corpora=("$learnt")
[ ! -d "tests/fuzz/corpus/$name" ] || corpora+=("tests/fuzz/corpus/$name")
if ! "${alike[@]}" "$program" "${corpora[@]}" "${how[@]}" -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 \
    -artifact_prefix="$learnt-" >"$log" 2>&1; then
    tail -n 40 "$log" >&2
    fail "$name broke on the input named above; the whole log is $log"
fi
say "$(sed -n 's/^stat::number_of_executed_units: */inputs tried: /p' "$log")"
