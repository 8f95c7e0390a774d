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

# control_groups CONTROLLER: the folders of the control groups that limit this process, its own and their ancestors, as
# src/core/machine.cpp finds them.
control_groups() {
    local folder top
    awk -v controller="$1" '
        FNR == NR {
            for (i = 7; i < NF && $i != "-"; i++) {}
            version = $(i + 1) == "cgroup2" ? 2 : $(i + 1) == "cgroup" && ("," $(i + 3) ",") ~ ("," controller ",") ? 1 : 0
            if (version && !(version in point)) { point[version] = $5; mounted[version] = $4 == "/" ? "" : $4 }
            next
        }
        {
            split($0, part, ":")
            version = part[2] == "" ? 2 : ("," part[2] ",") ~ ("," controller ",") ? 1 : 0
            path = substr($0, length(part[1] part[2]) + 3)
            if (path == "/" || path ~ /\.\./ || index(path "/", mounted[version] "/") != 1) path = mounted[version]
            if (version in point) print point[version], substr(path, length(mounted[version]) + 1)
        }' /proc/self/mountinfo /proc/self/cgroup 2>/dev/null | while read -r top folder; do
        while :; do
            echo "$top$folder"
            [ -n "$folder" ] || break
            folder=${folder%/*}
        done
    done
}

# available_kilobytes: memory that can be had, of the machine and in each control group.
available_kilobytes() {
    local least group limit used left
    least=$(awk '/^MemAvailable/ { print $2 }' /proc/meminfo)
    for group in $(control_groups memory); do
        for limit in memory.max memory.high memory.limit_in_bytes; do
            used=memory.current
            [ $limit != memory.limit_in_bytes ] || used=memory.usage_in_bytes
            left=$(awk 'FILENAME ~ /stat$/ { if ($1 == "total_inactive_file" || ($1 == "inactive_file" && !free)) free = $2; next }
                FNR == 1 { value[++files] = $1 }
                END { if (files == 2 && value[1] != "max") printf "%d", (value[1] - value[2] + free) / 1024 }' \
                "$group/$limit" "$group/$used" "$group/memory.stat" 2>/dev/null) || continue
            [ -z "$left" ] || ((left >= least)) || least=$left
        done
    done
    echo "$((least > 0 ? least : 0))"
}

# processors: cores that can be kept busy: those online, but what each control group's quota allows.
processors() {
    local least group quota
    least=$(nproc)
    for group in $(control_groups cpu); do
        quota=$(cat "$group/cpu.max" 2>/dev/null || paste -d ' ' "$group"/cpu.cfs_{quota,period}_us 2>/dev/null) || continue
        quota=$(awk '$1 > 0 && $2 > 0 { print int(($1 + $2 - 1) / $2) }' <<<"$quota")
        [ -z "$quota" ] || ((quota >= least)) || least=$quota
    done
    echo "$least"
}

# jobs_at_once: how many compilers at once: one per core, but 1.5 GB of free memory each.
jobs_at_once() {
    local cores memory
    cores=$(processors)
    memory=$(($(available_kilobytes) / 1572864))
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
