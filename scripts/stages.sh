# What ./check is made of: stages, their sums and their table; sourced after common.sh.
# shellcheck shell=bash
passed=0 failed=0 skipped=0 failures=() results=()

# count PASSED FAILED SKIPPED SECONDS WHAT: adds to the sums and to the table.
count() {
    local result="$1 passed"
    passed=$((passed + $1)) failed=$((failed + $2)) skipped=$((skipped + $3))
    (($3 == 0)) || result+=", $3 skipped"
    (($2 == 0)) || { result+=", **$2 failed**" && failures+=("$5"); }
    results+=("| $5 | $4 | $result |")
}

# stage NAME COMMAND...: runs it as one check, and goes on if it fails. A status of 77 says that it was skipped.
stage() {
    local name=$1 start=$SECONDS status=0
    shift
    say "$name"
    "$@" || status=$?
    case $status in
        0) count 1 0 0 $((SECONDS - start)) "$name" ;;
        77) count 0 0 1 $((SECONDS - start)) "$name" ;;
        *) count 0 1 0 $((SECONDS - start)) "$name" && say "$name FAILED" ;;
    esac
    say "$name: $((SECONDS - start)) s"
}

# run_tests DIR [ctest option...]: tests of a build folder. ctest runs a suite of googletest as one process; each of its
# cases is counted.
run_tests() {
    local folder=$1 name="tests of $1" start=$SECONDS log=$1/tests.log good bad skips
    shift
    say "$name"
    ctest --test-dir "$folder" -j2 --output-on-failure --timeout 900 --no-tests=error "$@" 2>&1 | tee "$log" || true
    read -r good bad skips < <(scripts/count_tests.py "$folder/Testing/Temporary/LastTest.log")
    ((good + bad + skips)) || bad=1 name+=" (none ran)"
    count "$good" "$bad" "$skips" $((SECONDS - start)) "$name"
    say "$name: $((SECONDS - start)) s; the slowest:"
    # "598/603 Test #598: NAME ......   Passed   27.71 sec"
    sed -nE 's/.* Test +#[0-9]+: ([^ ]+) .* ([0-9.]+) sec.*/\2 s  \1/p' "$log" | sort -rn | sed -n '1,10s/^/   /p'
}

# The backend of the sanitized builds is the reference: OpenVINO's own code is not instrumented.
configure_sanitized() {
    local folder=$1 sanitizers=$2
    shift 2
    say "building with $sanitizers"
    configure "$folder" -DCMAKE_CXX_COMPILER=clang++-19 -DCMAKE_BUILD_TYPE=Sanitize \
        -DCMAKE_CXX_FLAGS_SANITIZE=-O0 -DREPRISE_SANITIZE="$sanitizers" -DREPRISE_BACKEND_OPENVINO=OFF "$@"
}

# sanitized_build: one for the tests and the fuzzers.
sanitized_build() {
    configure_sanitized build/sanitize address,undefined -DREPRISE_FUZZ=ON
    build build/sanitize all
    # An allocation that is refused is what some tests ask for.
    export ASAN_OPTIONS=allocator_may_return_null=1 UBSAN_OPTIONS=print_stacktrace=1
}

# threads_build WORD: with ThreadSanitizer, the test sources that have this word in them.
threads_build() {
    configure_sanitized build/threads thread -DREPRISE_TESTS_WITH="$1"
    build build/threads test_programs
    export TSAN_OPTIONS=second_deadlock_stack=1
}

# finish SECONDS: the last lines, and the status of the whole.
finish() {
    say "all of it: $1 s"
    printf 'failed: %s\n' "${failures[@]}" | sed '/^failed: $/d'
    ((skipped == 0)) || echo "$skipped skipped"
    echo "$passed passed, $failed failed"
    ((failed == 0))
}

# write_results FILE: the table, in place of what stands under the file's last heading.
write_results() {
    local commit
    commit=$(git describe --always --abbrev=12 --dirty)
    sed -i '/^## The last run/q' "$1"
    {
        printf '\n%s, commit %s, %s cores: %s passed, %s failed, %s skipped.\n\n' \
            "$(date -u +%F)" "$commit" "$(processors)" "$passed" "$failed" "$skipped"
        printf '| stage | seconds | result |\n| --- | ---: | --- |\n'
        printf '%s\n' "${results[@]}"
    } >>"$1"
}
