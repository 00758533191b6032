#!/usr/bin/env bash
# tests/fuzz.sh — runs each fuzz target of tests/fuzz for a while. `make fuzz` builds them and calls this.
#
# Seeds are in tests/fuzz/seeds/NAME; what is found on the way is kept under build/fuzz/corpus/NAME, so the next run
# starts where this one stopped. An input that breaks a reader is left in build/fuzz/NAME-crash-*.
set -euo pipefail
cd "$(dirname "$0")/.."

seconds=${1:-60}
words=("${@:2}")
build=${B:-build/fuzz}
failed=0 ran=0

for source in tests/fuzz/*_fuzz.c; do
    name=$(basename "$source" .c)
    [ -e "$source" ] || continue
    if [ ${#words[@]} -gt 0 ] && [[ "$name" != *"${words[0]}"* ]]; then continue; fi
    corpus=("$build/corpus/$name")
    mkdir -p "${corpus[0]}"
    [ -d "tests/fuzz/seeds/$name" ] && corpus+=("tests/fuzz/seeds/$name")
    ran=$((ran + 1))
    if "$build/tests/fuzz/$name" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -verbosity=0 -print_final_stats=1 \
        -artifact_prefix="$build/$name-" "${corpus[@]}" >"$build/$name.log" 2>&1; then
        echo "ok $name ($(sed -n 's/^stat::number_of_executed_units: *//p' "$build/$name.log") inputs)"
    else
        tail -40 "$build/$name.log"
        echo "FAIL $name"
        failed=$((failed + 1))
    fi
done
echo "$((ran - failed)) passed, $failed failed"
[ "$failed" -eq 0 ] && [ "$ran" -gt 0 ]
