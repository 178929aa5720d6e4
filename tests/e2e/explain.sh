#!/usr/bin/env bash
# banff explain: the same bytes of maps, pictures and metrics on 1, 2 and 3 ranks and with threads; what is in them; errors that
# end every rank; the report with a second run beside the first. Usage: explain.sh BUILD SOURCE
# shellcheck disable=SC1091
. "$2/tests/training.sh"

# usage: config FILE FOLDER CONSTRAINT [FIRST LAYER]
config() {
    cat >"$1" <<END
recipe: lipschitz
seed: 3
run: {folder: $2, progress: off}
data: {file: $work/d.h5, batch: 32, leaves: 4}
train: {epochs: 2}
optim: {rule: adam, lr: 0.01}
model:
  constraint: $3
  layers:
${4:-}
    - {type: groupsort2}
    - {type: dense, out: 16}
    - {type: groupsort2}
    - {type: head, out: 10}
loss: {kind: hkr_soft, alpha: 20, min_margin: 0.5, temperature: 5}
END
}
conv="    - {type: conv, out: 8, stride: 2}"
config "$work/lip.yaml" "$work/lip" bjorck "$conv"
config "$work/free.yaml" "$work/free" none "$conv"
config "$work/dense.yaml" "$work/dense" bjorck "    - {type: dense, out: 16}"
succeed "synth" "$banff" synth shapes --out "$work/d.h5" --train 256 --test 24 --size 12x12 --channels 3
succeed "train" launch 2 1 train "$work/lip.yaml"
succeed "train the unconstrained one" launch 1 1 train "$work/free.yaml"
succeed "train without convolutions" launch 1 1 train "$work/dense.yaml" --set train.steps=2
[ $failed = 0 ] || finish

