#!/usr/bin/env bash
# Sparse sets whose first convolution computes active cells alone: who decides, that weights are the same on any number of
# ranks and after a run is resumed, and that sets stored as all cells keep their bits.
# shellcheck disable=SC1091
. "$2/tests/training.sh"

succeed "synth, sparse" launch 1 1 synth showers --out "$work/sparse.h5" --train 24 --test 8 --signal suep400 --test-signal 4
succeed "synth, dense" launch 1 1 synth showers --out "$work/dense.h5" --store dense --train 24 --test 8 --signal suep400 --test-signal 4

cat >"$work/config.yaml" <<END
recipe: dark_showers
seed: 5
run: {folder: $work/run, watchdog: 60, checkpoint_every: 1, eval_every: 0}
data: {file: $work/sparse.h5, batch: 4, leaves: 4}
train: {epochs: 1, steps: 2}
model: {filters: [32, 4], aux_filters: [32, 4], latent: 4, groups: 1, aux_groups: 1}
END

# run NAME RANKS THREADS [KEY=VALUE...]: into the folder NAME
run() {
    local name=$1 ranks=$2 threads=$3 sets=() s
    for s in "run.folder=$work/$name" "${@:4}"; do sets+=(--set "$s"); done
    succeed "train $name" launch "$ranks" "$threads" train "$work/config.yaml" "${sets[@]}"
}

# chosen NAME TEXT: what the run says it has chosen
chosen() { grep -qF "of the images' cells are active; the first convolution computes $2" "$work/$1/log.txt" || wrong "$1: the log does not say '$2'"; }

checks "the set decides, and plans and logs say so"
succeed "plan" launch 1 1 plan "$work/config.yaml"
grep -q "% of the images' cells are active; the first convolution computes those alone" "$work/out" || wrong "plan: nothing about active cells"
succeed "plan, dense" launch 1 1 plan "$work/config.yaml" --set "data.file=$work/dense.h5"
grep -q "cells are active" "$work/out" && wrong "plan: active cells of a dense set"
succeed "plan, zeros move" launch 1 1 plan "$work/config.yaml" --set data.normalise=affine --set data.shift=-0.5
grep -q "cells are active" "$work/out" && wrong "plan: active cells where zeros do not stay zero"

checks "the same weights on 1 to 4 ranks; other bits, and no others, if forced"
run one 1 1
chosen one "those alone"
w=$(weights "$work/one")
for ranks in 2 3 4; do
    run "ranks$ranks" $ranks 1
    [ "$(weights "$work/ranks$ranks")" = "$w" ] || wrong "$ranks ranks: other weights than one rank"
done
run on 1 2 train.sparse_input=on
[ "$(weights "$work/on")" = "$w" ] || wrong "on, 2 threads: other weights than auto"
run off 2 1 train.sparse_input=off
chosen off all
[ "$(weights "$work/off")" != "$w" ] || wrong "off: the same bits as active cells alone"

checks "a set stored as all cells has the bits of off"
run dense 1 2 "data.file=$work/dense.h5"
[ "$(weights "$work/dense")" = "$(weights "$work/off")" ] || wrong "dense: other weights than off"

checks "a resumed run chooses the same, and only the same"
cp -r "$work/one" "$work/parts"
rm "$(checkpoint "$work/parts" 2)"
again=(train "$work/config.yaml" --resume auto --set "run.folder=$work/parts")
refuse "resumed with another choice" "sparse_input: auto" "sparse_input: off" -- launch 1 1 "${again[@]}" --set train.sparse_input=off
succeed "resume" launch 1 2 "${again[@]}"
[ "$(weights "$work/parts")" = "$w" ] || wrong "resumed: other weights"

checks "what cannot be"
refuse "bf16" "train.sparse_input" "bf16" -- launch 1 1 plan "$work/config.yaml" --set train.sparse_input=on --set train.precision=bf16
refuse "unknown" "sparse_input" "auto, on, off" -- launch 1 1 plan "$work/config.yaml" --set train.sparse_input=maybe

finish
