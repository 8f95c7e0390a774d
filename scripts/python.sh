#!/usr/bin/env bash
# Prints the interpreter that the Python package is built for and tested with: REPRISE_PYTHON, which has to have the
# packages of scripts/python.txt, or else a private one, into which they are installed once.
set -euo pipefail
# shellcheck source=scripts/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

private_python scripts/python.txt python-requirements.txt "25 MB"
echo "$python"
