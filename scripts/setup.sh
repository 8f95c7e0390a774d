#!/usr/bin/env bash
# Installs what Reprise is built with, where it is missing: Debian packages (as root or by sudo) and the
# OpenVINO runtime, into .deps/. Says what it installs; run again, it does nothing.
#   scripts/setup.sh [--full]     --full: also what `./check --full` needs
# OpenVINO_DIR in the environment (a folder with OpenVINOConfig.cmake) is used in place of the private copy.
set -euo pipefail
# shellcheck source=scripts/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

full=
case "$*" in
    '') ;;
    --full) full=1 ;;
    *) fail "unknown option '$*'; the only one is --full" ;;
esac

installed() { [[ $(dpkg-query -W -f='${db:Status-Abbrev}' "$1" 2>/dev/null) == ii* ]]; }

# The packages of packages.txt that this run needs, one per line.
wanted() {
    sed -e '/^#/d' ${full:+-e 's/^full //'} -e '/^full /d' scripts/packages.txt
}

install_packages() {
    local package missing=() as_root=()
    while read -r package; do
        installed "$package" || missing+=("$package")
    done < <(wanted)
    ((${#missing[@]})) || return 0
    local line="apt-get install -y --no-install-recommends ${missing[*]}"
    if [ "$(id -u)" -ne 0 ]; then
        sudo -n true 2>/dev/null ||
            fail "these packages are missing and this user may not install them; run: sudo $line"
        as_root=(sudo -n)
    fi
    say "installing Debian packages: ${missing[*]}"
    as_root+=(env DEBIAN_FRONTEND=noninteractive)
    local log=.deps/apt.log
    "${as_root[@]}" apt-get update -q >"$log" 2>&1 || say "apt-get update failed; going on with the lists at hand"
    # shellcheck disable=SC2086 # the line is a list of words
    "${as_root[@]}" $line >>"$log" 2>&1 ||
        fail "installing failed: $(grep -m1 '^E:' "$log" || tail -n1 "$log") (all of it in $log)"
}

# On other systems nothing is installed: the build starts if its tools are there, and CMake names a missing library.
require_tools() {
    local tool
    for tool in g++ cmake ninja pkg-config python3; do
        command -v "$tool" >/dev/null ||
            fail "this is not a Debian system and $tool is missing; install what Debian calls: $(wanted | tr '\n' ' ')"
    done
    say "not a Debian system: using the libraries that are here (needed, by Debian's names: $(wanted | tr '\n' ' '))"
}

# A private Python environment, whose pip fetches wheels.
pip() {
    [ -x .deps/venv/bin/pip ] || python3 -m venv .deps/venv ||
        fail "python3 -m venv failed; Debian has it in the package python3-venv"
    .deps/venv/bin/python -m pip --disable-pip-version-check "$@"
}

# Every file in its place at once: unpacked beside the target and then renamed.
install_openvino() {
    local version target machine work
    version=$(sed -n 's/^openvino==\([0-9.]*\).*/\1/p' scripts/openvino.txt)
    target=.deps/openvino-$version
    [ ! -e "$target/openvino/cmake/OpenVINOConfig.cmake" ] || return 0
    machine=$(uname -m)
    local platforms=(--platform "manylinux_2_28_$machine" --platform "manylinux_2_35_$machine")
    case "$machine" in
        x86_64 | aarch64) ;;
        *) fail "no OpenVINO package is known for $machine; set OpenVINO_DIR to the folder with OpenVINOConfig.cmake" ;;
    esac
    say "fetching OpenVINO $version (60 MB) into $target"
    work=$(mktemp -d .deps/unpacking.XXXXXX)
    # shellcheck disable=SC2064
    trap "rm -rf '$work'" EXIT
    pip download -q --no-deps --only-binary=:all: --python-version 3.11 --implementation cp "${platforms[@]}" \
        --require-hashes -r scripts/openvino.txt -d "$work" >.deps/pip.log 2>&1 ||
        fail "OpenVINO $version could not be fetched: $(head -n1 .deps/pip.log | cut -c1-250) (all of it in .deps/pip.log)"
    python3 -m zipfile -e "$work"/openvino-*.whl "$work/unpacked" ||
        fail "the OpenVINO package in $work could not be unpacked (is the disk full?)"
    rm -rf "$target"
    mv "$work/unpacked" "$target"
}

mkdir -p .deps
if command -v dpkg-query >/dev/null && command -v apt-get >/dev/null; then
    install_packages
else
    require_tools
fi
[ -n "${OpenVINO_DIR:-}" ] || install_openvino
