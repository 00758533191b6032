#!/usr/bin/env bash
# tests/support/hosts.sh — several hosts in one machine: network namespaces on a switch of their own, with names, limits of links and of memory.
# What needs machines is tried with it, by tests and by hand. Root, iproute2.
#
#   hosts.sh up N [RATE]               hosts 1 to N at 10.98.0.1 to 10.98.0.N; RATE of each link: 1gbit
#   hosts.sh on K [mem=900M] COMMAND…  runs it on host K; mem: what all that runs there with mem= may hold together, then the kernel kills
#   hosts.sh rsh ADDRESS COMMAND…      the same as ssh would be called: Open MPI's plm_rsh_agent
#   hosts.sh down                      takes them away, and ends what still runs there
#
# HOSTS is the first part of their names (gphost): tests take one of their own.
set -euo pipefail

name=${HOSTS:-gphost}
net=10.98.0
case $name in *[!a-z0-9]*) echo "hosts.sh: HOSTS is letters and digits" >&2; exit 2 ;; esac

# This process, and all that comes of it, in the group of host $1 with at most $2 bytes.
limit() {
    if [ -d /sys/fs/cgroup/memory ]; then
        mkdir -p "/sys/fs/cgroup/memory/$name$1"
        echo "$2" >"/sys/fs/cgroup/memory/$name$1/memory.limit_in_bytes"
        echo $BASHPID >"/sys/fs/cgroup/memory/$name$1/cgroup.procs"
    else
        echo +memory >/sys/fs/cgroup/cgroup.subtree_control
        mkdir -p "/sys/fs/cgroup/$name$1"
        echo "$2" >"/sys/fs/cgroup/$name$1/memory.max"
        echo 0 2>/dev/null >"/sys/fs/cgroup/$name$1/memory.swap.max" || true
        echo $BASHPID >"/sys/fs/cgroup/$name$1/cgroup.procs"
    fi
}

case ${1:-} in
    up)
        ip netns add "${name}s"
        ip -n "${name}s" link add switch type bridge
        ip -n "${name}s" link set switch up
        for i in $(seq "$2"); do
            ip netns add "$name$i"
            ip -n "$name$i" link set lo up
            ip -n "$name$i" link add eth0 type veth peer name "port$i" netns "${name}s"
            ip -n "${name}s" link set "port$i" master switch up
            ip -n "$name$i" addr add "$net.$i/24" dev eth0
            ip -n "$name$i" link set eth0 up
            [ -n "${3:-}" ] || continue
            tc -n "${name}s" qdisc add dev "port$i" root tbf rate "$3" burst 256kb latency 200ms
            tc -n "$name$i" qdisc add dev eth0 root tbf rate "$3" burst 256kb latency 200ms
        done ;;
    on)
        k=$2
        shift 2
        if [[ ${1:-} == mem=* ]]; then limit "$k" "$(numfmt --from=iec "${1#mem=}")"; shift; fi
        # shellcheck disable=SC2016 # for the shell that is started
        exec ip netns exec "$name$k" unshare --uts sh -c 'hostname "$1" && shift && exec "$@"' sh "$name$k" "$@" ;;
    rsh)
        host=${2##*.}
        shift 2
        exec "$0" on "$host" sh -c "$*" ;;
    down)
        for n in $(ip netns list | cut -d' ' -f1 | grep -E "^$name([0-9]+|s)\$" || true); do
            ip netns pids "$n" | xargs -r kill 2>/dev/null || true
            for _ in 1 2 3 4 5 6 7 8 9 10; do [ -n "$(ip netns pids "$n")" ] || break; sleep 0.1; done
            ip netns pids "$n" | xargs -r kill -9 2>/dev/null || true
            ip netns del "$n"
            rmdir "/sys/fs/cgroup/memory/$n" "/sys/fs/cgroup/$n" 2>/dev/null || true
        done ;;
    *) sed -n '2,/^set/s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
esac
