#!/usr/bin/env bash
# Checks the layout of our C++ by .clang-format and our shell scripts by shellcheck; changes nothing.
# clang-format 14 decides, Debian 12's: other versions lay out a few lines otherwise.
set -euo pipefail
# shellcheck source=scripts/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

status=0
find include src apps tests examples benchmarks tools python -name '*.h' -print0 -o -name '*.cpp' -print0 |
    xargs -0 clang-format-14 --dry-run -Werror || status=1
shellcheck -x demo check .ci/run scripts/*.sh || status=1
exit "$status"
