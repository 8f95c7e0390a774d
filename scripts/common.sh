# Shared by ./demo, ./check and the scripts here; sourced, not run. Sets `root` (the repository) and goes there.
# shellcheck shell=bash
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root" || exit 1

# say TEXT...: a line of progress.
say() { printf '== %s\n' "$*"; }

# fail TEXT...: one line on stderr, then exit 1.
fail() {
    printf '%s: %s\n' "${0##*/}" "$*" >&2
    exit 1
}

# jobs: how many compilers at once: one per core, but 1.5 GB of free memory each.
jobs_at_once() {
    local cores memory
    cores=$(nproc)
    memory=$(awk '/^MemAvailable/ { print int($2 / 1572864) }' /proc/meminfo)
    ((memory >= 1)) || memory=1
    echo $((cores < memory ? cores : memory))
}

# configure DIR [CMake option...]: makes or refreshes a Ninja build folder. Options stay as they were last given.
configure() {
    local folder=$1 log=$1/configure.log
    shift
    mkdir -p "$folder"
    local options=(-S . -B "$folder" -G Ninja)
    if [ ! -e "$folder/CMakeCache.txt" ] && command -v ccache >/dev/null; then
        options+=(-DCMAKE_CXX_COMPILER_LAUNCHER=ccache)
    fi
    if ! cmake "${options[@]}" "$@" >"$log" 2>&1; then
        grep -m1 -A3 'CMake Error' "$log" | tr -s ' \n' ' ' >&2 || true
        fail "CMake could not set up $folder; the whole message is in $log"
    fi
}

# build DIR TARGET...: builds them. A terminal sees Ninja's count; a log sees only what is wrong.
build() {
    local folder=$1 quiet=()
    shift
    [ -t 1 ] || quiet=(-- --quiet)
    cmake --build "$folder" --parallel "$(jobs_at_once)" --target "$@" "${quiet[@]}" ||
        fail "building $* in $folder failed; the first error is above"
}

# private_python REQUIREMENTS STAMP SIZE: sets `python`: REPRISE_PYTHON, which has to have those packages, or else a private
# interpreter, into which they are installed once.
private_python() {
    local requirements=$1 stamp=.deps/$2
    python=${REPRISE_PYTHON:-}
    [ -z "$python" ] || return 0
    python=$root/.deps/venv/bin/python
    ! cmp -s "$requirements" "$stamp" || return 0
    say "installing $requirements into .deps/venv ($3, once)" >&2
    [ -x "$python" ] || python3 -m venv .deps/venv ||
        fail "python3 -m venv failed; Debian has it in the package python3-venv"
    "$python" -m pip install --disable-pip-version-check -q -r "$requirements" >&2 ||
        fail "the packages of $requirements could not be installed; the reason is above"
    cp "$requirements" "$stamp"
}
