#!/usr/bin/env bash
# deploy/mpi.sh — the same under mpirun: rank 0 coordinates, the other ranks are the workers.
#
# What it adds to a bare mpirun: no binding (it would give a worker one core), ranks laid out node by node, permission to
# run as root, and leave to put more ranks than cores on one machine when no hostfile says otherwise.
set -euo pipefail

usage() {
    cat <<TXT
deploy/mpi.sh [options] COMMAND OPTIONS...
COMMAND is one of gemmapipe's that compute: run, chat, batch, serve, eval, perplexity, logits, embed-image, plan, bench
  -n RANKS       one coordinator and RANKS - 1 workers (4)
  -f HOSTFILE    machines and their slots: see deploy/hostfile.example (this machine only)
  -r AGENT       what logs in to the other machines, with its words (ssh): Open MPI's plm_rsh_agent
  -i INTERFACE   network to use, such as eth0 or 10.0.0.0/24 (whatever Open MPI finds)
examples: deploy/mpi.sh -n 4 run --model models/demo/demo-q4_0.gguf --temp 0 "What is 12 + 9?"
          deploy/mpi.sh -n 3 -f my-hosts -i 10.0.0.0/24 run --model gemma-3-4b-it-q4_0.gguf "Hello"
Programs are taken from \$GEMMAPIPE_BIN, else from build/; their path must be the same on every machine.
TXT
}

ranks=4 hostfile='' options=(--bind-to none)
while getopts n:f:i:r:h option; do
    case $option in
        n) ranks=$OPTARG ;;
        f) hostfile=$OPTARG ;;
        i) options+=(--mca btl_tcp_if_include "$OPTARG" --mca oob_tcp_if_include "$OPTARG") ;;
        r) options+=(--mca plm_rsh_agent "$OPTARG") ;;
        h) usage; exit 0 ;;
        *) usage >&2; exit 2 ;;
    esac
done
shift $((OPTIND - 1))
if [ $# -eq 0 ] || ! [[ $ranks =~ ^[1-9][0-9]*$ ]]; then usage >&2; exit 2; fi

if [ -n "$hostfile" ]; then options+=(--hostfile "$hostfile" --map-by node); else options+=(--oversubscribe); fi
if [ "$(id -u)" -eq 0 ]; then export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1; fi
bin=$(realpath "${GEMMAPIPE_BIN:-$(dirname "$0")/../build}")
exec mpirun "${options[@]}" -n "$ranks" "$bin/gemmapipe" "$@"
