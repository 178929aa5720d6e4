#!/usr/bin/env bash
# A run is killed (-9) again and again: one rank, all ranks, or mpirun, at random moments, most of them while checkpoints are
# written; each time it goes on with a random number of ranks (1-4) and threads (1-2). Weights and metrics at the end are
# those of a run that nobody disturbed. BNF_KILLS: how many kills (20); BNF_KILLS_SEED: repeats a sequence.
# shellcheck disable=SC1091
. "$2/tests/training.sh"
kills=${BNF_KILLS:-20}
RANDOM=${BNF_KILLS_SEED:-$(($$ % 32768))}
echo "BNF_KILLS=$kills BNF_KILLS_SEED=${BNF_KILLS_SEED:-$(($$ % 32768))}"

succeed "synth" "$banff" synth shapes --out "$work/d.h5" --train 96 --test 16 --size 8x8
cat >"$work/c.yaml" <<YAML
recipe: lipschitz
run: {folder: $work/run, progress: off, log_every: 10, eval_every: 0, checkpoint_every: 2, keep: 2}
data: {file: $work/d.h5, batch: 32, leaves: 8, flip: true}
train: {epochs: 1000, steps: 300}
optim: {rule: adam, lr: 0.01}
model:
  layers:
    - {type: flatten}
    - {type: dense, out: 16}
    - {type: groupsort2}
    - {type: head, out: 10}
YAML
curves() { sed -E 's/, "(samples_per_second|[a-z]+_seconds)": [^,}]*//g' "$work/run/metrics.jsonl"; }
survivors=()
trap 'for pid in "${survivors[@]}"; do grep -qF "$work" /proc/$pid/cmdline 2>/dev/null && kill -9 $pid; done; rm -rf "$work"' EXIT

succeed "train" launch 1 1 train "$work/c.yaml"
expect=$(weights "$work/run")
curves >"$work/curves"

# killed: starts or goes on with the run, kills something of it after a random time. False if it was done before.
killed() {
    local ranks=$((RANDOM % 4 + 1)) threads=$((RANDOM % 2 + 1)) who=$((RANDOM % 3)) pid child=()
    local after=$((RANDOM % 900)) how=(--resume auto) program=("$banff")
    [ $((RANDOM % 2)) = 0 ] || how+=(--take-over)
    [ $ranks = 1 ] || program=(mpirun -n "$ranks" "$banff")
    OMP_NUM_THREADS=$threads "${program[@]}" train "$work/c.yaml" "${how[@]}" >"$work/out" 2>&1 &
    pid=$!
    # From the moment that it has the folder on: sooner, there is nothing to harm.
    local seen=$generation
    while kill -0 $pid 2>/dev/null; do
        generation=$(find "$work/run/checkpoints/generations" -name '??????' 2>/dev/null | wc -l)
        [ "$generation" -gt "$seen" ] && break
        sleep 0.01
    done
    sleep "$(printf '0.%03d' $after)"
    [ $ranks = 1 ] || mapfile -t child < <(pgrep -P $pid -x banff)
    case $who in
        0) [ $ranks = 1 ] || kill -9 "${child[$((RANDOM % ranks))]:-$pid}" ;;
        1) [ $ranks = 1 ] || kill -9 "${child[@]}" ;;
        2) survivors+=("${child[@]}") ;; # they may live on for a while: their run folder is taken away from them
    esac 2>/dev/null
    if [ $ranks = 1 ] || [ $who = 2 ]; then kill -9 $pid 2>/dev/null; fi
    code=0
    wait $pid 2>/dev/null || code=$?
    [ $code = 0 ] && return 1
    [ $code = 2 ] && wrong "refused"
    return 0
}

count=0 finished=0 refused=0
while [ $count -lt "$kills" ] && [ $failed = 0 ]; do
    rm -rf "$work/run"
    generation=0
    while [ $count -lt "$kills" ] && [ $failed = 0 ] && killed; do
        count=$((count + 1))
        grep -q "is in use" "$work/out" && refused=$((refused + 1))
        [ ! -d "$work/run/checkpoints" ] || "$banff" checkpoint verify "$work/run" >"$work/verify" 2>&1 ||
            grep -q "no checkpoint" "$work/verify" ||
            { cp "$work/verify" "$work/out"; wrong "after kill $count: a damaged checkpoint"; }
    done
    ranks=$((RANDOM % 4 + 1))
    succeed "after kill $count, going on" launch $ranks 1 train "$work/c.yaml" --resume auto --take-over
    [ "$(weights "$work/run")" = "$expect" ] || wrong "after kill $count: weights differ"
    curves | cmp -s - "$work/curves" || wrong "after kill $count: metrics differ"
    finished=$((finished + 1))
done
checks "$count kills in $finished runs, $refused starts refused: weights and metrics as undisturbed"
[ $count -ge "$kills" ] || wrong "only $count kills"
finish
