#!/usr/bin/env bash
# Scores of events: train, score and report; the same bytes at 1 and 3 ranks; other sets, a classifier, bad requests.
# shellcheck source=tests/training.sh
. "$(dirname "$0")/../training.sh"
cd "$work" || exit 1

synth() { # OUT ARGUMENTS...
    local out=$1
    shift
    succeed "making $out" "$banff" synth showers --train 60 --train-signal 20 --test 40 --test-signal 15 --signal suep400 \
        --signal svj44 --out "$out" "$@"
}
synth sectors.h5 --sectors
synth other.h5 --sectors --seed 5
synth whole.h5
succeed "making qcd.h5" "$banff" synth showers --sectors --train 20 --test 10 --test-signal 0 --out qcd.h5

cat >net.yaml <<'YAML'
recipe: dark_showers
run: {folder: run}
data: {file: sectors.h5, batch: 32, leaves: 4, normalise: unit}
train: {steps: 4}
optim: {rule: adamw, lr: 0.002}
model: {kind: codae, filters: [4, 4], aux_filters: [4, 4], groups: 1, aux_groups: 1, latent: 4}
YAML

checks "scores are the same bytes at 1 and 3 ranks, sectors are put together"
succeed "training" launch 2 1 train net.yaml
succeed "scoring" launch 1 1 score run
for text in "70 events of 4 images, 40 of qcd" "suep400, 15 events" mahalanobis_z_m z_m_unit1 energy_diff; do
    grep -qF -- "$text" "$work/out" || wrong "no '$text' in the table"
done
succeed "scoring at 3 ranks" launch 3 1 score run --out three.h5
cmp -s run/scores.h5 three.h5 || wrong "scores.h5 is not the same at 1 and 3 ranks"
cmp -s run/scores.json three.json || wrong "scores.json is not the same at 1 and 3 ranks"
for key in weights images_per_event background_events suep400 svj44 auc fpr auc_within_bins covered; do
    grep -q "\"$key\": " run/scores.json || wrong "scores.json has no $key"
done

checks "the report shows them at any number of ranks"
succeed "report" launch 1 1 report run
cp run/report.html one.html
succeed "report at 2 ranks" launch 2 1 report run
cmp -s run/report.html one.html || wrong "the report is not the same at 1 and 2 ranks"
for text in "How well signals are found" "Mean AUC of bce" "svj44 against qcd" "Distribution of mahalanobis" "suep400, lowest loss"; do
    grep -qF -- "$text" one.html || wrong "no '$text' in the report"
done

checks "another set, its parts, and other settings"
succeed "another set" launch 1 1 score run --data other.h5 --split train --out other_scores.h5 --option mahalanobis=no --option bin=20
grep -qF "train part of other.h5, 100 events" "$work/out" || wrong "the other set was not scored"
grep -q mahalanobis "$work/out" && wrong "distances although there should be none"
succeed "background alone" launch 1 1 score run --data qcd.h5 --out qcd_scores.h5 --option mahalanobis=no
grep -qF "no figures: they compare qcd with other classes" "$work/out" || wrong "it is not said why there are no figures"
[ -s qcd_scores.h5 ] || wrong "background alone has no scores"
refuse "images of another size" "72 x 58 x 1, those of the run 36 x 28 x 1" -- launch 1 1 score run --data whole.h5
refuse "no whole events" "280 images do not make whole events" -- launch 1 1 score run --option images=3
refuse "other settings" "no such setting; valid: images" -- launch 1 1 score run --option imagse=4
every_rank "a set that is not there" 2 "nothing.h5" -- score run --data nothing.h5
every_rank "no positive definite covariance" 2 "not more vectors than numbers" -- score run --option ridge=0 --option fit=200

checks "a classifier"
succeed "training a classifier" launch 1 1 train net.yaml --set model.kind=supervised --set run.folder=labels
succeed "report without scores" launch 1 1 report labels
grep -q "There are no scores of these weights" labels/report.html || wrong "the report does not say what is missing"
succeed "scoring a classifier" launch 2 1 score labels
grep -q log_odds "$work/out" || wrong "a classifier has no log_odds"
grep -q bce "$work/out" && wrong "a classifier has a reconstruction loss"
succeed "report of a classifier" launch 1 1 report labels
grep -q "Mean AUC of signal" labels/report.html || wrong "no headline in the report of a classifier"
finish
