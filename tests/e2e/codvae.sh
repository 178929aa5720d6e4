#!/usr/bin/env bash
# The categorical variational form of recipe dark_showers, with the optimiser and the augmentation of its paper
# (uncoupled decay, clipping of every parameter by itself, rolled rows): weights and evaluation are the same on any
# number of ranks, when a run goes on elsewhere, too, and each of the settings counts.
# shellcheck disable=SC1091
. "$2/tests/training.sh"

data=$work/sectors.h5
succeed "synth" "$banff" synth showers --sectors \
    --train 11 --test 3 --test-signal 1 --signal suep200 --seed 1 --out "$data"
cat >"$work/c.yaml" <<YAML
recipe: dark_showers
seed: 7
run: {progress: off, checkpoint_every: 2, keep: 9, eval_every: 0}
data: {file: $data, batch: 12, leaves: 6, normalise: unit, roll: 5}
train: {epochs: 1, shared_above: 1000}
optim: {rule: adamw, lr: 0.002, schedule: cosine, decay: uncoupled, weight_decay: 1e-3, clip_variable: 0.5}
model: {kind: codvae, filters: [8, 8, 8], aux_filters: [4, 4, 4], latent: 6, groups: 1, aux_groups: 1, draws: 2}
YAML

# run FOLDER RANKS OPTIONS...: trains; the hash of the weights in $hash
run() {
    local folder=$1 ranks=$2
    shift 2
    succeed "$folder, $ranks ranks: $*" launch "$ranks" 1 train "$work/c.yaml" --set run.folder="$work/$folder" "$@"
    hash=$(sed -n 's/^weights //p' "$work/out")
    [ ${#hash} = 16 ] || wrong "$folder: no weights"
}

checks "the same weights on any number of ranks, in files and in memory, while gradients travel, too"
run on1 1
expect=$hash
others=("2 file thread" "3 memory blocking" "4 memory poll")
for on in "${others[@]}"; do
    read -r ranks store progress <<<"$on"
    run "on$ranks" "$ranks" --set data.store="$store" --set dist.progress="$progress"
    [ "$hash" = "$expect" ] || wrong "$on: weights $hash, not $expect"
done

checks "the same evaluation, whose draws are of the sample alone"
succeed "eval" launch 1 1 eval "$work/on1"
loss=$(sed -n 's/.*loss \([0-9.]*\) .*/\1/p' "$work/out")
succeed "eval on 3" launch 3 1 eval "$work/on1"
[ -n "$loss" ] || wrong "no loss"
grep -qF "loss $loss (" "$work/out" || wrong "not the loss of one rank, $loss"

checks "the same weights when a run goes on, on other ranks; not with other settings"
succeed "resume" launch 2 1 train "$work/c.yaml" --set run.folder="$work/on3" --resume "$(checkpoint "$work/on3" 2)"
hash=$(sed -n 's/^weights //p' "$work/out")
[ "$hash" = "$expect" ] || wrong "resumed: weights $hash, not $expect"
others=(data.roll=4 optim.decay=coupled optim.clip_variable=0)
for other in "${others[@]}"; do
    key=${other%=*}
    refuse "resume with $other" "another configuration" " ${key#*.}: ${other#*=}" -- launch 1 1 train \
        "$work/c.yaml" --set run.folder="$work/on1" --resume auto --set "$other"
done

checks "each setting counts; bf16 on the wire has bits of its own, on any number of ranks the same"
for other in "${others[@]}" train.gradient_wire=bf16; do
    run "${other%=*}" 1 --set "$other"
    [ "$hash" != "$expect" ] || wrong "$other: the same weights"
done
other=$hash
run bf16 3 --set train.gradient_wire=bf16
[ "$hash" = "$other" ] || wrong "bf16 on 3 ranks: weights $hash, not $other"

checks "what does not fit is refused"
refuse "roll and flip" "data.roll and data.flip" -- launch 1 1 train "$work/c.yaml" --set run.folder="$work/bad" \
    --set data.flip=true
every_rank "rolls of the height" 2 "data.roll" "36" -- \
    train "$work/c.yaml" --set run.folder="$work/bad" --set data.roll=6
finish
