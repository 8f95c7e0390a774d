#!/usr/bin/env bash
# Runs clang-tidy (Debian: clang-tidy-19; checks: .clang-tidy) over src/ and apps/, or over the files given; build/
# must be configured. Run by hand and not by ./check: the whole of it takes about ten minutes.
#   scripts/tidy.sh [FILE.cpp...]
set -euo pipefail
# shellcheck source=scripts/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

command -v clang-tidy-19 >/dev/null || fail "clang-tidy-19 is missing; run: sudo apt-get install clang-tidy-19"
[ -e build/compile_commands.json ] || fail "build/ is not configured; run ./check first"
if (($#)); then
    printf '%s\0' "$@"
else
    find src apps -name '*.cpp' -not -path '*/no_openvino/*' -print0
fi | xargs -0 -n 1 -P "$(jobs_at_once)" clang-tidy-19 -p build --quiet --warnings-as-errors='*' 2>/dev/null
