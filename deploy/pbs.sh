#!/usr/bin/env bash
# deploy/pbs.sh — a batch of prompts under PBS: one coordinator, and a worker for each further line of the node file.
#
#   qsub -l select=5:ncpus=4:mem=4gb -v MODEL=model.gguf,PROMPTS=prompts.txt deploy/pbs.sh
#
# PROMPTS has one prompt a line; the answers are in the job's output file. More options of gemmapipe run: in MORE; where the programs are: in
# GEMMAPIPE_BIN. The job's directory and the programs must be on a shared disk. Ranks are started over ssh, as Debian's Open MPI knows
# no PBS: RSH names another program for that (pbs_tmrsh of OpenPBS), NETWORK the one to use (10.0.0.0/24).
#PBS -N gemmapipe
#PBS -j oe
set -euo pipefail

if [ -z "${MODEL:-}" ] || [ -z "${PROMPTS:-}" ] || [ ! -r "${PBS_NODEFILE:-}" ]; then
    sed -n 's/^#   //p' "$0" >&2
    exit 2
fi
cd "${PBS_O_WORKDIR:-.}"
# PBS runs a copy of this script from its spool: what it needs is looked for from where qsub was called.
options=(-n "$(grep -c . "$PBS_NODEFILE")" -f "$PBS_NODEFILE")
[ -z "${NETWORK:-}" ] || options+=(-i "$NETWORK")
[ -z "${RSH:-}" ] || options+=(-r "$RSH")
# shellcheck disable=SC2086 # MORE is words
exec deploy/mpi.sh "${options[@]}" run --model "$MODEL" --prompts "$PROMPTS" ${NCPUS:+--threads "$NCPUS"} ${MORE:-}
