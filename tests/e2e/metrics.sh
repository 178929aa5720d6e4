#!/usr/bin/env bash
# banff explain --metrics on a small trained network: the same bytes on 1, 2 and 3 ranks and with 2 threads, also with
# fewer samples than ranks; figures within their ranges, with human maps; what is wrong is refused by name on every rank.
# Usage: metrics.sh BUILD SOURCE
# shellcheck source=tests/training.sh
source "$2/tests/training.sh"
run=$work/run
json=$run/explain/metrics.json

cat >"$work/config.yaml" <<END
recipe: lipschitz
seed: 3
run: {folder: $run}
data: {file: $work/shapes.h5, batch: 64, leaves: 8}
train: {epochs: 2}
optim: {rule: adam, lr: 0.004}
model:
  layers:
    - {type: conv, out: 8, stride: 2}
    - {type: groupsort2}
    - {type: l2_pool}
    - {type: flatten}
    - {type: head, out: 10}
loss: {kind: hkr_soft, alpha: 50, min_margin: 0.2, temperature: 10}
END
succeed "synth" "$banff" synth shapes --out "$work/shapes.h5" --train 640 --test 40 --size 12 --noise 10
succeed "train" launch 1 2 train "$work/config.yaml"
[ $failed = 0 ] || finish

few=(--option samples=1 --option draws=3 --option steps=4 --option masks=24 --option noises=3 --option attack_steps=10)
explain() { launch "$1" "$2" explain "$run" --method saliency,smoothgrad,integrated "${few[@]}" "${@:3}"; }
# value METHOD METRIC FIELD
value() {
    awk -v method="    \"$1\": {" -v metric="      \"$2\": {" -v field="\"$3\":" '
        /^    "/ { in_method = $0 == method }
        /^      "/ { in_metric = in_method && $0 == metric }
        in_metric && $1 == field { sub(/,$/, "", $2); print $2 }' "$json"
}
within() { # within METHOD METRIC LOW HIGH
    local v
    v=$(value "$1" "$2" mean)
    awk -v v="$v" -v low="$3" -v high="$4" 'BEGIN { exit !(v != "" && v + 0 >= low && v + 0 <= high) }' ||
        wrong "$2 of $1 is '$v', must be from $3 to $4"
}

{
    printf '\x93NUMPY\x01\x00\x46\x00%-69s\n' "{'descr': '<f4', 'fortran_order': False, 'shape': (4, 2, 1), }"
    for _ in 1 2 3 4; do printf '\x00\x00\x00\x00\x00\x00\x80\x3f'; done
} >"$work/human.npy"

checks "the same figures whatever the ranks and threads, also with human maps of some samples"
all=(--metrics all --option metric_samples=9 --option human="$work/human.npy")
succeed "1 rank" explain 1 1 "${all[@]}"
cp "$json" "$work/one.json"
for way in "2 1" "3 1" "1 2"; do
    # shellcheck disable=SC2086
    succeed "$way" explain $way "${all[@]}"
    cmp "$json" "$work/one.json" || wrong "metrics.json of $way (ranks, threads) differs"
done

checks "their ranges"
grep -q 'mufidelity_uniform' "$work/out" || wrong "no table"
[ "$(grep -c '"samples": 9' "$json")" = 31 ] || wrong "not every figure is of 9 samples"
[ "$(value saliency alignment samples)" = 4 ] || wrong "alignment is not of the four samples that have a map"
for method in saliency smoothgrad integrated; do
    for metric in mufidelity_zero mufidelity_uniform smoothgrad alignment; do within $method $metric -1 1; done
    within $method stability_spearman 0 1
    within $method stability_l2 0.0001 10
    within $method complexity 0.2 1
    within $method robustness_reached 0 1
    within $method robustness_sr 0.01 1.2 # at most 10 moves of 0.12
done
within smoothgrad smoothgrad 1 1

checks "a subset, and more ranks than samples"
succeed "two metrics" explain 3 1 --metrics deletion,complexity --option metric_samples=2 --option softmax=1 --option fill=mean
[ "$(grep -c '"mean":' "$json")" = 6 ] || wrong "not two figures of three methods"
within saliency deletion 0 1
grep -q alignment "$json" && wrong "alignment without human maps"

checks "what is wrong is said"
refuse "no such metric" "no metric 'fidelity'" "mufidelity_zero" -- explain 1 1 --metrics fidelity
refuse "no maps" "human=FILE" -- explain 1 1 --metrics alignment
refuse "no such fill" "fill=grey" -- explain 1 1 --metrics all --option fill=grey
refuse "quality" "jpeg_quality=101" -- explain 1 1 --metrics all --option jpeg_quality=101
refuse "too many masks" "masks=576460752303423488: it must be at most 1000000" \
    -- explain 1 1 --metrics all --option masks=576460752303423488
refuse "maps that are not there" "nowhere.h5" -- explain 1 1 --metrics all --option human="$work/nowhere.h5"
head -c 90 "$work/human.npy" >"$work/cut.npy"
every_rank "maps that are cut off" 2 "cut.npy" -- explain "$run" --metrics all --option human="$work/cut.npy"
finish
