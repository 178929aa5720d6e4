#!/usr/bin/env bash
# Every system call of a checkpoint, on one and on two ranks, is made to fail, and in another run to be the last thing that
# its rank does: all checkpoints that are there are sound, and the run goes on from the newest of them to the same weights.
# shellcheck disable=SC1091
. "$2/tests/training.sh"
interpose=$(ls "$build"/tests/libtest_interpose.so 2>/dev/null) || { echo "FAILED: the interposed library was not built"; exit 1; }

succeed "synth" "$banff" synth shapes --out "$work/d.h5" --train 32 --test 16 --size 8x8
cat >"$work/c.yaml" <<YAML
recipe: lipschitz
run: {progress: off, log_every: 2, eval_every: 0, checkpoint_every: 2, keep: 1}
data: {file: $work/d.h5, batch: 16, leaves: 4, prefetch: 0}
train: {epochs: 9, steps: 4}
model:
  layers:
    - {type: flatten}
    - {type: dense, out: 8}
    - {type: groupsort2}
    - {type: head, out: 10}
YAML
train() { echo train "$work/c.yaml" --set run.folder="$1"; }
hash_of() { sed -n 's/^weights //p' "$1"; }

# What every case begins with: a run on so many ranks that has its checkpoint of step 2.
for ranks in 1 2; do
    # shellcheck disable=SC2046
    succeed "train" launch $ranks 1 $(train "$work/base$ranks") --set run.keep=9
    expect=$(hash_of "$work/out")
    rm "$work/base$ranks"/checkpoints/ckpt-000000000004*
done
[ -n "$expect" ] || wrong "no weights"

# run FOLDER RANKS RANK VARIABLE=VALUE...: goes on in FOLDER; what is set holds for calls of RANK
run() {
    local folder=$1 ranks=$2 rank=$3 first=()
    shift 3
    [ "$ranks" = 1 ] || first=(mpirun -n "$ranks")
    # shellcheck disable=SC2046
    timeout $limit "${first[@]}" env LD_PRELOAD="$interpose" BNF_FAULT_FOLDER="$folder" BNF_FAULT_RANK="$rank" "$@" \
        "$banff" $(train "$folder") --resume auto
}

# one RANKS RANK MODE N: prints what is wrong
one() {
    local name=$1.$2.$3.$4 folder code=0
    folder=$work/$name
    cp -r "$work/base$1" "$folder"
    run "$folder" "$1" "$2" "BNF_$3_AT=$4" BNF_FAULT_REPORT="$folder.report" >"$folder.out" 2>&1 || code=$?
    [ -s "$folder.report" ] || { echo "$name: the call has not come"; return; }
    [ $code != 124 ] || { echo "$name: no end"; return; }
    if [ "$3" = FAIL ] && [ $code != 0 ]; then
        grep -q "$folder/checkpoints/ckpt-" "$folder.out" || echo "$name: the message does not name the file ($(cat "$folder.out"))"
        [ $code = 1 ] || echo "$name: exit code $code"
        [ -z "$(find "$folder/checkpoints" -name '*.tmp')" ] || echo "$name: a temporary file is left"
    elif [ $code = 0 ] && [ "$(hash_of "$folder.out")" != "$expect" ]; then
        echo "$name: it says that it has succeeded, with other weights"
    elif [ $code = 0 ] && [ ! -e "$(checkpoint "$folder" 4)" ]; then
        echo "$name: it says that it has succeeded, without a checkpoint"
    fi
    "$banff" checkpoint verify "$folder" >"$folder.verify" 2>&1 || echo "$name: $(cat "$folder.verify")"
    # shellcheck disable=SC2046
    timeout $limit "$banff" $(train "$folder") --resume auto >"$folder.again" 2>&1 || echo "$name: $(cat "$folder.again")"
    [ "$(hash_of "$folder.again")" = "$expect" ] || echo "$name: other weights after $(cat "$folder.report")"
    rm -rf "$folder"
}

total=0
for case in "1 0" "2 0" "2 1"; do
    ranks=${case% *} rank=${case#* }
    cp -r "$work/base$ranks" "$work/count"
    succeed "count" run "$work/count" "$ranks" "$rank" BNF_FAULT_TOTAL="$work/total"
    n=$(cat "$work/total")
    rm -r "$work/count" "$work/total"
    [ "$n" -ge 9 ] || wrong "$ranks ranks, rank $rank: only $n calls"
    checks "$ranks ranks, rank $rank: each of $n calls fails; each is the last"
    for ((i = 1; i <= n; i++)); do
        for mode in FAIL DIE; do
            one "$ranks" "$rank" $mode $i >"$work/verdict.$ranks.$rank.$mode.$i" 2>&1 &
            total=$((total + 1))
            while [ "$(jobs -rp | wc -l)" -ge 6 ]; do wait -n; done
        done
    done
done
wait
rm -f "$work/out"
[ "$(find "$work" -maxdepth 1 -name 'verdict.*' | wc -l)" = $total ] || wrong "not every case has a verdict"
bad=$(cat "$work"/verdict.*)
[ -z "$bad" ] || wrong "$bad"
finish
