#!/usr/bin/env bash
# Planned memory: what `banff plan` says and what training reports are one figure, within 10 % of what the system
# counted; run.recompute saves as planned and changes no bit. banff bench --ops sets operations against their bounds.
# shellcheck disable=SC1091,SC2154
. "$2/tests/training.sh"

data=$work/shapes.h5
succeed "synth" "$banff" synth shapes --out "$data" --train 64 --test 0 --size 48x48 --channels 3
cat >"$work/config.yaml" <<YAML
recipe: lipschitz
seed: 3
run: {progress: off, threads: 2}
data: {file: $data, batch: 32, leaves: 4, prefetch: 1}
train: {steps: 2}
optim: {rule: sgd, lr: 0.01, momentum: 0.9}
loss: {kind: cross_entropy}
model: {constraint: none, network: resnet50}
YAML

# train MODE: sets planned, peak (MiB) and hash.
train() {
    succeed "train, recompute $1" "$banff" train "$work/config.yaml" --set "run.recompute=$1" --set "run.folder=$work/$1"
    read -r planned peak < <(sed -n 's/^memory of rank 0: \([0-9]*\) MiB planned, \([0-9]*\) MiB at most$/\1 \2/p' "$work/out")
    hash=$(sed -n 's/^weights //p' "$work/out")
    [[ $planned -gt 300 && $peak -gt 300 && $hash ]] || wrong "no memory in the summary: $(cat "$work/out")"
    local off=$((planned > peak ? planned - peak : peak - planned))
    [[ $((10 * off)) -le $peak ]] || wrong "recompute $1: planned $planned MiB, but the system counted $peak"
}

train never
never=$planned never_hash=$hash
succeed "plan" "$banff" plan "$work/config.yaml" --set run.recompute=never
together=$(sed -n 's/^together *\([0-9]*\)\..*/\1/p' "$work/out")
[[ $((100 * (together > never ? together - never : never - together))) -le $((3 * never)) ]] ||
    wrong "banff plan says $together MiB, training $never"
succeed "plan" "$banff" plan "$work/config.yaml" --set run.recompute=elementwise
elementwise=$(sed -n 's/^together *\([0-9]*\)\..*/\1/p' "$work/out")
train blocks
[[ $hash == "$never_hash" ]] || wrong "recompute: blocks changed the weights"
[[ $elementwise -lt $together && $planned -lt $never ]] || # of two plans, and of two trainings
    wrong "no memory saved: $together, $elementwise; $never, $planned"

succeed "bench --ops" "$banff" bench "$work/config.yaml" --steps 1 --ops --set run.folder="$work/bench"
grep -q "^conv2d " "$work/out" || wrong "no convolution in the table"
grep -q 'between convolutions and dense layers' "$work/out" || wrong "no summary of the table"
grep -q '"ops":\[{"op":"conv2d' "$work/out" || wrong "no operations in the JSON"
finish
