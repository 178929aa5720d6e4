#!/usr/bin/env bash
# Weights that all ranks own together (train.shared_above): a network whose dense layers are above the threshold gives
# the same weights on any number of ranks and threads and when it goes on from a checkpoint on others; its certificates
# are the same bytes on any number of ranks, and within 1e-6 of those that each rank finds alone.
# shellcheck disable=SC1091
. "$2/tests/training.sh"

data=$work/shapes.h5
succeed "synth" "$banff" synth shapes --out "$data" --train 200 --test 40 --size 8x8 --channels 3 --seed 3
cat >"$work/job.yaml" <<YAML
recipe: lipschitz
seed: 11
run: {progress: off, checkpoint_every: 3, keep: 9, eval_every: 0}
data: {file: $data, batch: 48, leaves: 8}
train: {epochs: 20, steps: 6, shared_above: 4000}
optim: {rule: adam, lr: 0.003, clip_norm: 1.0}
model:
  constraint: bjorck
  layers:
    - {type: flatten}
    - {type: dense, out: 140}
    - {type: groupsort2}
    - {type: dense, out: 40}
    - {type: groupsort2}
    - {type: head, out: 10}
loss: {kind: hkr_soft, alpha: 20, min_margin: 0.5, temperature: 5}
YAML

checks "the same weights on any number of ranks"
expect=
runs=("1 1" "2 2" "3 1" "4 1")
thorough || runs=("1 1" "2 2")
for on in "${runs[@]}"; do
    # shellcheck disable=SC2086
    succeed "train on $on" launch $on train "$work/job.yaml" --set run.folder="$work/on${on% *}"
    got=$(weights "$work/on${on% *}")
    [ -n "$expect" ] || expect=$got
    [ "${got:-none}" = "$expect" ] || wrong "on $on (ranks, threads): weights $got, expected $expect"
done

checks "the same weights when a run goes on, on other ranks"
first=$(find "$work/on2/checkpoints" -mindepth 1 -maxdepth 1 | sort | head -1)
succeed "resume" launch 3 1 train "$work/job.yaml" --resume "$first" --set run.folder="$work/on2"
got=$(weights "$work/on2")
[ "$got" = "$expect" ] || wrong "resumed: weights $got, expected $expect"

checks "another threshold is another configuration"
refuse "resuming with another threshold" shared_above -- launch 2 1 train "$work/job.yaml" --resume auto \
    --set run.folder="$work/on2" --set train.shared_above=0

checks "certificates"
for n in 1 4; do
    succeed "certify on $n ranks" launch $n 1 certify "$work/on1"
    cp "$work/on1/certificate.json" "$work/together-$n.json"
    cmp -s "$work/together-1.json" "$work/together-$n.json" || wrong "certificates on 1 and $n ranks differ"
done
sed -i 's/shared_above: 4000/shared_above: 0/' "$work/on1/config.yaml"
succeed "certify alone" launch 1 1 certify "$work/on1"
numbers() { sed -n 's/.*"\(bound\|lipschitz_[a-z]*\)": \([0-9.e+-]*\).*/\1 \2/p' "$1"; }
numbers "$work/on1/certificate.json" >"$work/alone"
numbers "$work/together-1.json" >"$work/together"
cmp -s "$work/alone" "$work/together" && wrong "the threshold has changed nothing"
paste -d ' ' "$work/alone" "$work/together" | awk '
    { n++; if (!($4 >= $2 * (1 - 1e-6) && $4 <= $2 * (1 + 1e-6))) bad = 1 }
    END { exit bad || n < 4 }' || wrong "bounds found together: $(cat "$work/together")" "alone: $(cat "$work/alone")"

finish
