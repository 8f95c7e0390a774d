#!/usr/bin/env bash
# Writes the reference of the interfaces: build/reference/cpp from the headers (doxygen), build/reference/python from the
# built package and its stub (pdoc). A comment that doxygen cannot read is an error.
set -euo pipefail
# shellcheck source=scripts/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

command -v doxygen >/dev/null || fail "doxygen is missing; scripts/setup.sh --full installs it"
mkdir -p build/reference
doxygen docs/Doxyfile
scripts/parity.sh -m pdoc --docformat google --output-directory build/reference/python reprise
say "build/reference/cpp/index.html and build/reference/python/index.html"
