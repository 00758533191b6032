#!/usr/bin/env bash
# tests/pipeline/readme_test.sh — what the README and deploy/README.md tell a person to type does what they say.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1

build=${B:-build}
export GEMMAPIPE_BIN=$PWD/$build
demo=models/demo/demo-q4_0.gguf
question="What is 12 + 9?" answer="12 + 9 = 21."
caption="A small black triangle on the left and a large blue ring on the right on a white background."
port=$((20000 + $$ % 20000))
failed=0

# Runs a command; its output must hold the text.
says() { # claim text command…
    local claim=$1 text=$2 out
    shift 2
    if out=$(timeout 120 "$@" 2>&1) && grep -qF -- "$text" <<<"$out"; then
        echo "ok $claim"
    else
        printf '%s\n' "$out" | tail -15 | sed 's/^/  /'
        printf '  wanted: %s\n  of: %s\n' "$text" "$*"
        echo "FAIL $claim"
        failed=1
    fi
}

# Under a sanitizer: Open MPI's own leaks are not looked for (relay.py says why).
no_leaks=(env "ASAN_OPTIONS=${ASAN_OPTIONS:+$ASAN_OPTIONS:}detect_leaks=0")

# One run, three claims.
out=$(timeout 240 "${no_leaks[@]}" make -s --no-print-directory B="$build" SAN="${SAN:-}" demo 2>&1)
says make_demo_adds_up_under_mpirun "$answer" echo "$out"
says make_demo_knows_a_capital_with_local_workers "The capital of Peru is Lima." echo "$out"
says make_demo_sees_with_three_workers "$caption" echo "$out"

says a_question_about_the_picture_is_answered "The ring is on the right." "$build/gemmapipe" run --model $demo \
    --mmproj models/demo/demo-mmproj-f16.gguf --image models/demo/picture.png --workers 3 --temp 0 "Where is the ring?"
says one_process_answers "$answer" "$build/gemmapipe" run --model $demo --temp 0 "$question"
says threads_as_stages_answer "$answer" "$build/gemmapipe" run --model $demo --here 3 --temp 0 "$question"
says a_cut_by_hand_answers "$answer" "$build/gemmapipe" run --model $demo --split 1,6,1 --temp 0 "$question"
says local_sh_answers "$answer" deploy/local.sh -w 3 -p $port run --model $demo --temp 0 "$question"
says mpi_sh_answers "$answer" "${no_leaks[@]}" deploy/mpi.sh -n 4 run --model $demo --temp 0 "$question"

if pgrep -f -- "--listen tcp://127.0.0.1:$port" >/dev/null; then
    echo "FAIL local_sh_leaves_no_worker_behind"
    failed=1
else
    echo "ok local_sh_leaves_no_worker_behind"
fi

for script in deploy/local.sh deploy/mpi.sh deploy/deps.sh; do
    says "help_of_$(basename $script .sh)" "$script" $script -h
done
if command -v shellcheck >/dev/null; then
    says shell_scripts_are_clean "" shellcheck deploy/*.sh deploy/*.sbatch tests/*.sh tests/san .ci/run
else
    echo "skip shell_scripts_are_clean: no shellcheck on this machine"
fi
exit $failed
