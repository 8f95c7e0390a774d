#!/usr/bin/env bash
# Runs Python with what needs diffusers and the like: parity.sh SCRIPT [argument...], or only makes the interpreter
# ready: parity.sh --install. The script gets the command to test in REPRISE_COMMAND, and finds the package of the
# build. The interpreter is REPRISE_PYTHON or else a private one, into which the pinned packages of
# tests/parity/requirements.txt (PyTorch, diffusers: gigabytes) are installed once.
set -euo pipefail
# shellcheck source=scripts/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

if [ -n "${REPRISE_PYTHON:-}" ]; then
    python=$REPRISE_PYTHON
else
    python=.deps/venv/bin/python
    requirements=tests/parity/requirements.txt
    if ! cmp -s "$requirements" .deps/parity-requirements.txt; then
        say "installing $requirements into .deps/venv (gigabytes, once)"
        [ -x "$python" ] || python3 -m venv .deps/venv
        "$python" -m pip install --disable-pip-version-check -q -r "$requirements" ||
            fail "the packages of $requirements could not be installed; the reason is above"
        cp "$requirements" .deps/parity-requirements.txt
    fi
fi
[ "${1:-}" != --install ] || exit 0
export REPRISE_COMMAND=$root/build/bin/reprise PYTHONPATH=$root/build/python HF_HUB_OFFLINE=1
exec "$python" "$@"
