#!/usr/bin/env bash
# deploy/local.sh — a whole cluster on this machine's loopback: N workers and a coordinator, cleaned up at the end.
#
# For trying out what deploy/README.md does with several machines. `gemmapipe run --workers N` starts workers of its own
# and is simpler; here each is a gemmapipe-worker with an address, as it would be elsewhere.
set -euo pipefail

usage() {
    cat <<TXT
deploy/local.sh [options] COMMAND OPTIONS...
COMMAND is one of gemmapipe's that compute: run, chat, batch, serve, eval, perplexity, logits, embed-image, plan, bench
  -w N        workers (3)
  -p PORT     the first worker's port on 127.0.0.1; the others follow (7400)
  -m SIZE     memory a worker may use, such as 512M (no limit)
  -t N        threads of each worker (its own choice)
example: deploy/local.sh -w 3 run --model models/demo/demo-q4_0.gguf --temp 0 "What is 12 + 9?"
Programs are taken from \$GEMMAPIPE_BIN, else from build/.
TXT
}

workers=3 port=7400 worker_options=()
while getopts w:p:m:t:h option; do
    case $option in
        w) workers=$OPTARG ;;
        p) port=$OPTARG ;;
        m) worker_options+=(--memory "$OPTARG") ;;
        t) worker_options+=(--threads "$OPTARG") ;;
        h) usage; exit 0 ;;
        *) usage >&2; exit 2 ;;
    esac
done
shift $((OPTIND - 1))
if [ $# -eq 0 ] || ! [[ $workers =~ ^[1-9][0-9]*$ && $port =~ ^[1-9][0-9]*$ ]]; then usage >&2; exit 2; fi
command=$1
shift

bin=${GEMMAPIPE_BIN:-$(dirname "$0")/../build}
started=()
clean_up() {
    if [ ${#started[@]} -gt 0 ]; then
        kill "${started[@]}" 2>/dev/null || true
        wait "${started[@]}" 2>/dev/null || true
    fi
}
trap clean_up EXIT
trap 'exit 130' INT TERM

addresses=
for ((i = 0; i < workers; i++)); do
    address=tcp://127.0.0.1:$((port + i))
    "$bin/gemmapipe-worker" --listen "$address" "${worker_options[@]}" &
    started+=($!)
    addresses+=${addresses:+,}$address
done
"$bin/gemmapipe" "$command" --connect "$addresses" "$@"
