# Completion for fish: gemmapipe, gemmapipe-worker, gemmapipe-partition. What is offered is read from --help when Tab is
# pressed, so it is always what the installed program takes.

function __gemmapipe_verbs
    set -l program (commandline -opc)[1]
    switch (basename $program)
        case gemmapipe
            $program --help 2>/dev/null | string match -rg '^  ([a-z][a-z-]*) +(.*)$' | paste - -
        case gemmapipe-partition
            $program --help 2>/dev/null | string match -rg '^  gemmapipe-partition ([a-z]+)'
    end
end

function __gemmapipe_options
    set -l words (commandline -opc)
    set -l help
    switch (basename $words[1])
        case gemmapipe
            set help ($words[1] $words[2] --help 2>/dev/null)
        case gemmapipe-partition
            set help ($words[1] --help 2>/dev/null | awk -v verb="$words[2]" '/^  gemmapipe-partition / { on = $2 == verb } on')
        case '*'
            set help ($words[1] --help 2>/dev/null)
    end
    string join \n -- $help | awk '
        /^ +--?[a-z]/ {
            for (i = 1; i <= NF && $i ~ /^-/; i++) {
                name = $i
                if (i < NF && $(i + 1) !~ /^-/) i++
                print name
            }
        }
        $1 == "gemmapipe-partition" {
            for (i = 3; i <= NF; i++) {
                gsub(/^\[|\]$|^.*\|/, "", $i)
                if ($i ~ /^-/) print $i
            }
        }' | sort -u
end

for program in gemmapipe gemmapipe-worker gemmapipe-partition
    complete -c $program -n 'test (count (commandline -opc)) -eq 1' -a '(__gemmapipe_verbs)'
    complete -c $program -n 'string match -q -- "-*" (commandline -ct)' -a '(__gemmapipe_options)'
end
