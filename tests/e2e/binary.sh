#!/usr/bin/env bash
# Two classes and one output (hkr_binary): the accuracy counts class 1 where the output is positive. And a run that was moved reports
# into the folder where it lies now. Usage: binary.sh BUILD SOURCE
set -euo pipefail
banff=${1:?usage: binary.sh BUILD SOURCE}/banff
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

fail() {
    echo "binary: $*"
    exit 1
}

# 40 pictures of 4 x 4 pixels in each class: dark and bright, each of one grey level.
for i in $(seq 40); do
    for class in dark bright; do
        mkdir -p "$work/set/$class"
        [ $class = bright ] && level=$((200 + i)) || level=$((10 + i))
        { printf 'P5\n4 4\n255\n'; head -c 16 /dev/zero | tr '\0' "\\$(printf '%03o' "$level")"; } >"$work/set/$class/$i.pgm"
    done
done
"$banff" import folder --out "$work/set.h5" --train "$work/set" --test-fraction 0.25 >/dev/null

cat >"$work/config.yaml" <<END
recipe: lipschitz
run: {folder: $work/run, progress: off}
data: {file: $work/set.h5, batch: 16, leaves: 4}
train: {epochs: 20}
optim: {lr: 0.01}
model:
  layers: [{type: flatten}, {type: dense, out: 8}, {type: fullsort}, {type: head, out: 1}]
loss: {kind: hkr_binary, alpha: 10, min_margin: 0.2}
END
mpirun -n 2 "$banff" train "$work/config.yaml" >/dev/null
mv "$work/run" "$work/moved"
said=$("$banff" eval "$work/moved")
grep -q 'accuracy 1\.0000' <<<"$said" || fail "two levels of grey should be told apart: $said"
"$banff" report "$work/moved" >/dev/null
[ -s "$work/moved/report.html" ] || fail "no report in the folder where the run lies"
[ ! -e "$work/run" ] || fail "the report brought the old folder back"
echo "binary: one output, accuracy 1; a moved run reports where it lies"
