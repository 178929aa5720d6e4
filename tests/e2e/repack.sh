#!/usr/bin/env bash
# banff repack: the same bytes on any number of ranks, checksums that hold, training that goes on alike. banff inspect:
# what reading costs, and the command that makes it cheaper.
# shellcheck disable=SC1091
. "$2/tests/training.sh"
make_set=$build/tests/test_make_set

inspect() { "$banff" inspect --seconds 0.05 "$@" >"$work/out" 2>&1 || wrong "inspect $*"; }
# shows WHAT TEXT...: the last output holds every text
shows() {
    local what=$1 text
    shift
    for text; do grep -qF -- "$text" "$work/out" || wrong "$what: no '$text'"; done
}

succeed "synth" "$banff" synth shapes --out "$work/in.h5" --train 700 --test 90 --size 40x40 --channels 3 --seed 3
sum=$("$banff" inspect --seconds 0 "$work/in.h5" | awk '$1 == "checksum" { print $2 }')

checks "the same bytes on 1 to 4 ranks"
n=0
for options in "" "--chunk 1" "--chunk 30 --compress 5" "--shuffle-once 3 --chunk 11 --compress 1"; do
    n=$((n + 1))
    ranks_list="1 3"
    [ $n = 4 ] && thorough && ranks_list="1 2 3 4"
    for ranks in $ranks_list; do
        # shellcheck disable=SC2086
        succeed "repack $options" launch "$ranks" 1 repack "$work/in.h5" "$work/out.$n.$ranks" $options
        cmp -s "$work/out.$n.1" "$work/out.$n.$ranks" || wrong "repack $options: other bytes on $ranks ranks"
    done
    with_leaks "$banff" inspect --verify --seconds 0 "$work/out.$n.1" >"$work/out" 2>&1 || wrong "inspect after repack $options"
    [ "$(grep -c verified "$work/out")" = 2 ] || wrong "repack $options: a checksum does not hold"
    got=$(awk '$1 == "checksum" { print $2 }' "$work/out")
    case $options in
        *shuffle*) [ "$got" != "$sum" ] || wrong "shuffled, but the checksum is the same" ;;
        *) [ "$got" = "$sum" ] || wrong "repack $options: the checksum has changed" ;;
    esac
done
shows "chunks" "chunks of 11 images" "deflate 1"

checks "bad requests"
refuse "overwriting" "exists" -- launch 2 1 repack "$work/in.h5" "$work/out.1.1"
[ "$code" = 2 ] || wrong "overwriting: exit code $code"
refuse "no files" "new one" -- launch 1 1 repack "$work/in.h5"
refuse "level" "--compress 12" -- launch 1 1 repack "$work/in.h5" "$work/x" --compress 12
refuse "seed" "--shuffle-once -4" -- launch 1 1 repack "$work/in.h5" "$work/x" --shuffle-once=-4
refuse "chunk" "--chunk -1" -- launch 1 1 repack "$work/in.h5" "$work/x" --chunk=-1
head -c 300000 "$work/in.h5" >"$work/cut.h5"
every_rank "truncated set" 2 "$work/cut.h5" -- repack "$work/cut.h5" "$work/x"
every_rank "a folder that is none" 2 "$work/none/x" -- repack "$work/in.h5" "$work/none/x"
if [ -e "$work/x" ] || [ -e "$work/x.tmp" ]; then wrong "a refused repack has left a file"; fi

checks "inspect: cost, speed, warnings with their remedies"
inspect "$work/in.h5"
shows "a small set" "held in memory by default" "images/s a rank"
grep -q warning "$work/out" && wrong "a warning for a sound small set"
"$make_set" "$work/plain.h5" 300 sound
inspect "$work/plain.h5"
shows "no checksum" "banff repack $work/plain.h5 OUT"
succeed "repack" launch 2 1 repack "$work/plain.h5" "$work/summed.h5"
inspect --verify "$work/summed.h5"
shows "repacked" "verified"
grep -q warning "$work/out" && wrong "still a warning"
"$make_set" "$work/large.h5" 20000 unwritten
succeed "inspect on 2 ranks" launch 2 1 inspect --seconds 0.05 "$work/large.h5"
shows "a large set in chunks of 16" "shuffled in windows" "1.0 MiB fetched for an image of 64.0 KiB (x 16.0)" \
    "2 reading at a time" "OUT --chunk 1, or data.store: memory" "OUT --shuffle-once 1"

checks "a shard that cannot be read ends all ranks"
"$make_set" "$work/nan.h5" 60 nan
cat >"$work/c.yaml" <<YAML
recipe: lipschitz
run: {progress: off, folder: $work/run}
data: {file: $work/nan.h5, batch: 12, leaves: 4, store: memory}
train: {epochs: 1}
model:
  constraint: none
  layers: [{type: flatten}, {type: dense, out: 3}]
loss: {kind: cross_entropy}
YAML
every_rank "NaN in the last rank's shard" 3 "$work/nan.h5" "image 57" -- train "$work/c.yaml"
finish
