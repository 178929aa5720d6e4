#!/usr/bin/env bash
# Data that is damaged or impossible: the message names the file (and where in it), every rank ends with an error,
# nothing is left behind.
# shellcheck disable=SC1091
. "$2/tests/training.sh"
make_set=$build/tests/test_make_set

nothing_left() {
    local left
    left=$(find "$work" -name 'out.h5*' -o -name '*.tmp')
    [ -z "$left" ] || wrong "$1 left $left"
}

# bytes N: that many bytes with values 0..2
bytes() { head -c "$1" /dev/zero | tr '\0' '\1'; }

importing() {
# IDX: a magic number, the extents, the elements; all big-endian.
{ printf '\0\0\10\3\0\0\0\24\0\0\0\10\0\0\0\10'; bytes 1280; } >"$work/images.idx"
{ printf '\0\0\10\1\0\0\0\24'; bytes 20; } >"$work/labels.idx"
idx=(import idx --out "$work/out.h5")
succeed "sound IDX" mpirun -n 2 "$banff" "${idx[@]}" --train-images "$work/images.idx" --train-labels "$work/labels.idx"
rm -f "$work/out.h5"

checks "IDX: truncated, too long, not IDX, counts that differ, gzip cut and damaged"
head -c 900 "$work/images.idx" >"$work/cut.idx"
every_rank "truncated images" 2 "$work/cut.idx" \
    -- "${idx[@]}" --train-images "$work/cut.idx" --train-labels "$work/labels.idx"
head -c 10 "$work/labels.idx" >"$work/cut.idx"
every_rank "truncated labels" 2 "$work/cut.idx" \
    -- "${idx[@]}" --train-images "$work/images.idx" --train-labels "$work/cut.idx"
{ printf '\0\0\7\3'; tail -c +5 "$work/images.idx"; } >"$work/magic.idx"
every_rank "wrong magic" 2 "$work/magic.idx" \
    -- "${idx[@]}" --train-images "$work/magic.idx" --train-labels "$work/labels.idx"
{ printf '\0\0\10\1\0\0\0\23'; bytes 19; } >"$work/fewer.idx"
every_rank "19 labels of 20 images" 2 "19" "20" \
    -- "${idx[@]}" --train-images "$work/images.idx" --train-labels "$work/fewer.idx"
gzip -c "$work/images.idx" >"$work/whole.gz"
head -c $(($(stat -c %s "$work/whole.gz") - 6)) "$work/whole.gz" >"$work/cut.gz"
every_rank "cut gzip" 2 "$work/cut.gz" -- "${idx[@]}" --train-images "$work/cut.gz" --train-labels "$work/labels.idx"
checks "IDX: a label beyond --classes"
{ printf '\0\0\10\1\0\0\0\24'; bytes 19; printf '\11'; } >"$work/nine.idx"
every_rank "label 9 of 3" 2 "$work/nine.idx" "9" "3" \
    -- "${idx[@]}" --train-images "$work/images.idx" --train-labels "$work/nine.idx" --classes 3
nothing_left "a refused IDX import"

checks "class folders: an empty one, a truncated and a damaged picture, no picture at all, sizes that differ"
for class in cat dog; do
    mkdir -p "$work/set/$class"
    for i in 1 2 3; do printf 'P5 8 8 255\n%s' "$(bytes 64)" >"$work/set/$class/$i.pgm"; done
done
succeed "sound folder" mpirun -n 2 "$banff" import folder "$work/set" --out "$work/out.h5"
rm -f "$work/out.h5"
folder=(import folder "$work/set" --out "$work/out.h5")
mkdir "$work/set/empty"
every_rank "empty class" 2 "$work/set/empty" -- "${folder[@]}"
printf 'P5 8 8 255\n%s' "$(bytes 40)" >"$work/set/empty/cut.pgm"
every_rank "truncated PGM" 2 "$work/set/empty/cut.pgm" -- "${folder[@]}"
rm "$work/set/empty/cut.pgm"
# A JPEG of 8 x 8 grey pixels, as small as they come.
base64 -d >"$work/good.jpg" <<'JPEG'
/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDABALDA4MChAODQ4SERATGCgaGBYWGDEjJR0oOjM9PDkzODdASFxOQERXRTc4UG1RV19iZ2hnPk1xeXBkeFxl
Z2P/wAALCAAIAAgBAREA/8QAFAABAAAAAAAAAAAAAAAAAAAABP/EABgQAAIDAAAAAAAAAAAAAAAAAAAEBiEy/9oACAEBAAA/ABx5DNH/2Q==
JPEG
cp "$work/good.jpg" "$work/set/empty/1.jpg"
succeed "a sound JPEG" mpirun -n 2 "$banff" "${folder[@]}"
rm -f "$work/out.h5"
head -c 60 "$work/good.jpg" >"$work/set/empty/1.jpg"
every_rank "truncated JPEG" 2 "$work/set/empty/1.jpg" -- "${folder[@]}"
head -c 300 /dev/zero >"$work/set/empty/1.jpg"
every_rank "a JPEG of zeros" 2 "$work/set/empty/1.jpg" -- "${folder[@]}"
rm "$work/set/empty/1.jpg"
printf 'P5 9 8 255\n%s' "$(bytes 72)" >"$work/set/empty/wide.pgm"
every_rank "another size" 2 "$work/set/empty/wide.pgm" "8 x 9" "one size" -- "${folder[@]}"
every_rank "no folder" 2 "$work/nowhere" -- import folder "$work/nowhere" --out "$work/out.h5"
nothing_left "a refused folder import"
}
# tests/unit/data_* feed these to the same code under sanitizers.
thorough && importing

