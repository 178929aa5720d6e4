#!/usr/bin/env bash
# Random filters from data to statistics: the same weights from 1 and 3 ranks and after going on elsewhere; frozen filters in
# no checkpoint; filter statistics and the attack.
# shellcheck disable=SC1091
. "$2/tests/training.sh"

data=$work/glyphs.h5
succeed "synth" "$banff" synth glyphs --out "$data" --train 160 --test 50 --size 12x12
cat >"$work/c.yaml" <<YAML
recipe: random_conv
run: {progress: off, eval_every: 1000}
data: {file: $data, batch: 32, leaves: 4}
train: {epochs: 2}
optim: {rule: sgd, momentum: 0.9, nesterov: true, lr: 0.05, weight_decay: 0.01}
model: {depth: 8, width: 4, expansion: 5, frozen: true}
YAML

checks "one rank, three, and three that go on where one has stopped"
succeed "1 rank" launch 1 2 train "$work/c.yaml" --set run.folder="$work/one"
succeed "3 ranks" launch 3 1 train "$work/c.yaml" --set run.folder="$work/three"
succeed "1 rank, with checkpoints" launch 1 1 train "$work/c.yaml" --set run.folder="$work/both" --set run.checkpoint_every=4 \
    --set run.keep=9
rm -f "$work"/both/checkpoints/ckpt-00000000001* "$work"/both/checkpoints/ckpt-000000000008* # steps 10 and 8
reached "$work/both" 5 && wrong "a checkpoint behind step 4 is still there"
succeed "3 ranks go on" launch 3 1 train "$work/c.yaml" --set run.folder="$work/both" --resume auto
expect=$(weights "$work/one")
for run in three both; do
    got=$(weights "$work/$run")
    [ -n "$expect" ] && [ "$got" = "$expect" ] || wrong "$run: weights $got, expected $expect"
done

checks "checkpoints hold the kernel and its combinations, and no filter"
file=$(checkpoint "$work/one" 10)
succeed "inspect" "$banff" inspect "$file"
for array in 'params/stem.conv.weight *f32\[4,1,3,3\]' 'owner/stem.conv.weight/raw *f32\[4,20\]'; do
    grep -q "$array" "$work/out" || wrong "no array '$array'"
done
grep -q '\[20,' "$work/out" && wrong "something has the shape of the 20 filters"

checks "statistics of filters"
succeed "inspect --filters" "$banff" inspect "$work/one" --filters
[ "$(grep -c '^st.*of 3 x 3$' "$work/out")" = 7 ] || wrong "not seven layers"
[ -s "$work/one/filters.png" ] || wrong "no filters.png"
rm "$work/one/filters.png"
succeed "of a checkpoint" "$banff" inspect "$file" --filters
[ -s "$work/one/filters.png" ] || wrong "no filters.png of a checkpoint"
rm "$work/one/filters.png"
cd "$work/one" || exit 1
succeed "of a checkpoint by its short name" "$banff" inspect "checkpoints/${file##*/}" --filters
cd - >/dev/null || exit 1
[ -s "$work/one/filters.png" ] || wrong "no filters.png in this folder"
refuse "of no name" "cannot" -- "$banff" inspect "" --filters
refuse "of a set of images" "glyphs.h5" -- "$banff" inspect "$data" --filters

checks "attack: the same from 1 and 2 ranks; a step costs accuracy, none costs nothing"
figure() { sed -n "s/.*\"$1\": \([0-9.]*\).*/\1/p" "$work/learned/attack.json"; }
succeed "more pictures" "$banff" synth glyphs --out "$work/more.h5" --train 640 --test 200 --size 12x12
succeed "a run that learns" launch 1 2 train "$work/c.yaml" --set data.file="$work/more.h5" --set run.folder="$work/learned" \
    --set train.epochs=4 --set optim.weight_decay=0
succeed "1 rank" launch 1 2 attack "$work/learned" --option levels=8
cp "$work/learned/attack.json" "$work/alone.json"
awk -v a="$(figure accuracy)" -v b="$(figure attacked_accuracy)" 'BEGIN { exit !(a > 0.15 && b < a / 2) }' ||
    wrong "accuracy $(figure accuracy), attacked $(figure attacked_accuracy)"
succeed "2 ranks" launch 2 1 attack "$work/learned" --option levels=8
cmp -s "$work/alone.json" "$work/learned/attack.json" || wrong "attack.json differs"
succeed "no step" launch 1 1 attack "$work/learned" --option levels=0
[ "$(figure accuracy)" = "$(figure attacked_accuracy)" ] || wrong "a step of length 0 has changed the accuracy"
succeed "help" "$banff" attack "$work/one" --option help
grep -q 'levels=.*(default 1)' "$work/out" || wrong "help does not tell of levels"

checks "what cannot be"
refuse "depth" "model.depth: 18" -- "$banff" train "$work/c.yaml" --set run.folder="$work/no" --set model.depth=18
refuse "between" "model.between: relu" "model.expansion" -- \
    "$banff" train "$work/c.yaml" --set run.folder="$work/no" --set model.between=relu --set model.expansion=0
refuse "option" "levels=300" "at most 255" -- "$banff" attack "$work/one" --option levels=300
refuse "unknown option" "level=3" "levels, split" -- "$banff" attack "$work/one" --option level=3

finish
