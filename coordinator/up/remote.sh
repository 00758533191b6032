# coordinator/up/remote.sh — what gemmapipe does on another machine, as a shell script that it sends by ssh. Begins with
# `sh -s -- ACTION NAME …`; answers in lines "key=value". Nothing is installed, and nothing is written outside of two folders of the user.
#
#   scan                                      what the machine is
#   start NAME PROGRAM VERSION KEY ARGUMENTS… a worker, unless it runs already with the same words; it trusts the coordinator with that
#                                             public key (empty: there are no keys) and answers with its own
#   status NAME, stop NAME, log NAME LINES    of the worker that start started, known by its process, its birth and the machine's boot
#   place HASH                                standard input of another ssh is the program, see put
set -u
action=$1 name=${2:-}
states=${XDG_STATE_HOME:-$HOME/.local/state}/gemmapipe/workers
dir=$states/$name
programs=${XDG_CACHE_HOME:-$HOME/.cache}/gemmapipe/programs

say() { printf '%s=%s\n' "$1" "$2"; }
boot() { cat /proc/sys/kernel/random/boot_id 2>/dev/null || echo unknown; }
# When the process began, in ticks since the boot: with its number a name that no other process gets.
born() { sed 's/^.*) //' "/proc/$1/stat" 2>/dev/null | cut -d' ' -f20; }
alive() {
    [ -s "$dir/pid" ] && read -r pid birth booted <"$dir/pid" || return 1
    [ "$booted" = "$(boot)" ] && [ -n "$birth" ] && [ "$(born "$pid")" = "$birth" ] && [ "$(sed 's/^.*) //' "/proc/$pid/stat" | cut -c1)" != Z ]
}
last_words() { [ -s "$dir/log" ] && tail -n 1 "$dir/log" | cut -c1-300; }

describe() {
    say machine "$(uname -m)"
    say cores "$(nproc 2>/dev/null || getconf _NPROCESSORS_ONLN)"
    say memory "$(awk '/^MemAvailable/ { printf "%.0f\n", $2 * 1024 }' /proc/meminfo)"
    say host "$(uname -n)"
}

# The program to start: what was said, what is installed, what was placed; of this version.
find_program() {
    wanted=$1 version=$2
    for program in "$wanted" gemmapipe-worker "$programs"/*/gemmapipe-worker; do
        [ -n "$program" ] && command -v "$program" >/dev/null 2>&1 || continue
        has=$("$program" --version 2>/dev/null | awk '{ print $2; exit }')
        [ "$has" = "$version" ] && return 0
        say other "$program has version ${has:-unknown}"
    done
    return 1
}

# This machine's key, once, and whom it serves: the files are those of `gemmapipe keys`.
make_keys() {
    folder=${XDG_CONFIG_HOME:-$HOME/.config}/gemmapipe
    (
        umask 077
        mkdir -p "$folder" || exit 1
        if [ ! -e "$folder/id.key" ]; then # two workers may begin at once: the first link stays
            { od -An -v -tx1 -N32 /dev/urandom | tr -d ' \n' && echo; } >"$folder/id.key.$$" && ln "$folder/id.key.$$" "$folder/id.key" 2>/dev/null
            rm -f "$folder/id.key.$$"
            [ -s "$folder/id.key" ] || exit 1
        fi
        grep -qs "^$1 " "$folder/trusted" || echo "$1 coordinator" >>"$folder/trusted"
    )
}
own_key() { sed -n 's/^.*this worker.s key is \([0-9a-f]*\).*$/\1/p' "$dir/log" 2>/dev/null | tail -n 1; }

start() {
    wanted=$1 version=$2 trusted=$3
    shift 3
    mkdir -p "$dir" && chmod 700 "$dir" || { say state failed; say why "$dir cannot be made"; return; }
    exec 9>"$dir/lock"
    [ -z "$trusted" ] || make_keys "$trusted" || { say state failed; say why "no key could be made in ~/.config/gemmapipe"; return; }
    command -v flock >/dev/null && ! flock -w 10 9 && { say state failed; say why "another start of it is under way"; return; }
    if alive; then
        say pid "$pid"
        say key "$(own_key)"
        if [ "$(cat "$dir/words" 2>/dev/null)" = "$version $*" ]; then say state running; else say state differs; fi
        return
    fi
    find_program "$wanted" "$version" || { say state missing; return; }
    : >"$dir/log"
    if command -v setsid >/dev/null; then setsid "$program" "$@" </dev/null >>"$dir/log" 2>&1 9>&- &
    else nohup "$program" "$@" </dev/null >>"$dir/log" 2>&1 9>&- &
    fi
    pid=$!
    echo "$version $*" >"$dir/words"
    echo "$pid $(born $pid) $(boot)" >"$dir/pid"
    for _ in 1 2 3 4 5 6 7 8 9 10; do
        alive || break
        grep -q 'listening on' "$dir/log" && break
        sleep 0.2
    done
    if alive; then say state started; say pid "$pid"; say key "$(own_key)"
    else rm -f "$dir/pid"; say state failed; say why "$(last_words)"
    fi
}

status() {
    if alive; then
        say state running
        say pid "$pid"
        say holds "$(sed -n 's/^worker[^:]*: holds //p' "$dir/log" | tail -n 1)"
        say resident "$(awk '/^VmRSS/ { printf "%.0f\n", $2 * 1024 }' "/proc/$pid/status")"
    elif [ -s "$dir/pid" ]; then say state ended; say why "$(last_words)"
    else say state none
    fi
}

stop() {
    if ! alive; then rm -f "$dir/pid"; say state none; return; fi
    kill -TERM "$pid"
    for _ in $(seq 50); do alive || break; sleep 0.2; done
    if alive; then kill -KILL "$pid"; sleep 0.2; say state killed; else say state stopped; fi
    rm -f "$dir/pid"
}

case $action in
    scan) describe; if find_program "" "$name"; then say program "$program"; fi ;;
    start) shift 2; describe; start "$@" ;;
    status) describe; status ;;
    stop) stop ;;
    log) [ -e "$dir/log" ] && tail -n "$3" "$dir/log" ;;
    place)
        say machine "$(uname -m)"
        if [ -x "$programs/$name/gemmapipe-worker" ]; then say state there; else say state absent; fi ;;
    *) echo "remote.sh: $action is no action" >&2; exit 2 ;;
esac
exit 0
