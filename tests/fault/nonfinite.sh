#!/usr/bin/env bash
# A training that blows up: by default every rank stops with the number of the step, what was not finite, and which
# checkpoint stands; eager mode names the operation; with train.nonfinite: skip such updates are left out and counted,
# the same on any number of ranks.
# shellcheck disable=SC1091
. "$2/tests/training.sh"

succeed "synth" "$banff" synth shapes --out "$work/d.h5" --train 64 --test 16 --size 8x8
cat >"$work/c.yaml" <<YAML
recipe: lipschitz
run: {folder: $work/run, progress: off, log_every: 1, checkpoint_every: 1, keep: 20, eval_every: 0}
data: {file: $work/d.h5, batch: 16, leaves: 4}
train: {epochs: 2}
optim: {rule: sgd, lr: 1000000, momentum: 0}
model:
  constraint: none
  layers:
    - {type: flatten}
    - {type: dense, out: 16}
    - {type: batch_norm}
    - {type: dense, out: 16}
    - {type: dense, out: 16}
    - {type: dense, out: 16}
    - {type: dense, out: 10}
loss: {kind: hkr_soft}
YAML
train=(train "$work/c.yaml")

checks "by default it stops: step, what, last checkpoint, on every rank; the checkpoints before it stand"
every_rank "stop" 2 "step 2: " "is not finite" "train.nonfinite" "the last checkpoint is of step 2" -- "${train[@]}"
[ "$code" = 1 ] || wrong "exit code $code"
succeed "eval of what stands" launch 1 1 eval "$work/run/checkpoints/ckpt-000000000002.h5"
checks "eager mode names the operation and the leaf"
rm -rf "$work/run"
BNF_EAGER=1 every_rank "eager" 3 "node " "not finite on leaf" "step 2" -- "${train[@]}"
checks "skip: the run ends well, says how many updates are missing, and can be resumed and evaluated"
rm -rf "$work/run"
succeed "skip" with_leaks launch 2 1 "${train[@]}" --set train.nonfinite=skip
grep -qF "not finite: 6" "$work/out" || wrong "6 of 8 updates should be missing"
expect=$(weights "$work/run")
succeed "eval" launch 1 1 eval "$work/run"
checks "skip, interrupted and on another number of ranks: the same weights, the same count"
rm "$work"/run/checkpoints/ckpt-00000000000[4-8].h5
succeed "resume" launch 3 1 "${train[@]}" --set train.nonfinite=skip --resume auto
grep -qF "not finite: 6" "$work/out" || wrong "6 of 8 updates should be missing"
[ "$(weights "$work/run")" = "$expect" ] || wrong "weights differ"
checks "a bound on updates left out in a row: stops where it is passed, also when the count was carried by a checkpoint"
rm -rf "$work/run"
bound=("${train[@]}" --set train.nonfinite=skip --set train.nonfinite_limit=3)
refuse "bound" "as in the 3 steps before it" "train.nonfinite_limit" -- launch 2 1 "${bound[@]}"
stopped_at=$(sed -n 's/.*step \([0-9]*\): .* is not finite, as.*/\1/p' "$work/out" | head -n 1)
rm -rf "$work/run"
refuse "bound, stopped after $((stopped_at - 1)) steps" "stopped for the time limit after step 1;" -- \
    launch 1 1 "${bound[@]}" --time-limit 0
for ((step = 2; step < stopped_at; step++)); do
    refuse "bound, step $step" "after step $step;" -- launch 1 1 "${bound[@]}" --time-limit 0 --resume auto
done
refuse "bound, resumed" "step $stopped_at: " "train.nonfinite_limit" -- launch 1 1 "${bound[@]}" --resume auto
finish
