#!/usr/bin/env bash
# run.profile: traces of every rank are valid, explain the time of a step and change no bit of the result; the table and
# the report tell the same; a recorder that is full says so.
# shellcheck disable=SC1091
. "$2/tests/training.sh"
check=$build/tests/test_check_trace
[ -x "$check" ] || { echo "FAILED: $check was not built, but $banff was"; exit 1; }

data=$work/shapes.h5
succeed "synth" "$banff" synth shapes --out "$data" --train 256 --test 64 --size 32x32 --channels 3 --seed 3
cat >"$work/c.yaml" <<YAML
recipe: lipschitz
seed: 11
run: {progress: off, eval_every: 0, checkpoint_every: 6, folder: $work/run}
data: {file: $data, batch: 64, leaves: 4, normalise: stats, flip: true}
train: {epochs: 4, steps: 12}
optim: {rule: adam, lr: 0.003}
dist: {progress: blocking}
model:
  constraint: none
  layers:
    - {type: conv, out: 32, bias: false}
    - {type: batch_norm}
    - {type: relu}
    - {type: max_pool}
    - {type: conv, out: 32}
    - {type: relu}
    - {type: flatten}
    - {type: dense, out: 10}
loss: {kind: cross_entropy}
YAML

# train RANKS THREADS OPTIONS...: the hash of the weights in $hash
train() {
    local ranks=$1 threads=$2
    shift 2
    succeed "$ranks ranks, $threads threads: $*" launch "$ranks" "$threads" train "$work/c.yaml" --overwrite "$@"
    hash=$(sed -n 's/^weights //p' "$work/out")
    [ ${#hash} = 16 ] || wrong "no weights"
}

says() { # TEXT...
    local text
    for text; do grep -qF -- "$text" "$work/out" || wrong "no '$text' in the output"; done
}

# traces RANKS STEPS: those of the run, and no others; the share that is explained in $covered, of rank 0
traces() {
    local r got
    [ "$(find "$work/run/trace" -type f | wc -l)" = "$1" ] || wrong "not $1 traces"
    for ((r = $1 - 1; r >= 0; r--)); do
        got=$("$check" "$work/run/trace/rank-000$r.json" 2>&1) || wrong "rank $r: $got"
        [[ $got == "steps $2 covered "* ]] || wrong "rank $r: $got, not $2 steps"
        covered=${got#*covered }
        covered=${covered%% *}
    done
}

# A loaded machine may take the processor away anywhere: once in five runs is proof enough.
explained() { # RANKS THREADS
    local try
    for try in 1 2 3 4 5; do
        [ "$covered" -ge 90 ] && return
        [ "$try" = 5 ] && break
        train "$1" "$2" --profile=6
        traces "$1" 6
    done
    wrong "only $covered % of a step are explained, in $try runs"
}

checks "without"
train 1 1
plain=$hash
[ -e "$work/run/trace" ] && wrong "a trace that nobody asked for"
[ -e "$work/run/profile.json" ] && wrong "a profile that nobody asked for"

for ranks in 1 2; do
    checks "$ranks ranks"
    train "$ranks" 1 --profile=6
    [ "$hash" = "$plain" ] || wrong "$ranks ranks: weights $hash, not $plain"
    says "where the step went: 6 steps from step 3 on, rank 0 of $ranks" " GFLOP/s" "conv2d_bwd_weights"
    grep -q "no room" "$work/out" && wrong "$ranks ranks: no room"
    for word in '"cat": "compute"' '"cat": "reduce"' '"cat": "wait"' '"cat": "load"' '"cat": "checkpoint"' '"cat": "update"' \
        '"kernel":' '"leaf":' '"segment":' '"make a batch"'; do
        grep -q "$word" "$work/run/trace/rank-0000.json" || wrong "$ranks ranks: no $word in the trace"
    done
    traces "$ranks" 6
    explained "$ranks" 1
done

checks "threads, the default number of steps, a run that ends before; the report"
train 1 2 --profile
[ "$hash" = "$plain" ] || wrong "2 threads: weights $hash, not $plain"
says "where the step went: 9 steps from step 3 on, rank 0 of 1, main thread of 2"
traces 1 9
grep -q '"write a checkpoint"' "$work/run/trace/rank-0000.json" || wrong "no checkpoint was written in the trace"
succeed "report" "$banff" report "$work/run"
for word in "Where the step went" "conv2d_bwd_weights" "GFLOP/s"; do
    grep -q "$word" "$work/run/report.html" || wrong "no '$word' in the report"
done

checks "a recorder that is full"
train 1 1 --profile=6 --set run.profile_spans=100
[ "$hash" = "$plain" ] || wrong "a full recorder: weights $hash, not $plain"
says "spans had no room" "raise run.profile_spans"
traces 1 6

checks "a run that fails while it is recorded"
sed '/batch_norm/d; s/rule: adam, lr: 0.003/rule: sgd, lr: 1000000/' "$work/c.yaml" >"$work/fails.yaml"
refuse "fails" "step 6: " "train.nonfinite_limit" -- "$banff" train "$work/fails.yaml" --overwrite --profile=6 \
    --set train.nonfinite=skip --set train.nonfinite_limit=4
[ "$code" = 1 ] || wrong "exit code $code"

checks "a profile that is damaged, a run too short, a number that is none"
printf '{"steps": 3}\n' >"$work/run/profile.json"
refuse "damaged" "profile.json" "first" -- "$banff" report "$work/run"
train 1 1 --profile=6 --set train.steps=2
says "nothing was profiled"
[ -e "$work/run/profile.json" ] && wrong "an earlier run's profile was left"
refuse "number" "run.profile" -- "$banff" train "$work/c.yaml" --overwrite --profile=few
finish
