#!/usr/bin/env bash
# tests/rooms.sh — who includes whom. Prints the arrows between the rooms and fails on one that points up, on a dependency
# that comes in by another door than its own, on two files of one name, and where a comment or a page names a file that is
# not there. `make rooms` runs it, and so do the tests.
set -euo pipefail
cd "$(dirname "$0")/.."

mapfile -t files < <(find base partition transport worker coordinator \( -name '*.[ch]' -o -name '*.inc' \) | sort)

# Who may include whom, sub-room by sub-room. Everyone may include base/, and headers of its own sub-room.
# "worker.h", "assign.h": of the worker, others see these two headers alone.
arrows='
transport/wire        :
transport/links       : transport/wire
partition/format      :
partition/model       : partition/format
partition/file        : partition/format partition/model
partition/checkpoint  : partition/file partition/model
partition/make        : partition/checkpoint partition/file partition/format partition/model
partition/plan        : partition/format partition/model
partition/tool        : partition/checkpoint partition/file partition/format partition/make partition/model partition/plan
worker/kernels        : partition/format partition/model
worker/weights        : worker/kernels partition/file partition/format partition/model
worker/stage          : worker/kernels worker/weights partition/model transport/wire worker.h
worker/encoder        : assign.h worker/weights worker/stage worker/kernels partition/format partition/model transport/wire
worker                : worker/weights worker/encoder worker/stage worker/kernels partition/file partition/model partition/plan transport/links transport/wire
coordinator/picture   :
coordinator/text      : partition/file partition/model
coordinator/cluster   : partition/file partition/model partition/plan transport/links transport/wire worker.h assign.h
coordinator/engine    : coordinator/cluster coordinator/picture coordinator/text partition/model partition/plan transport/wire worker.h
coordinator/batch     : coordinator/quality coordinator/schema coordinator/engine coordinator/picture coordinator/text transport/wire
coordinator/schema    : coordinator/text
coordinator/serve     : coordinator/schema coordinator/batch coordinator/engine coordinator/picture coordinator/text transport/wire
coordinator/report    : coordinator/cluster coordinator/engine partition/model partition/plan
coordinator/quality   : coordinator/text
coordinator/simulate  : coordinator/cluster coordinator/engine coordinator/report partition/model partition/plan transport/links transport/wire worker.h
coordinator/up        : coordinator/cluster partition/plan transport/links transport/wire
coordinator/cmd       : coordinator/up coordinator/quality coordinator/simulate coordinator/schema coordinator/serve coordinator/batch coordinator/cluster coordinator/engine coordinator/picture coordinator/report coordinator/text partition/file partition/model partition/plan transport/links transport/wire worker.h
coordinator           : coordinator/cmd partition/model worker.h
'

arrows_point_down() {
    awk '
    function room(path) { sub(/\/[^\/]*$/, "", path); return path }
    NR == FNR {
        if (split($0, side, ":") < 2) next
        from = side[1]; gsub(/[ \t]/, "", from)
        known[from] = 1
        n = split(side[2], target, " ")
        for (i = 1; i <= n; i++) may[from, target[i]] = 1
        next
    }
    /^[ \t]*#[ \t]*include[ \t]*"/ {
        split($0, q, "\""); header = q[2]; from = room(FILENAME); to = room(header)
        if (header !~ /\//) { if (header ~ /\.inc$/ || header ~ /\.c$/) next
            print "  " FILENAME ":" FNR ": \"" header "\" is not written from the root"; bad = 1; next }
        if (from == to || to == "base") next
        word = header == "worker/worker.h" ? "worker.h" : header == "worker/assign.h" ? "assign.h" : to
        if (!((from, word) in may)) { print "  " FILENAME ":" FNR ": " from " may not include " header; bad = 1 }
        if (!seen[from, to]++) heads[from] = heads[from] " " to
    }
    END {
        for (from in heads) printf "%-24s->%s\n", from, heads[from] | "sort"
        close("sort")
        exit bad
    }' <(echo "$arrows") "${files[@]}"
}

