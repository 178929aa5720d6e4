#!/usr/bin/env bash
# The promise: the weights after 100 steps are a function of configuration, seed and data. Not of how many ranks and
# threads computed them, of how batches were read ahead, of how often checkpoints were written, nor of kill -9 and going
# on with other ranks and threads.
# shellcheck disable=SC1091
. "$2/tests/training.sh"

steps=100
thorough || steps=21
data=$work/shapes.h5

# 400 samples in batches of 48: the last batch of an epoch has 16, so some leaves are partly or wholly padding.
succeed "synth" "$banff" synth shapes --out "$data" --train 400 --test 100 --size 16x16 --channels 3 --seed 3

write_config() { # NAME MODEL-AND-LOSS
    cat >"$work/$1.yaml" <<YAML
recipe: lipschitz
seed: 11
run: {progress: off, log_every: 5, checkpoint_every: 0, eval_every: 2}
data: {file: $data, batch: 48, leaves: 8, normalise: stats, flip: true, pad_crop: 2}
train: {epochs: 20, steps: $steps}
optim: {rule: adam, schedule: cosine, lr: 0.003, min_lr: 0.0001, clip_norm: 1.0}
$2
YAML
}

write_config lipschitz "model:
  constraint: bjorck
  layers:
    - {type: conv, out: 8}
    - {type: groupsort2}
    - {type: l2_pool}
    - {type: conv, out: 12}
    - {type: groupsort2}
    - {type: scaled_avg_pool}
    - {type: flatten}
    - {type: dense, out: 32}
    - {type: fullsort}
    - {type: head, out: 10, bias: false}
loss: {kind: hkr_soft, alpha: 20, min_margin: 0.5, temperature: 5}"
write_config ordinary "model:
  constraint: none
  layers:
    - {type: conv, out: 12, bias: false}
    - {type: batch_norm}
    - {type: relu}
    - {type: max_pool}
    - {type: conv, out: 16, groups: 4, bias: false}
    - {type: batch_norm}
    - {type: leaky_relu}
    - {type: dropout, rate: 0.2}
    - {type: avg_pool}
    - {type: flatten}
    - {type: dense, out: 24}
    - {type: relu}
    - {type: dropout, rate: 0.1}
    - {type: dense, out: 10}
loss: {kind: cross_entropy, smoothing: 0.1}"

# Metrics without what a clock has measured.
curves() {
    sed -E 's/, "(samples_per_second|[a-z]+_seconds)": [^,}]*//g' "$1/metrics.jsonl"
}

# same NAME FOLDER WHAT: weights and metrics are those of the first run
same() {
    local got
    got=$(weights "$2")
    [ -n "${expect[$1]}" ] && [ "$got" = "${expect[$1]}" ] || wrong "$1, $3: weights $got, expected ${expect[$1]}"
    curves "$2" | cmp -s - "$work/$1.curves" || {
        wrong "$1, $3: metrics differ"
        curves "$2" | diff "$work/$1.curves" - | head -8
    }
}

# trained NAME RANKS THREADS WHAT OPTIONS...
trained() {
    local name=$1 ranks=$2 threads=$3 what=$4
    shift 4
    rm -rf "$work/run"
    succeed "$name, $what" launch "$ranks" "$threads" train "$work/$name.yaml" --set run.folder="$work/run" "$@"
    same "$name" "$work/run" "$what"
}

# killed NAME RANKS THREADS STEP WHO: kill -9 of one rank or all as soon as the checkpoint of STEP is there
killed() {
    local name=$1 ranks=$2 threads=$3 who=$5 file pid pids try
    file=$(printf '%s/run/checkpoints/ckpt-%012d.h5' "$work" "$4")
    for try in 1 2 3; do
        rm -rf "$work/run"
        if [ "$ranks" = 1 ]; then
            OMP_NUM_THREADS=$threads "$banff" train "$work/$name.yaml" "${every_seven[@]}" >"$work/out" 2>&1 &
        else
            OMP_NUM_THREADS=$threads mpirun -n "$ranks" "$banff" train "$work/$name.yaml" "${every_seven[@]}" \
                >"$work/out" 2>&1 &
        fi
        pid=$!
        until [ -e "$file" ] || ! kill -0 $pid 2>/dev/null; do sleep 0.005; done
        pids=$pid
        if [ "$ranks" != 1 ]; then
            pids=$(pgrep -P $pid -x banff)
            [ "$who" = one ] && pids=$(echo "$pids" | tail -n 1)
        fi
        # shellcheck disable=SC2086
        kill -9 $pids 2>/dev/null
        wait $pid 2>/dev/null && continue # it was done before the signal came
        [ -e "$(printf '%s/run/checkpoints/ckpt-%012d.h5' "$work" "$steps")" ] || return 0
    done
    wrong "$name: three runs could not be killed in time (try $try)"
}

