#!/usr/bin/env bash
# train.precision: bf16. The weights differ from those of f32, but are the same for any number of ranks and threads and
# operation by operation; the network learns as much; evaluation is in f32. Without AVX512_BF16 it is refused.
# shellcheck disable=SC1091,SC2154
. "$2/tests/training.sh"

data=$work/shapes.h5
succeed "synth" "$banff" synth shapes --out "$data" --train 1500 --test 500 --size 16x16 --channels 3 --seed 3
cat >"$work/config.yaml" <<YAML
recipe: lipschitz
seed: 11
run: {progress: off}
data: {file: $data, batch: 48, leaves: 8, normalise: stats, flip: true, pad_crop: 2}
train: {epochs: 12}
optim: {rule: adam, schedule: cosine, lr: 0.003, min_lr: 0.0001, clip_norm: 1.0}
model:
  constraint: none
  layers:
    - {type: conv, out: 12, bias: false}
    - {type: batch_norm}
    - {type: relu}
    - {type: max_pool}
    - {type: conv, out: 16, groups: 4}
    - {type: groupsort2}
    - {type: l2_pool}
    - {type: conv, out: 16, bias: false}
    - {type: batch_norm}
    - {type: leaky_relu}
    - {type: dropout, rate: 0.1}
    - {type: avg_pool}
    - {type: flatten}
    - {type: dense, out: 24}
    - {type: tanh}
    - {type: dense, out: 10}
loss: {kind: cross_entropy, smoothing: 0.1}
YAML

# run PRECISION RANKS THREADS OPTIONS...: trains into $work/run
run() {
    local precision=$1 ranks=$2 threads=$3
    shift 3
    rm -rf "$work/run"
    launch "$ranks" "$threads" train "$work/config.yaml" --set run.folder="$work/run" \
        --set train.precision="$precision" "$@"
}

# same WHAT: the weights of $work/run are $bf16, which is set to them first
same() {
    local got
    got=$(weights "$work/run")
    [ -n "$got" ] || wrong "bf16, $1: no weights"
    [ "${bf16:=$got}" = "$got" ] || wrong "bf16, $1: weights $got, expected $bf16"
}

# accuracy: the last test accuracy of $work/run
accuracy() {
    printf '%.4f' "$(grep '"kind": "test"' "$work/run/metrics.jsonl" | tail -n 1 | sed 's/.*"accuracy": \([0-9.]*\).*/\1/')"
}

checks "an unknown precision"
refuse "fp16" "train.precision" f32 bf16 -- run fp16 1 1
if ! grep -qw avx512_bf16 /proc/cpuinfo; then
    checks "no AVX512_BF16 here: bf16 is refused (what it computes is not checked)"
    refuse "bf16 on two ranks" "train.precision" AVX512_BF16 f32 -- run bf16 2 1 --set train.steps=2
    finish
fi

few=(--set train.steps=9)
for layout in 1x1 1x2 2x1 3x1 4x1; do
    checks "bf16: $layout (ranks x threads)"
    succeed "bf16, $layout" run bf16 "${layout%x*}" "${layout#*x}" "${few[@]}"
    same "$layout"
done
checks "bf16: operation by operation; activations computed again; backward pass cut"
BNF_EAGER=1 succeed "bf16, eager" run bf16 2 1 "${few[@]}"
same eager
succeed "bf16, recompute" run bf16 1 2 "${few[@]}" --set run.recompute=elementwise
same "recompute: elementwise"
succeed "bf16, cut" run bf16 2 1 "${few[@]}" --set dist.progress=poll --set dist.cuts=2
same "cut twice"
checks "bf16: a 1-Lipschitz residual network, and one whose images shrink to a point"
for network in "resnet20 spectral 0.25" "resnet18 none 0.125"; do
    read -r name constraint width <<<"$network"
    sed '/^  constraint/,$d' "$work/config.yaml" >"$work/$name.yaml"
    printf '  {constraint: %s, network: %s, width: %s}\nloss: {kind: cross_entropy}\n' "$constraint" "$name" "$width" \
        >>"$work/$name.yaml"
    expect=
    for layout in 1x1 3x1; do
        rm -rf "$work/run"
        succeed "bf16, $name, $layout" launch "${layout%x*}" "${layout#*x}" train "$work/$name.yaml" \
            --set run.folder="$work/run" --set train.precision=bf16 --set train.steps=4
        got=$(weights "$work/run")
        [ "${expect:=$got}" = "$got" ] || wrong "bf16, $name, $layout: weights $got, expected $expect"
    done
done
checks "f32: other weights"
succeed "f32" run f32 1 2 "${few[@]}"
[ "$bf16" != "$(weights "$work/run")" ] || wrong "bf16 and f32 give the same weights"

checks "bf16 learns what f32 learns, and is evaluated in f32"
succeed "f32, to the end" run f32 1 2
full=$(accuracy)
succeed "bf16, to the end" run bf16 1 2
half=$(accuracy)
succeed "eval" "$banff" eval "$work/run"
grep -qF "accuracy $half" "$work/out" || wrong "eval does not say the accuracy that training ended with, $half"
# Both are near 0.95 of 500 pictures: the standard error of a difference is 0.014, and three of them are allowed.
awk -v a="$full" -v b="$half" 'BEGIN { exit !(a > 0.85 && b > a - 0.042) }' || wrong "accuracy $full in f32, $half in bf16"
echo "test accuracy: $full in f32, $half in bf16"
finish
