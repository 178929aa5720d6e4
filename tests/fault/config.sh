#!/usr/bin/env bash
# Configurations that cannot be: each is refused with the place in the file, the key, and what would be valid, by all
# ranks, and a run that the folder holds stays as it was.
# shellcheck disable=SC1091
. "$2/tests/training.sh"

succeed "synth" "$banff" synth shapes --out "$work/d.h5" --train 64 --test 16 --size 8x8
cat >"$work/good.yaml" <<YAML
recipe: lipschitz
run:
  folder: $work/run
  progress: off
data:
  file: $work/d.h5
  batch: 16
  leaves: 2
train:
  epochs: 1
optim:
  lr: 0.01
model:
  layers:
    - {type: flatten}
    - {type: dense, out: 16}
    - {type: groupsort2}
    - {type: head, out: 10}
YAML

# altered SED-EXPRESSION: a variant of the good file
altered() { sed "$1" "$work/good.yaml" >"$work/bad.yaml"; }

checks "a key with a typing error: line, column, the right key"
altered 's/^  leaves:/  leafs:/'
refuse "leafs" "bad.yaml:8:3" "unknown key 'data.leafs'" "leaves" "pad_crop" \
    -- with_leaks launch 1 1 train "$work/bad.yaml"
every_rank "leafs" 2 "bad.yaml:8:3" "data.leafs" -- train "$work/bad.yaml"
checks "a section that does not exist"
altered 's/^optim:/optimizer:/'
refuse "optimizer" "bad.yaml:11:1" "optimizer" "recipe, seed, run, data, train, dist, optim" \
    -- launch 1 1 train "$work/bad.yaml"
if thorough; then
    checks "a text for a number, a number out of range, a choice that is none"
    altered 's/epochs: 1/epochs: many/'
    refuse "many epochs" "bad.yaml:10:11" "train.epochs" "many" "integer" -- launch 1 1 train "$work/bad.yaml"
    altered 's/batch: 16/batch: -16/'
    refuse "negative batch" "bad.yaml:7:10" "data.batch" "-16" -- launch 1 1 train "$work/bad.yaml"
    altered 's/type: dense/type: dence/'
    refuse "unknown layer" "bad.yaml:16:" "model.layers[1].type" "dence" "groupsort2" "'dense'" \
        -- launch 1 1 train "$work/bad.yaml"
    every_rank "unknown layer" 3 "bad.yaml:16:" -- train "$work/bad.yaml"
    checks "a key twice, broken YAML, no recipe, an unknown recipe, an empty file, no file"
    altered 's/^  epochs: 1/  epochs: 1\n  epochs: 2/'
    refuse "twice" "bad.yaml:11" "epochs" -- launch 1 1 train "$work/bad.yaml"
    altered 's/{type: flatten}/{type: flatten/'
    refuse "broken YAML" "bad.yaml:1" -- launch 1 1 train "$work/bad.yaml"
    altered '/^recipe/d'
    refuse "no recipe" "bad.yaml" "'recipe'" "lipschitz" -- launch 1 1 train "$work/bad.yaml"
    altered 's/^recipe: .*/recipe: lipshitz/'
    refuse "unknown recipe" "bad.yaml" "'lipshitz'" "lipschitz" -- launch 1 1 train "$work/bad.yaml"
    : >"$work/bad.yaml"
    refuse "empty file" "bad.yaml" -- launch 1 1 train "$work/bad.yaml"
    every_rank "no file" 2 "$work/none.yaml" -- train "$work/none.yaml"
    checks "overrides: an unknown key, a wrong value, no value"
    refuse "override key" "run.threds" "'threads'" -- launch 1 1 train "$work/good.yaml" --set run.threds=2
    refuse "override value" "data.batch=abc" "integer" -- launch 1 1 train "$work/good.yaml" --set data.batch=abc
    refuse "override without value" "run.threads" -- launch 1 1 train "$work/good.yaml" --set run.threads
fi
checks "values that do not go together: batch and leaves; more ranks than leaves; a network that does not fit its input"
refuse "batch and leaves" "data.batch" "data.leaves" "16" "3" -- launch 1 1 train "$work/good.yaml" --set data.leaves=3
every_rank "more ranks than leaves" 3 "3 ranks" "2 leaves" -- train "$work/good.yaml"
[ "$code" = 2 ] || wrong "more ranks than leaves: exit code $code"
altered 's/    - {type: flatten}/    - {type: flatten}\n    - {type: conv, out: 4}/'
refuse "conv behind flatten" "conv" -- launch 1 1 train "$work/bad.yaml"
[ -e "$work/run" ] && wrong "a refused configuration has left a run folder"

checks "a folder that holds a run: only with --resume or --overwrite, which keeps it until the new run can begin"
succeed "train" launch 2 1 train "$work/good.yaml"
before=$(weights "$work/run")
every_rank "used folder" 2 "$work/run holds a run" "--resume auto" "--overwrite" -- train "$work/good.yaml"
every_rank "overwrite, but no data" 2 "$work/none.h5" \
    -- train "$work/good.yaml" --overwrite --set data.file="$work/none.h5"
every_rank "overwrite, but too many ranks" 3 "3 ranks" -- train "$work/good.yaml" --overwrite
[ -n "$before" ] && [ "$(weights "$work/run")" = "$before" ] || wrong "the run was changed by what could not begin"
succeed "overwrite" launch 2 1 train "$work/good.yaml" --overwrite --set seed=2
[ "$(weights "$work/run")" != "$before" ] || wrong "--overwrite did not begin anew"

checks "resume with another configuration: the line is named; what changes no result may change"
every_rank "other lr" 2 "ckpt-" "lr: 0.01" "lr: 0.02" \
    -- train "$work/good.yaml" --set seed=2 --resume auto --set optim.lr=0.02
altered 's/out: 16/out: 20/'
refuse "other layer" "ckpt-" "out: 16" "out: 20" -- launch 1 1 train "$work/bad.yaml" --set seed=2 --resume auto
succeed "other threads and log" launch 1 2 train "$work/good.yaml" --set seed=2 --resume auto --set run.log_every=3
if thorough; then
    checks "resume of a file that is not there; both --resume and --overwrite"
    every_rank "no checkpoint" 2 "$work/run/none.h5" -- train "$work/good.yaml" --resume "$work/run/none.h5"
    refuse "both" "--resume" "--overwrite" -- launch 1 1 train "$work/good.yaml" --resume auto --overwrite
fi
finish
