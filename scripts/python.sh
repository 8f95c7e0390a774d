#!/usr/bin/env bash
# Prints the interpreter that the Python package is built for and tested with: REPRISE_PYTHON, which has to have the
# packages of scripts/python.txt, or else a private one, into which they are installed once.
set -euo pipefail
# shellcheck source=scripts/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

if [ -n "${REPRISE_PYTHON:-}" ]; then
    echo "$REPRISE_PYTHON"
    exit
fi
python=$root/.deps/venv/bin/python
requirements=scripts/python.txt
if ! cmp -s "$requirements" .deps/python-requirements.txt; then
    say "installing $requirements into .deps/venv (25 MB, once)" >&2
    [ -x "$python" ] || python3 -m venv .deps/venv ||
        fail "python3 -m venv failed; Debian has it in the package python3-venv"
    "$python" -m pip install --disable-pip-version-check -q -r "$requirements" >&2 ||
        fail "the packages of $requirements could not be installed; the reason is above"
    cp "$requirements" .deps/python-requirements.txt
fi
echo "$python"
