#!/usr/bin/env bash
# banff import h5 and npz of detector images, several files a class: the same bytes on 1 to 4 ranks; errors on every rank.
# Usage: detectors.sh BUILD SOURCE
. "$2/tests/training.sh"
make=$build/tests/test_make_detectors

"$make" "$work/qcd_1.h5" 0 3 && "$make" "$work/qcd_2.h5" 3 2 && "$make" "$work/suep.h5" 5 2 && "$make" "$work/bad.h5" 7 2 bad &&
    "$make" "$work/qcd_1.npz" 0 40 && "$make" "$work/qcd_2.npz" 40 11 && "$make" "$work/suep.npz" 51 7 &&
    "$make" "$work/bad.npz" 58 3 bad || wrong "files to import"

# same "RANKS..." KIND OPTIONS...: the import of these options makes $work/1.h5; the same bytes on more ranks
same() {
    local ranks=$1 kind=$2 n
    shift 2
    for n in 1 $ranks; do
        succeed "import $kind $* on $n ranks" launch $n 1 import "$kind" "$@" --out "$work/$n.h5"
        [ "$n" = 1 ] || cmp -s "$work/1.h5" "$work/$n.h5" || wrong "import $kind $*: other bytes on $n ranks"
    done
}

# shows TEXT...: what the last import made
shows() {
    succeed "inspect" "$banff" inspect "$work/1.h5" --verify --seconds 0
    for text in "$@"; do
        grep -qE "$text" "$work/out" || wrong "inspect does not show '$text'"
    done
}

checks "HDF5 files of an experiment"
classes=(--train-class "qcd=$work/qcd_*.h5" --test-class "qcd=$work/qcd_2.h5" --test-class "suep=$work/suep.h5")
same "2 3 4" h5 "${classes[@]}" --deflate 2
shows "f32\[5,72,58,3\].*not zero" "f32\[4,72,58,3\]" "suep .* 2 .*50.0 %.* cells" verified
same 2 h5 "${classes[@]}" --full --channels ImageTrk_PUcorr --threshold 100 --store dense
shows "u8\[5,286,360,1\]" verified

checks "NumPy's archives"
classes=(--train-class "qcd=$work/qcd_*.npz" --test-class "suep=$work/suep.npz")
same 3 npz "${classes[@]}" --threshold 0 --store sparse --test-class "qcd=$work/qcd_1.npz"
shows "u8\[51,72,58,1\].*not zero" "u8\[47,72,58,1\]" "qcd .* 40 .* cells" verified
succeed "files with labels" "$banff" import npz "$work/qcd_1.npz" "$work/qcd_2.npz" --test "$work/suep.npz" --out "$work/1.h5"
shows "labels       1..1 of 2 classes" "f32\[51,72,58,1\]"

checks "errors"
for kind in h5 npz; do
    every_rank "an infinite value, $kind" 3 "bad.$kind" "image" -- import "$kind" --train-class "qcd=$work/qcd_*.$kind" \
        --test-class "suep=$work/suep.$kind" --test-class "bad=$work/bad.$kind" --threshold 1 --out "$work/d.h5"
    [ ! -e "$work/d.h5" ] && [ ! -e "$work/d.h5.tmp" ] || wrong "a file is left after an error"
done
head -c 3000 "$work/qcd_2.npz" >"$work/qcd_3.npz"
every_rank "a file that is cut off" 3 "qcd_3.npz" -- import npz "$work/qcd_*.npz" --out "$work/d.h5"
refuse "no such array" "no dataset '/None'" "ImageECAL" -- "$banff" import h5 --train-class "qcd=$work/suep.h5" --channels None \
    --out "$work/d.h5"
refuse "no such files" "no file is called" "nothing_" -- "$banff" import h5 --train-class "qcd=$work/nothing_*" --out "$work/d.h5"
refuse "labels and classes" "exclude each other" -- "$banff" import npz "$work/suep.npz" --train-class "a=$work/suep.npz" \
    --out "$work/d.h5"
refuse "a class without a name" "must be NAME=FILE" -- "$banff" import h5 --train-class "$work/suep.h5" --out "$work/d.h5"
refuse "a threshold that is no number" "--threshold much" -- "$banff" import h5 --train-class "a=$work/suep.h5" --threshold much \
    --out "$work/d.h5"
refuse "no such channel" "channels 0 to 0" -- "$banff" import npz "$work/suep.npz" --channel 1 --out "$work/d.h5"
refuse "nothing to train on" "--train-class NAME=FILE" -- "$banff" import h5 --out "$work/d.h5"
finish
