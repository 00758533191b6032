#!/usr/bin/env bash
# tests/rooms.sh — who includes whom. Prints the arrows between the rooms and fails on one that points up, on a dependency
# that comes in by another door than its own, and on two files of one name. `make rooms` runs it, and so do the tests.
set -euo pipefail
cd "$(dirname "$0")/.."

mapfile -t files < <(find base partition transport worker coordinator -name '*.[ch]' | sort)

arrows_point_down() {
    awk '
    function room(path) { sub(/\/.*/, "", path); return path }
    function allowed(from, to, header) {
        if (from == to || to == "base") return 1
        if (from == "worker") return to == "transport" || header ~ /^partition\/(config|weights|plan|panels|memory|blocks|quantize|deliver|slice|vision_config|vision_weights|vision_memory)\.h$/
        if (from == "coordinator") return to == "transport" || to == "partition" || header == "worker/worker.h"
        return 0
    }
    /^[ \t]*#[ \t]*include[ \t]*"/ {
        split($0, q, "\""); header = q[2]; from = room(FILENAME); to = room(header)
        if (header !~ /\//) { print "  " FILENAME ":" FNR ": \"" header "\" is not written from the root"; bad = 1; next }
        if (!allowed(from, to, header)) { print "  " FILENAME ":" FNR ": " from " may not include " header; bad = 1 }
        if (from != to && !seen[from, header]++) heads[from " -> " to] = heads[from " -> " to] " " substr(header, length(to) + 2)
    }
    END {
        n = split("coordinator worker partition transport base", order, " ")
        for (i = 1; i <= n; i++) for (j = 1; j <= n; j++) {
            a = order[i] " -> " order[j]
            if (a in heads) printf "%-28s%s\n", a, heads[a]
        }
        exit bad
    }' "${files[@]}"
}

# header                  files that may include it, as a pattern
doors='
mpi.h           transport/mpi\.c
zmq.h           transport/zmq\.c
xxhash.h        base/hash\.c
cblas.h         worker/kernels/blas\.c
stb_image.h     coordinator/image\.c
cJSON.h         (partition/cluster|coordinator/(batch|http))\.c
'

each_dependency_has_one_door() {
    local bad=0 header door stray
    while read -r header door; do
        [ -n "$header" ] || continue
            stray=$(grep -nE "^[ \t]*#[ \t]*include[ \t]*[<\"]([a-z]+/)?${header/./\\.}[>\"]" "${files[@]}" /dev/null | grep -vE "^$door:" || true)
        if [ -n "$stray" ]; then
            printf '  %s comes in by another door than %s:\n%s\n' "$header" "${door//\\/}" "$stray"
            bad=1
        fi
    done <<<"$doors"
    return "$bad"
}

# main.c is the one name that every program has.
file_names_are_unique() {
    local twice
    twice=$(find base partition transport worker coordinator tests \( -name '*.[ch]' -o -name '*.sh' -o -name '*.py' \) ! -name main.c -printf '%f\n' | sort | uniq -d)
    [ -z "$twice" ] || { printf '  two files are called %s\n' "$twice"; return 1; }
}

failed=0
verdict() { # of the command that just ran: 0 or not
    if [ "$1" -eq 0 ]; then echo "ok $2"; else echo "FAIL $2"; failed=1; fi
}
set +e
arrows_point_down;            verdict $? arrows_point_down
each_dependency_has_one_door; verdict $? each_dependency_has_one_door
file_names_are_unique;        verdict $? file_names_are_unique
exit $failed
