#!/usr/bin/env bash
# tests/bench/small_machines.sh — a model over hosts that could not hold it, each with a hard limit of memory and a slow link, and its weights
# sent, or read by each. Shows what a real cluster of such machines would do with memory; how fast, only if this machine has a core for each.
# Root; the hosts are tests/support/hosts.sh's. What was found: docs/SPEED.md.
#
#   tests/bench/small_machines.sh N SIZE MODEL.gguf [--mmproj ENCODER.gguf --image PICTURE] [options of run]      N workers of SIZE (900M) each
#   RATE=1gbit of each link     COORDINATOR=64M for the coordinator     TOKENS=8 of the answer     B=build
#   SHARED=1 all can read the model's folder: nothing is sent
set -euo pipefail
if [ $# -lt 3 ]; then sed -n '2,/^set/s/^# \{0,1\}//p' "$0" | sed '$d' >&2; exit 2; fi
n=$1 size=$2 model=$3
shift 3
here=$(realpath "$(dirname "$0")/../..")
export HOSTS=${HOSTS:-small$$}
hosts=$here/tests/support/hosts.sh
programs=$here/${B:-build}
# What the program itself takes, beside what it plans with.
planned=$(($(numfmt --from=iec "$size") / 1048576 - 24))M

weights=(--no-file) send=(--send-weights)
[ "${SHARED:-0}" = 0 ] || { weights=(--models "$(dirname "$(realpath "$model")")") send=(); }

trap '$hosts down' EXIT
$hosts up $((n + 1)) "${RATE:-1gbit}"
addresses=
for k in $(seq 2 $((n + 1))); do
    $hosts on "$k" mem="$size" "$programs/gemmapipe-worker" --listen "tcp://10.98.0.$k:7001" --memory "$planned" --threads 1 --insecure "${weights[@]}" --quiet &
    addresses+=${addresses:+,}tcp://10.98.0.$k:7001
done
$hosts on 1 mem="${COORDINATOR:-64M}" "$programs/gemmapipe" run --model "$model" --connect "$addresses" --insecure "${send[@]}" --temp 0 \
    -n "${TOKENS:-8}" --fingerprint --report "$@" "Describe it."
for k in $(seq $((n + 1))); do
    group=/sys/fs/cgroup/memory/$HOSTS$k
    if [ -d "$group" ]; then peak=$group/memory.max_usage_in_bytes; else peak=/sys/fs/cgroup/$HOSTS$k/memory.peak; fi
    echo "host $k: $(numfmt --to=iec "$(cat "$peak")") at most, files that it read included"
done
