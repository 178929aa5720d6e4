# Shared by the tests that train; sourced, not run. Needs $1 = build folder, $2 = source folder of the caller. Gives:
#   banff, work          the program; a folder that goes away at the end
#   checks LINE          says what is checked next
#   wrong LINE...        a failed check: says so with the last output, goes on
#   launch RANKS THREADS ARGUMENTS...   the program on so many ranks
#   succeed WHAT COMMAND...             it must end with 0; output in $work/out
#   refuse WHAT TEXT... -- COMMAND...   it must end soon, with an error that holds every TEXT; code in $code
#   every_rank WHAT RANKS TEXT... -- ARGUMENTS...   the same of every one of so many ranks
#   reached FOLDER STEP     true once a run has a checkpoint of this step or a later one (older ones are removed quickly)
#   weights FOLDER       a hash of the weights in a run's newest checkpoint
#   checkpoint FOLDER STEP   the file of a run's checkpoint, of the newest generation that has it
#   finish               ends the script with its verdict
#   thorough             true unless a sanitizer makes everything slow: then a part of each kind of check has to do
#   with_leaks COMMAND...   the command with LeakSanitizer, if in use; it takes seconds, so others go without
# shellcheck shell=bash
set -u
build=$1
banff=$build/banff
[ -x "$banff" ] || { echo "skipped: $banff was not built"; exit 77; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failed=0
slow=${BNF_SANITIZE:-}
limit=120
[ -n "$slow" ] && limit=400
leaks=${ASAN_OPTIONS:-}
[ "$slow" = address ] && export ASAN_OPTIONS=$leaks:detect_leaks=0:fast_unwind_on_malloc=1

thorough() { [ -z "$slow" ]; }

with_leaks() { ASAN_OPTIONS=$leaks "$@"; }

checks() { printf -- '- %s\n' "$*"; }

wrong() {
    printf 'FAILED: %s\n' "$@"
    [ -f "$work/out" ] && sed 's/^/    | /' "$work/out"
    failed=1
}

# A sanitizer that has found something; its exit code alone could pass for an error of the program.
unsound() {
    grep -qE '(ERROR|WARNING): (Address|Leak|Thread)Sanitizer|: runtime error: ' "$work/out" &&
        wrong "$1: a sanitizer has found something"
}

launch() {
    local ranks=$1 threads=$2
    shift 2
    if [ "$ranks" = 1 ]; then
        OMP_NUM_THREADS=$threads timeout $limit "$banff" "$@"
    else
        OMP_NUM_THREADS=$threads timeout $limit mpirun -n "$ranks" "$banff" "$@"
    fi
}

succeed() {
    local what=$1
    shift
    "$@" >"$work/out" 2>&1 || wrong "$what (exit code $?)"
    unsound "$what"
}

refuse() {
    local what=$1 texts=() text
    shift
    while [ "$1" != -- ]; do texts+=("$1"); shift; done
    shift
    code=0
    "$@" >"$work/out" 2>&1 || code=$?
    unsound "$what"
    if [ "$code" = 0 ] || [ "$code" = 124 ] || [ "$code" -ge 128 ]; then
        wrong "$what: exit code $code"
        return 1
    fi
    for text in "${texts[@]}"; do
        grep -qF -- "$text" "$work/out" || { wrong "$what: no '$text' in the message"; return 1; }
    done
}

# Each rank must end by itself: mpirun is told not to end the others when the first has failed. The code of rank 0 is in
# $code.
every_rank() {
    local what=$1 ranks=$2 texts=() r text
    shift 2
    while [ "$1" != -- ]; do texts+=("$1"); shift; done
    shift
    rm -f "$work"/rank.*
    cat >"$work/wrap" <<'WRAP'
#!/bin/sh
folder=$1
shift
"$@"
code=$?
echo $code >"$folder/rank.$OMPI_COMM_WORLD_RANK"
exit $code
WRAP
    chmod +x "$work/wrap"
    code=0
    OMP_NUM_THREADS=1 timeout $limit mpirun --mca orte_abort_on_non_zero_status 0 -n "$ranks" "$work/wrap" "$work" "$banff" "$@" \
        >"$work/out" 2>&1 || code=$?
    unsound "$what"
    if [ $code = 124 ]; then
        wrong "$what, $ranks ranks: no end within $limit s"
        return 1
    fi
    code=$(cat "$work/rank.0" 2>/dev/null)
    for ((r = 0; r < ranks; r++)); do
        case $(cat "$work/rank.$r" 2>/dev/null) in
            1 | 2 | 75) ;;
            *) wrong "$what, $ranks ranks: rank $r ended with '$(cat "$work/rank.$r" 2>/dev/null)'" ;;
        esac
    done
    for text in "${texts[@]}"; do
        grep -qF -- "$text" "$work/out" || { wrong "$what, $ranks ranks: no '$text' in the message"; return 1; }
    done
}

checkpoint() {
    local name found
    name=$(printf 'ckpt-%012d' "$2")
    found=$(find "$1/checkpoints" -maxdepth 1 -name "$name*.h5" ! -name '*.part-*' 2>/dev/null | sort -V | tail -n 1)
    printf '%s' "${found:-$1/checkpoints/$name.h5}"
}

reached() {
    local newest
    newest=$(find "$1/checkpoints" -name 'ckpt-*.h5' -printf '%f\n' 2>/dev/null | sort | tail -n 1)
    newest=${newest#ckpt-}
    [ -n "$newest" ] && [ $((10#${newest%%[!0-9]*})) -ge "$2" ]
}

weights() {
    if "$banff" --help | grep -q '^  export'; then
        "$banff" export "$1" --out "$work/weights.npz" >"$work/out" 2>&1 || { echo "no export of $1"; return; }
        sha256sum <"$work/weights.npz" | cut -d' ' -f1
    else
        "$banff" eval "$1" 2>/dev/null | sed -n 's/.*weights \([0-9a-f]*\)).*/\1/p'
    fi
}

finish() {
    [ $failed = 0 ] && echo "passed"
    exit $failed
}