succeed "synth" "$banff" synth shapes --out "$work/d.h5" --train 64 --test 16 --size 8x8
cat >"$work/c.yaml" <<YAML
recipe: lipschitz
run: {folder: $work/run, progress: off}
data: {file: $work/d.h5, batch: 16, leaves: 4}
train: {epochs: 2}
model:
  layers:
    - {type: flatten}
    - {type: dense, out: 16}
    - {type: groupsort2}
    - {type: head, out: 10}
YAML
train=(train "$work/c.yaml")

checks "HDF5 data: truncated, its head damaged, not HDF5, a folder, not there"
size=$(stat -c %s "$work/d.h5")
for keep in $((size / 2)) $(thorough && echo 2000 100); do
    head -c "$keep" "$work/d.h5" >"$work/cut.h5"
    every_rank "the first $keep bytes" 2 "$work/cut.h5" -- "${train[@]}" --set data.file="$work/cut.h5"
done
if thorough; then
    { bytes 64; tail -c +65 "$work/d.h5"; } >"$work/cut.h5"
    every_rank "damaged head" 2 "$work/cut.h5" -- "${train[@]}" --set data.file="$work/cut.h5"
    every_rank "a text file" 2 "$work/c.yaml" -- "${train[@]}" --set data.file="$work/c.yaml"
    every_rank "a folder" 2 "$work" -- "${train[@]}" --set data.file="$work"
    every_rank "nothing there" 2 "$work/none.h5" -- "${train[@]}" --set data.file="$work/none.h5"
    checks "HDF5 data: a changed pixel is found by inspect --verify"
    succeed "synth" "$banff" synth shapes --out "$work/flip.h5" --train 64 --test 0 --size 32x32
    # 64 KiB of the file are images, so its middle is in one of them.
    size=$(stat -c %s "$work/flip.h5")
    printf '\252\125\252' | dd of="$work/flip.h5" bs=1 seek=$((size / 2)) conv=notrunc 2>/dev/null
    every_rank "a changed pixel" 2 "$work/flip.h5" "checksum" -- inspect "$work/flip.h5" --verify
fi
[ -e "$work/run" ] && wrong "data that cannot be read has left a run folder"

checks "f32 data: sound; a NaN, an infinity, a label out of range"
for kind in sound nan infinity label; do
    "$make_set" "$work/$kind.h5" 50 $kind || wrong "make_set"
done
succeed "f32 data" launch 2 1 "${train[@]}" --set data.file="$work/sound.h5" --set run.folder="$work/sound"
refuse "NaN" "$work/nan.h5" -- with_leaks launch 1 2 "${train[@]}" --set data.file="$work/nan.h5"
every_rank "NaN" 2 "$work/nan.h5" "image 47" -- "${train[@]}" --set data.file="$work/nan.h5"
every_rank "infinity" 3 "$work/infinity.h5" "image 47" -- "${train[@]}" --set data.file="$work/infinity.h5"
every_rank "negative label" 2 "$work/label.h5" "label" "-4" -- "${train[@]}" --set data.file="$work/label.h5"
checks "more classes than the network has outputs"
sed 's/out: 10/out: 7/' "$work/c.yaml" >"$work/seven.yaml"
every_rank "7 outputs" 2 "10" "7" -- train "$work/seven.yaml" --set run.folder="$work/seven"

checks "a set that has changed since: resume and eval say so, checkpoints are untouched"
rm -rf "$work/run"
succeed "train" launch 2 1 "${train[@]}" --set train.steps=4
before=$(cat "$work"/run/checkpoints/ckpt* | sha256sum)
cp "$work/d.h5" "$work/keep.h5"
"$banff" synth shapes --out "$work/d.h5" --train 64 --test 16 --size 10x10 >/dev/null
every_rank "resume, another size" 2 "$work/d.h5" "8 x 8" "10 x 10" -- "${train[@]}" --set train.steps=4 --resume auto
every_rank "eval, another size" 2 "dense1.weight" -- eval "$work/run"
"$banff" synth shapes --out "$work/d.h5" --train 64 --test 16 --size 8x8 --seed 9 >/dev/null
every_rank "resume, other images" 2 "$work/d.h5" "checksum" -- "${train[@]}" --set train.steps=4 --resume auto
[ "$(cat "$work"/run/checkpoints/ckpt* | sha256sum)" = "$before" ] || wrong "checkpoints have changed"
mv "$work/keep.h5" "$work/d.h5"
succeed "resume with the old data" launch 2 1 "${train[@]}" --set train.steps=4 --resume auto
finish
