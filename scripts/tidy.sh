#!/usr/bin/env bash
# Runs clang-tidy (Debian: clang-tidy-19; checks: .clang-tidy) over src/ and apps/, over the files given, or over what
# changed; build/ must be configured. The whole of it takes about fifteen minutes.
#   scripts/tidy.sh [FILE.cpp...]
#   scripts/tidy.sh --changed    against the main branch, there against the commit before: at most 30 files, the ones that
#                                changed last. Without that commit (a shallow clone) it says so and ends with 77
set -euo pipefail
# shellcheck source=scripts/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

# base: the commit that changes are counted from.
base() {
    local branch found
    for branch in origin/main main; do
        found=$(git merge-base HEAD "$branch" 2>/dev/null) || continue
        [ "$found" = "$(git rev-parse HEAD)" ] || { echo "$found" && return; }
    done
    git rev-parse --verify --quiet HEAD~1
}

# changed BASE: sources that changed, and for each header a source that includes it; last changed first.
changed() {
    local file
    {
        git ls-files --modified --others --exclude-standard -- src apps include
        git log --name-only --format= "$1..HEAD" -- src apps include
    } | awk '!seen[$0]++' | while read -r file; do
        case "$file" in
            *.h) file=$(grep -rlF --include='*.cpp' "\"${file#*/}\"" src apps | sort |
                awk -v own="${file%.h}.cpp" '$0 == own { first = $0 } !first { first = $0 } END { print first }') ;;
        esac
        [[ $file != *.cpp || $file == */no_openvino/* || ! -e $file ]] || echo "$file"
    done | awk '!seen[$0]++'
}

command -v clang-tidy-19 >/dev/null || fail "clang-tidy-19 is missing; run: sudo apt-get install clang-tidy-19"
[ -e build/compile_commands.json ] || fail "build/ is not configured; run ./check first"
if [ "${1:-}" = --changed ]; then
    from=$(base) || { say "the commit before is not here: nothing to compare with" && exit 77; }
    mapfile -t files < <(changed "$from")
    ((${#files[@]} <= 30)) || say "${#files[@]} files changed since ${from:0:12}: the last 30 of them"
    files=("${files[@]:0:30}")
elif (($#)); then
    files=("$@")
else
    mapfile -t files < <(find src apps -name '*.cpp' -not -path '*/no_openvino/*')
fi
((${#files[@]})) || exit 0
# build/ is GCC's: with options that clang does not know, and a library whose std::stable_sort clang complains of
printf '%s\0' "${files[@]}" |
    xargs -0 -n 1 -P "$(jobs_at_once)" clang-tidy-19 -p build --quiet --warnings-as-errors='*' \
        --extra-arg=-Wno-unknown-warning-option --extra-arg=-Wno-deprecated-declarations 2>/dev/null