declare -A expect
for name in lipschitz ordinary; do
    every_seven=(--set run.folder="$work/run" --set run.checkpoint_every=7 --set run.keep=2)
    checks "$name: the first run, one rank with one thread"
    succeed "$name" with_leaks launch 1 1 train "$work/$name.yaml" --set run.folder="$work/$name"
    expect[$name]=$(weights "$work/$name")
    curves "$work/$name" >"$work/$name.curves"
    grep -c '"kind": "train"' "$work/$name.curves" | grep -qx $(((steps + 4) / 5)) ||
        wrong "$name: not one line for every 5 steps"

    layouts="1x2 2x1 3x1 4x1 2x2 5x1"
    thorough || layouts="1x2 2x2"
    for layout in $layouts; do
        checks "$name: $layout (ranks x threads)"
        trained $name "${layout%x*}" "${layout#*x}" "$layout"
    done
    checks "$name: nothing read ahead; a lot read ahead; a checkpoint every 7 steps"
    trained $name 2 1 "prefetch 0" --set data.prefetch=0
    thorough && trained $name 1 2 "prefetch 7" --set data.prefetch=7
    trained $name 2 1 "checkpoint every 7" --set run.checkpoint_every=7
    checks "$name: every way for gradients to travel (the runs above try them all in their first steps)"
    trained $name 3 1 "poll, cut twice" --set dist.progress=poll --set dist.cuts=2 --set dist.bucket=4096
    trained $name 2 2 "thread, halving" --set dist.progress=thread --set dist.cuts=1 --set dist.algorithm=halving
    thorough && trained $name 4 1 "blocking, cut once" --set dist.progress=blocking --set dist.cuts=1 \
        --set dist.bucket=64 --set dist.algorithm=direct
    checks "$name: operation by operation (BNF_EAGER=1)"
    BNF_EAGER=1 trained $name 2 2 "eager"

    checks "$name: kill -9 of one of two ranks after step 14, on three ranks from there"
    killed $name 2 1 14 one
    trained_on=$work/run
    succeed "$name, resume" launch 3 1 train "$work/$name.yaml" --resume auto "${every_seven[@]}"
    same $name "$trained_on" "after kill -9 of one rank"
    if thorough; then
        checks "$name: kill -9 of all of four ranks after step 49, then one rank with three threads"
        killed $name 4 1 49 all
        succeed "$name, resume" launch 1 3 train "$work/$name.yaml" --resume auto "${every_seven[@]}"
        same $name "$trained_on" "after kill -9 of all"
        checks "$name: kill -9 after step 21 and again after step 70, on changing numbers of ranks"
        killed $name 1 2 21 all
        OMP_NUM_THREADS=1 mpirun -n 5 "$banff" train "$work/$name.yaml" --resume auto "${every_seven[@]}" \
            >"$work/out" 2>&1 &
        pid=$!
        file=$(printf '%s/run/checkpoints/ckpt-%012d.h5' "$work" 70)
        until [ -e "$file" ] || ! kill -0 $pid 2>/dev/null; do sleep 0.005; done
        # shellcheck disable=SC2046
        kill -9 $(pgrep -P $pid -x banff) 2>/dev/null
        wait $pid 2>/dev/null
        succeed "$name, resume" launch 2 2 train "$work/$name.yaml" --resume auto "${every_seven[@]}"
        same $name "$trained_on" "after two kills"
    fi
    checks "$name: resuming a finished run changes nothing"
    succeed "$name, resume" launch 2 1 train "$work/$name.yaml" --resume auto "${every_seven[@]}"
    same $name "$trained_on" "resumed at its end"
done
checks "gradients in bfloat16: other weights, but the same for any number of ranks and threads"
for layout in 1x1 2x2 3x1; do
    rm -rf "$work/run"
    succeed "bf16, $layout" launch "${layout%x*}" "${layout#*x}" train "$work/ordinary.yaml" --set run.folder="$work/run" \
        --set train.gradient_wire=bf16 --set train.steps=12
    got=$(weights "$work/run")
    [ "${bf16:=$got}" = "$got" ] || wrong "bf16, $layout: weights $got, expected $bf16"
done
succeed "f32, 12 steps" launch 2 1 train "$work/ordinary.yaml" --set run.folder="$work/f32" --set train.steps=12
[ "$bf16" != "$(weights "$work/f32")" ] || wrong "bf16 and f32 give the same weights"
refuse "resuming with another wire" gradient_wire -- launch 2 1 train "$work/ordinary.yaml" --resume auto \
    --set run.folder="$work/f32" --set train.steps=12 --set train.gradient_wire=bf16
[ "${expect[lipschitz]}" != "${expect[ordinary]}" ] || wrong "the two networks have the same weights: the hash is none"
finish