# The table itself: a circle in it would let two sub-rooms become one.
the_table_has_no_circle() {
    local loop
    loop=$(awk -F: 'NF > 1 {
        gsub(/[ \t]/, "", $1)
        n = split($2, to, " ")
        for (i = 1; i <= n; i++) print $1, to[i]
    }' <<<"$arrows" | tsort 2>&1 >/dev/null) || { printf '  a circle: %s\n' "$(tr '\n' ' ' <<<"${loop//tsort: /}")"; return 1; }
}

# header                  files that may include it, as a pattern
doors='
mpi.h           transport/links/mpi\.c
dlfcn.h         (transport/links/mpi_plugin|worker/kernels/blas)\.c
zmq.h           (transport/links/(zmq(_sockets)?|zap)|tests/fuzz/zap_fuzz)\.c
xxhash.h        base/hash\.c
stb_image.h     coordinator/picture/image\.c
webp/decode.h   coordinator/picture/image_webp\.c
seccomp.h       worker/confine\.c
cJSON.h         coordinator/cluster/cluster_file\.c
histedit.h      coordinator/cmd/line_editor\.c
microhttpd.h    coordinator/serve/http\.c
gguf_parse.h    partition/file/gguf(_parse|_other|_values|_copy|_hashes)?\.c
'

each_dependency_has_one_door() {
    local bad=0 header door stray
    while read -r header door; do
        [ -n "$header" ] || continue
            stray=$(grep -nE "^[ \t]*#[ \t]*include[ \t]*[<\"]([a-z]+/)*${header/./\\.}[>\"]" "${files[@]}" /dev/null | grep -vE "^$door:" || true)
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

# In comments of sources, and in pages that say how the house is; of docs/STYLE.md, the listing of the house.
files_that_are_named_exist() {
    local names missing
    names=$(find . -path ./build -prune -o \( -name '*.[ch]' -o -name '*.inc' \) -printf '%P\n'; awk '{ print $1 }' <<<"$doors")
    missing=$(
        { grep -nHE '^[ \t]*/?\*|/\*' "${files[@]}"
          grep -nH '' README.md docs/DESIGN.md
          awk '/^## The house/ { on = 1 } on { print FILENAME ":" FNR ":" $0 }' docs/STYLE.md
        } | awk '
        NR == FNR { # every tail of a path: who writes part of one means all behind it
            for (tail = $1; ; sub(/^[^\/]*\//, "", tail)) { there[tail] = 1; if (tail !~ /\//) break }
            next
        }
        {
            split($0, field, ":"); line = $0; sub(/^[^:]*:[^:]*:/, "", line)
            if (line ~ /^[ \t]*#[ \t]*include/) next
            if (field[1] ~ /\.(c|h|inc)$/) sub(/^[^*]*\/?\*/, "", line)
            while (match(line, /[A-Za-z0-9_][A-Za-z0-9_\/.-]*\.(c|h|inc)/)) {
                name = substr(line, RSTART, RLENGTH); after = substr(line, RSTART + RLENGTH, 1)
                line = substr(line, RSTART + RLENGTH)
                if (after !~ /[A-Za-z0-9_(]/ && !(name in there)) print "  " field[1] ":" field[2] ": there is no " name
            }
        }' <(echo "$names") -)
    [ -z "$missing" ] || { echo "$missing"; return 1; }
}

failed=0
verdict() { # of the command that just ran: 0 or not
    if [ "$1" -eq 0 ]; then echo "ok $2"; else echo "FAIL $2"; failed=1; fi
}
set +e
arrows_point_down;            verdict $? arrows_point_down
the_table_has_no_circle;      verdict $? the_table_has_no_circle
each_dependency_has_one_door; verdict $? each_dependency_has_one_door
file_names_are_unique;        verdict $? file_names_are_unique
files_that_are_named_exist;   verdict $? files_that_are_named_exist
exit $failed
