# Completion for bash: gemmapipe, gemmapipe-worker, gemmapipe-partition. What is offered is read from --help when Tab is
# pressed, so it is always what the installed program takes.

# Lines "option value" of the help of what has been typed so far.
_gemmapipe_options() {
    local program=${COMP_WORDS[0]} verb=${COMP_WORDS[1]}
    case ${program##*/} in
        gemmapipe) "$program" "$verb" --help ;;
        gemmapipe-partition) "$program" --help | awk -v verb="$verb" '/^  gemmapipe-partition / { on = $2 == verb } on' ;;
        *) "$program" --help ;;
    esac 2>/dev/null | awk '
        /^ +--?[a-z]/ {
            for (i = 1; i <= NF && $i ~ /^-/; i++) {
                name = $i
                if (i < NF && $(i + 1) !~ /^-/) i++
                print name, $i
            }
        }
        $1 == "gemmapipe-partition" {
            for (i = 3; i <= NF; i++) {
                gsub(/^\[|\]$|^.*\|/, "", $i)
                if ($i ~ /^-/) print $i, $(i + 1)
            }
        }'
}

# The first words: commands of gemmapipe, verbs of gemmapipe-partition.
_gemmapipe_verbs() {
    case ${COMP_WORDS[0]##*/} in
        gemmapipe) "${COMP_WORDS[0]}" --help 2>/dev/null | awk '/^  [a-z]/ { print $1 }' ;;
        gemmapipe-partition) "${COMP_WORDS[0]}" --help 2>/dev/null | awk '/^  gemmapipe-partition [a-z]/ { print $2 }' ;;
    esac
}

_gemmapipe() {
    local now=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]} value
    COMPREPLY=()
    if [ "$COMP_CWORD" -eq 1 ]; then
        mapfile -t COMPREPLY < <(compgen -W "$(_gemmapipe_verbs) --help --version" -- "$now")
        [ "${COMP_WORDS[0]##*/}" = gemmapipe-worker ] || return
    fi
    if [[ $now == -* ]]; then
        mapfile -t COMPREPLY < <(compgen -W "$(_gemmapipe_options | awk '{ print $1 }')" -- "$now")
        return
    fi
    value=$(_gemmapipe_options | awk -v name="$before" '$1 == name { print $2; exit }')
    case $value in
        [a-z]*"|"*) mapfile -t COMPREPLY < <(compgen -W "${value//|/ }" -- "$now") ;;
        *) mapfile -t COMPREPLY < <(compgen -f -- "$now") ;;
    esac
}
complete -o filenames -F _gemmapipe gemmapipe gemmapipe-worker gemmapipe-partition
