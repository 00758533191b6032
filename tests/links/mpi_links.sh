#!/usr/bin/env bash
# tests/links/mpi_links.sh — the claims about links with real mpirun: one line per claim. timeout: 400
set -uo pipefail
cd "$(dirname "$0")/../.."
program=${B:-build}/tests/links/mpi_links
export GEMMAPIPE_MPI=${B:-build}/gemmapipe-mpi.so
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMP_NUM_THREADS=1
# MPI unloads its plugins before leaks are counted, so theirs cannot be told from ours; links_test counts ours. Its locks
# are its own affair too.
export ASAN_OPTIONS=${ASAN_OPTIONS:-}:detect_leaks=0 TSAN_OPTIONS=${TSAN_OPTIONS:-}:detect_deadlocks=0
bad=0
patience=60
[ -z "${EMULATOR:-}" ] || patience=150

verdict() { # name, whether it held (0), what was seen
    if [ "$2" -eq 0 ]; then echo "ok $1"; else echo "  $3"; echo "FAIL $1"; bad=1; fi
}

ranks() { # how many, arguments: a run that may not hang
    timeout -k 5 $patience mpirun --oversubscribe --bind-to none -n "$1" "$program" "${@:2}"
}

ranks 4 claims || bad=1
said=$(ranks 2 claims 2>&1)
verdict the_claims_hold_for_two_ranks $? "$said"
if [ -n "${EMULATOR:-}" ]; then
    echo "skip more_than_sixty_four_ranks_are_greeted: so many emulated processes take minutes for MPI's own beginning"
    echo "skip a_waiting_rank_leaves_the_core_to_others: an emulator's own work is not what is measured"
elif [ -n "${SAN:-}" ]; then
    echo "skip more_than_sixty_four_ranks_are_greeted: under a sanitizer each takes 480 MB"
    echo "skip a_waiting_rank_leaves_the_core_to_others: a sanitizer's own work is not what is measured"
else
    ranks 66 many || bad=1
    ranks 4 idle 3 || bad=1
fi

ranks 3 parts || bad=1

said=$(ranks 1 claims 2>&1)
[[ $? -ne 0 && "$said" == *"mpirun -n 4"* ]]
verdict one_rank_alone_is_told_what_to_type $? "$said"

said=$(ranks 2 oversized 2>&1)
[[ "$said" == *"code 6, culprit 1, then 5: worker 1 sent 5064 bytes"* ]]
verdict an_oversized_frame_is_blamed_on_the_rank_that_sent_it $? "$said"

start=$SECONDS
said=$(ranks 3 killed 2>&1)
code=$?
[[ $code -ne 0 && $code -ne 124 && ("$said" == *"signal 9"* || "$said" == *"worker 1 does not answer"*) ]] # 124: it had to be ended by timeout
verdict a_killed_rank_ends_the_job $? "status $code after $((SECONDS - start)) s: $said"
left=$(pgrep -f "$program killed" || true)
[ -z "$left" ]
verdict no_rank_stays_behind $? "still there: $left"

# Who is under mpirun, and who only sits in a shell of Slurm.
clean=(env -u OMPI_COMM_WORLD_SIZE -u PMIX_RANK -u PMI_RANK -u SLURM_JOB_ID -u SLURM_PROCID -u SLURM_STEP_NUM_TASKS)
! "${clean[@]}" "$program" launched && ! "${clean[@]}" SLURM_JOB_ID=7 SLURM_PROCID=0 SLURM_NTASKS=4 "$program" launched &&
    ! "${clean[@]}" SLURM_JOB_ID=7 SLURM_STEP_NUM_TASKS=1 PMIX_RANK=0 "$program" launched
verdict a_plain_run_inside_an_allocation_is_not_taken_for_mpi $? "it was"
"${clean[@]}" OMPI_COMM_WORLD_SIZE=1 "$program" launched && "${clean[@]}" PMIX_RANK=3 "$program" launched &&
    "${clean[@]}" SLURM_JOB_ID=7 SLURM_STEP_NUM_TASKS=4 PMIX_RANK=0 "$program" launched
verdict ranks_of_mpirun_and_srun_know_it $? "they did not"
exit $bad
