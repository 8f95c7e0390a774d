#!/usr/bin/env bash
# Runs Python with what needs diffusers and the like: parity.sh SCRIPT [argument...], or only makes the interpreter
# ready: parity.sh --install. The script gets the command to test in REPRISE_COMMAND, and finds the package of the
# build. The interpreter is REPRISE_PYTHON or else a private one, into which the pinned packages of
# tests/parity/requirements.txt (PyTorch, diffusers: gigabytes) are installed once.
set -euo pipefail
# shellcheck source=scripts/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

private_python tests/parity/requirements.txt parity-requirements.txt gigabytes
[ "${1:-}" != --install ] || exit 0
export REPRISE_COMMAND=$root/build/bin/reprise PYTHONPATH=$root/build/python HF_HUB_OFFLINE=1
exec "$python" "$@"
