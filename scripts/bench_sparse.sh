#!/usr/bin/env bash
# scripts/bench sparse: detector images as their active cells against all cells: the first layer, a training step, reading.
set -euo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

usage() {
    cat <<'END_OF_TEXT'
Usage: scripts/bench sparse [--rounds N] [--quick] [--out FILE] [layer] [step] [read]
  Events of 286 x 360 x 3 cells, of which 0.1, 1 or 5 % are active. One thread; the arms of a comparison
  take turns, and ratios are the result.
    layer    the first convolution and its weight gradient: all cells (oneDNN) against active ones; also 36 x 28 x 1 and 72 x 58 x 1
    step     a training step of the paper's encoder with a classifier: train.sparse_input off against auto; PyTorch on the same network
    read     events per second where a network does next to nothing, from a sparse and a dense file; size of both
  --rounds   how often each is timed (default 5)
  --quick    one round: whether everything runs, no figures to quote
  --out      JSON file (default build/bench-sparse.json): one object per measurement
  BNF_PEER_PYTHON=/path/to/python  an interpreter with torch; without it only Banff is timed
END_OF_TEXT
}

rounds=5 out=build/bench-sparse.json quick='' works=()
while [ $# -gt 0 ]; do
    case $1 in
        --rounds) rounds=${2:?--rounds needs a number}; shift ;;
        --out) out=${2:?--out needs a file}; shift ;;
        --quick) quick=1 rounds=1 ;;
        -h | --help) usage; exit 0 ;;
        layer | step | read) works+=("$1") ;;
        *) usage_error "unknown option '$1'" ;;
    esac
    shift
done

[ ${#works[@]} -gt 0 ] || works=(layer step read)
wanted() { [[ " ${works[*]} " == *" $1 "* ]]; }

cd "$root"
banff=build/release/banff
data=build/bench-data
[ -x $banff ] || die "there is no $banff: build it first (README.md)"
peer=${BNF_PEER_PYTHON:-python3}
if ! "$peer" -c 'import torch' 2>/dev/null; then
    say "PyTorch is not installed for $peer: timing Banff alone (BNF_PEER_PYTHON)"
    peer=''
fi
mkdir -p "$data"
export OMP_NUM_THREADS=1
shares=(0.001 0.01 0.05)
steps=${quick:+1}
steps=${steps:-3}
rm -f "$out.tmp"

# record WHAT COMMAND...: its lines of JSON, with "what" in front
record() {
    local what=$1
    "${@:2}" 2>"$out.err" | sed -n "s/^{/{\"what\":\"$what\",/p" >>"$out.tmp" || die "$what failed: $(tail -n 1 "$out.err")"
}

events() { printf '%s' "$data/fine-$1-$2.h5"; } # SHARE sparse|dense
for share in "${shares[@]}"; do
    for store in sparse dense; do
        [ -f "$(events "$share" $store)" ] || $banff synth showers --fine --active "$share" --store $store --train 48 --train-signal 16 \
            --signal suep400 --test 0 --test-signal 0 --out "$(events "$share" $store)" >&2
    done
done

layers() {
    local each=(--rounds "$rounds" --seconds 0.1)
    [ -z "$quick" ] || each=(--rounds 1 --seconds 0.01)
    record "layer 286x360x3, 64 outputs" $banff bench sites "${each[@]}"
    record "layer 72x58x1, 64 outputs" $banff bench sites --height 72 --width 58 --channels 1 --batch 4 "${each[@]}"
    record "layer 36x28x1, 16 outputs" $banff bench sites --height 36 --width 28 --channels 1 --outputs 16 --batch 16 "${each[@]}"
}

step() { # SHARE CHOICE
    record "step $1 $2" $banff bench jobs/bench/fine-events.yaml --steps "$steps" --set "data.file=$(events "$1" sparse)" --set "train.sparse_input=$2"
}

# Four outputs behind one dense layer: reading is what a step waits for.
reading() { # SHARE STORE
    cat >"$out.yaml" <<END_OF_CONFIG
recipe: lipschitz
data: {file: $(events "$1" "$2"), batch: 16, leaves: 4}
optim: {rule: sgd, lr: 0.000001}
model: {constraint: none, layers: [{type: avg_pool, kernel: 6, stride: 6}, {type: head, out: 2}]}
loss: {kind: cross_entropy}
END_OF_CONFIG
    record "read $1 $2" $banff bench "$out.yaml" --steps $((4 * steps))
}

if wanted layer; then
    say "layers"
    layers
fi
wanted step || wanted read || rounds=0
for round in $(seq "$rounds"); do
    say "round $round of $rounds"
    for share in "${shares[@]}"; do
        if wanted step; then
            step "$share" off
            step "$share" auto
        fi
        if wanted read; then
            reading "$share" dense
            reading "$share" sparse
        fi
    done
    [ -z "$peer" ] || ! wanted step || for layout in '' --channels-last; do
        record "torch ${layout:---default-layout}" "$peer" scripts/bench_sparse_peer.py --batch 2 --steps "$steps" --threads 1 $layout
    done
done
mv "$out.tmp" "$out"
rm -f "$out.err" "$out.yaml"

# Ratios of a round are of runs next to each other; the table has their median, least and most.
awk '
function field(name) { return match($0, "\"" name "\":[0-9.e+-]+") ? substr($0, RSTART + length(name) + 3, RLENGTH - length(name) - 3) + 0 : -1 }
function spread(list,   v, n, i, j, t) {
    n = split(list, v, " ")
    for (i = 2; i <= n; i++) for (j = i; j > 1 && v[j] + 0 < v[j-1] + 0; j--) { t = v[j]; v[j] = v[j-1]; v[j-1] = t }
    return sprintf("%9.4g (%.4g to %.4g)", v[int((n + 1) / 2)], v[1], v[n])
}
{ match($0, /"what":"[^"]*"/); what = substr($0, RSTART + 8, RLENGTH - 9); split(what, word, " ") }
word[1] == "layer" { printf "%-28s %5g %% %-8s x %9.4g (%.4g to %.4g)\n", what, 100 * field("occupancy"), /"forward"/ ? "forward" : "weights", \
    field("ratio"), field("least"), field("most") }
word[1] == "step" && word[3] == "off" { off[word[2]] = field("samples_per_second"); all[what] = all[what] " " off[word[2]] }
word[1] == "step" && word[3] == "auto" { r = field("samples_per_second"); all[what] = all[what] " " r
    gain["step " word[2] " auto / off"] = gain["step " word[2] " auto / off"] " " r / off[word[2]]; last = r }
word[1] == "read" { r = field("samples_per_second") * (1 - field("stall_share")); all[what] = all[what] " " r
    if (word[3] == "dense") dense[word[2]] = r; else gain["read " word[2] " sparse / dense"] = gain["read " word[2] " sparse / dense"] " " r / dense[word[2]] }
word[1] == "torch" { r = field("samples_per_second"); all[what] = all[what] " " r; gain["step auto / " what] = gain["step auto / " what] " " last / r }
END {
    for (w in all) printf "%-44s events/s %s\n", w, spread(all[w]) | "sort"
    close("sort")
    for (w in gain) printf "%-44s x        %s\n", w, spread(gain[w]) | "sort"
}' "$out"
for share in "${shares[@]}"; do
    printf 'bytes per event at %s: sparse %d, dense %d\n' "$share" $(($(stat -c %s "$(events "$share" sparse)") / 64)) \
        $(($(stat -c %s "$(events "$share" dense)") / 64))
done
say "measurements: $out"