checks "the same bytes for any number of ranks and threads"
few=(--option samples=7 --option draws=3 --option steps=4 --option pictures=5)
measure=(--metrics "deletion,stability_l2" --option metric_samples=5 --option noises=2)
prints() { (cd "$work/lip/explain" && sha256sum ./*); }
succeed "explain" launch 1 1 explain "$work/lip" "${few[@]}" "${measure[@]}"
grep -qF "the first 7 samples" "$work/out" || wrong "the table does not say what it is about"
expect=$(prints)
[ "$(ls "$work/lip/explain" | tr '\n' ' ')" = "maps.h5 metrics.json sample-000000.png sample-000001.png sample-000002.png \
sample-000003.png sample-000004.png " ] || wrong "the folder has: $(ls "$work/lip/explain")"
for n in 2 3; do
    succeed "explain on $n ranks" launch $n 1 explain "$work/lip" "${few[@]}" "${measure[@]}"
    [ "$(prints)" = "$expect" ] || wrong "1 and $n ranks differ"
done
succeed "explain with 2 threads" launch 1 2 explain "$work/lip" "${few[@]}" "${measure[@]}"
[ "$(prints)" = "$expect" ] || wrong "1 and 2 threads differ"

checks "what is in maps.h5"
dump() { h5dump -y -w 0 "$@" "$work/lip/explain/maps.h5" | tr -d ' \n'; }
numbers() { dump -d "$1" | sed 's/.*DATA{\([^}]*\)}.*/\1/'; }
if command -v h5dump >/dev/null; then
    for m in saliency smoothgrad integrated gradient_input gradcam; do
        dump -H -d /maps/$m | grep -qF 'SIMPLE{(7,12,12)' || wrong "/maps/$m has another shape"
    done
    dump -H -d /strip | grep -qF 'SIMPLE{(7,8,12,12,3)' || wrong "/strip has another shape"
    dump -a /weights | grep -qF "$("$banff" eval "$work/lip" | sed 's/.*weights \([0-9a-f]*\).*/\1/')" || wrong "other weights"
    [ "$(numbers /strip_class | tr ',' '\n' | awk 'NR % 8 == 1' | paste -sd,)" = "$(numbers /predicted)" ] ||
        wrong "at t = 0 the class is not that of the sample"
    [ "$(numbers /samples)" = 0,1,2,3,4,5,6 ] || wrong "/samples: $(numbers /samples)"
    numbers /maps/saliency | tr ',' '\n' | awk '$1 < 0 { exit 1 } $1 > 0 { n++ } END { exit n < 700 }' || wrong "saliency"
else
    echo "- skipped: no h5dump on this machine (package hdf5-tools)"
fi

checks "choices: methods, the label's class, what an earlier call left goes"
succeed "one method" launch 2 1 explain "$work/lip" --method saliency,gradcam --option samples=2 --option of_label=1 \
    --option scaled=1 --option t=1,2
[ "$(ls "$work/lip/explain" | tr '\n' ' ')" = "maps.h5 metrics.json sample-000000.png sample-000001.png " ] ||
    wrong "the folder has: $(ls "$work/lip/explain")"
if command -v h5dump >/dev/null; then
    dump -H | grep -qF smoothgrad && wrong "a method that was not asked for"
    [ "$(numbers /explained)" = "$(numbers /labels)" ] || wrong "the label's class is not explained"
fi
succeed "settings" "$banff" explain "$work/lip" --option help
grep -qF "sigma=" "$work/out" || wrong "the list of settings lacks sigma"

checks "errors"
every_rank "unknown method" 2 "'grad'; valid: saliency, smoothgrad, integrated, gradient_input, gradcam" \
    -- explain "$work/lip" --method saliency,grad
every_rank "gradcam without convolutions" 2 "no convolution" -- explain "$work/dense" --method gradcam
every_rank "too many samples" 3 "samples=25" "test part" "has 24" -- explain "$work/lip" --option samples=25
refuse "unknown setting" "sample=1: there is no such setting" -- launch 1 1 explain "$work/lip" --option sample=1
refuse "no values of t" "t=" -- launch 1 1 explain "$work/lip" --option t=
: >"$work/dense/explain"
every_rank "a file where the folder should be" 2 "dense/explain" -- explain "$work/dense" --option samples=4
if [ "$slow" != thread ]; then # whose own files are larger
    limited() {
        # shellcheck disable=SC2016,SC2317 # expanded by the inner shell; called by refuse
        OMP_NUM_THREADS=1 timeout "$limit" mpirun -n 1 --mca btl self \
            bash -c 'trap "" XFSZ && ulimit -f 64 && exec "$@"' limited "$banff" "$@"
    }
    refuse "no room for the maps" "maps.h5" -- limited explain "$work/lip" --option samples=24 --option draws=1
    [ -z "$(find "$work/lip/explain" -name 'maps.h5*')" ] || wrong "a part of the maps is left"
fi

checks "the report, with a second run beside it"
succeed "metrics again" launch 1 1 explain "$work/lip" --method saliency --option samples=1 "${measure[@]}"
succeed "report" launch 2 1 report "$work/lip" --twin "$work/free"
for text in "What a 1-Lipschitz network is" "Explanations" "SmoothGrad" "Grad-CAM" "Unconstrained network:" "Counterfactuals" \
    "How good the explanations are" "Stability (L2)"; do
    grep -qF -- "$text" "$work/lip/report.html" || wrong "no '$text' in the report"
done
grep -qF "class that the network gives each of them" "$work/lip/report.html" || wrong "which class is measured is not said"
succeed "metrics of the label" launch 1 1 explain "$work/lip" --method saliency --option samples=1 --option of_label=1 "${measure[@]}"
succeed "report of these" launch 1 1 report "$work/lip"
grep -qF "class of each one" "$work/lip/report.html" || wrong "the report does not say that the label's class is measured"
succeed "synth another set" "$banff" synth shapes --out "$work/other.h5" --train 64 --test 24 --size 12x12 --channels 3 --seed 1
cp -r "$work/free" "$work/elsewhere" && sed -i "s|$work/d.h5|$work/other.h5|" "$work/elsewhere/config.yaml"
every_rank "a twin of other pictures" 2 "--twin" "other pictures" -- report "$work/lip" --twin "$work/elsewhere"
finish
