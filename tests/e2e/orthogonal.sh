#!/usr/bin/env bash
# model.constraint: orthogonal, whose raw weights have another shape than the effective ones: the same bits on 1 to 3
# ranks, through a checkpoint and a resume, and through --raw and --weights; certified; refused where it is impossible.
# Usage: orthogonal.sh BUILD SOURCE
. "$(dirname "$0")/../training.sh"

cat >"$work/config.yaml" <<END
recipe: lipschitz
data: {file: $work/shapes.h5, batch: 32, leaves: 4}
run: {folder: $work/run}
train: {epochs: 2, steps: 8, shared_above: 20}
optim: {rule: adam, lr: 0.01}
model:
  constraint: orthogonal
  layers:
    - {type: conv, out: 6}
    - {type: groupsort2}
    - {type: conv, out: 8, stride: 2}
    - {type: groupsort2}
    - {type: dense, out: 8}
    - {type: head, out: 10, bias: false}
END
run=$work/run
hash() { sed -n 's/^weights //p' "$work/out"; }
succeed synth "$banff" synth shapes --out "$work/shapes.h5" --train 128 --test 32 --size 8x10

checks "ranks"
for n in 1 2 3; do
    succeed "train on $n ranks" launch $n 1 train "$work/config.yaml" --overwrite
    [ "$n" = 1 ] && plain=$(hash)
    [ -n "$plain" ] && [ "$(hash)" = "$plain" ] || wrong "$n ranks: other weights"
done
succeed "export" "$banff" export "$run" --out "$work/effective.npz"

checks "resume"
succeed "checkpoints" launch 2 1 train "$work/config.yaml" --overwrite --set run.checkpoint_every=5 --set run.keep=9
succeed "on from step 5" launch 3 1 train "$work/config.yaml" --resume "$(checkpoint "$run" 5)" --set run.folder="$work/on"
[ "$(hash)" = "$plain" ] || wrong "resumed: other weights"

checks "raw weights"
succeed "raw" "$banff" export "$run" --raw --out "$work/raw.npz"
succeed "raw again" "$banff" export "$work/config.yaml" --initial --set train.weights="$work/raw.npz" --out "$work/again.npz"
cmp "$work/raw.npz" "$work/again.npz" >"$work/out" 2>&1 || wrong "raw weights differ after a round trip"
succeed "initial" "$banff" export "$work/config.yaml" --initial --out "$work/start.safetensors"
succeed "train from them" launch 2 1 train "$work/config.yaml" --overwrite --weights "$work/start.safetensors"
[ "$(hash)" = "$plain" ] || wrong "other weights from the file of initial weights"
refuse "effective weights as start weights" "'conv1.weight' has the shape [6, 1, 3, 3], the network's raw weight is" -- \
    launch 2 1 train "$work/config.yaml" --overwrite --weights "$work/effective.npz"

checks "certificate"
succeed "certify" launch 2 1 certify "$run"
grep -q '"by": "shifts"' "$run/certificate.json" || wrong "an orthogonal kernel is not seen to be one"
awk '/"lipschitz_features"/ { exit !($2 + 0 > 0.99 && $2 + 0 < 1.001) }' "$run/certificate.json" || wrong "the constant of the features"
succeed "attack" launch 1 2 attack "$run" --option samples=16 --option steps=5 --option restarts=1 --option factors= --option radii=1

checks "what is said"
succeed "plan" "$banff" plan "$work/config.yaml"
for text in "orthogonal" "raw weight " "effective ones"; do
    grep -qF "$text" "$work/out" || wrong "plan: no '$text'"
done
succeed "inspect" "$banff" inspect "$(checkpoint "$run" 8)"
grep -q "owner/conv1.weight/raw" "$work/out" || wrong "inspect: no raw weight"
refuse "a kernel smaller than the stride" "kernel of 1 is not possible at stride 2" "conv1" -- "$banff" plan "$work/config.yaml" \
    --set 'model.layers=[{type: conv, out: 4, kernel: 1, stride: 2}, {type: head, out: 10}]'
finish
