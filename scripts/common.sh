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
