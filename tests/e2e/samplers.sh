#!/usr/bin/env bash
# Every sampler, with the data in files or in the memory of all ranks: the weights are a function of configuration, seed
# and data. Where the data lie and how far ahead they are read may change when a run is resumed; what is drawn may not.
# shellcheck disable=SC1091
. "$2/tests/training.sh"

data=$work/shapes.h5
succeed "synth" "$banff" synth shapes --out "$data" --train 210 --test 50 --size 12x12 --seed 3
cat >"$work/c.yaml" <<YAML
recipe: lipschitz
seed: 11
run: {progress: off, log_every: 5, eval_every: 1, folder: $work/run}
data: {file: $data, batch: 48, leaves: 8, normalise: stats, flip: true, pad_crop: 1}
train: {epochs: 3, steps: 12}
optim: {rule: adam, lr: 0.003}
model:
  constraint: none
  layers:
    - {type: conv, out: 6, bias: false}
    - {type: batch_norm}
    - {type: relu}
    - {type: avg_pool}
    - {type: flatten}
    - {type: dropout, rate: 0.2}
    - {type: dense, out: 10}
loss: {kind: cross_entropy}
YAML

# run FOLDER RANKS OPTIONS...: trains; the hash of the weights in $hash
run() {
    local folder=$1 ranks=$2
    shift 2
    rm -rf "${work:?}/$folder"
    succeed "$folder, $ranks ranks: $*" launch "$ranks" 1 train "$work/c.yaml" --set run.folder="$work/$folder" "$@"
    hash=$(sed -n 's/^weights //p' "$work/out")
    [ ${#hash} = 16 ] || wrong "$folder: no weights"
}

# same NAME OPTIONS...: file on one rank; memory on two and three
same() {
    local name=$1 expect ranks
    shift
    checks "$name"
    run one 1 "$@"
    expect=$hash
    seen+=("$expect")
    for ranks in 2 3; do
        run more "$ranks" "$@" --set data.store=memory
        [ "$hash" = "$expect" ] || wrong "$name, $ranks ranks in memory: weights $hash, not $expect"
        thorough || break
    done
}

seen=()
same shuffle
same sequential --set data.sampler=sequential
same replacement --set data.sampler=replacement
same without_replacement --set data.sampler=without_replacement
same poisson --set data.sampler=poisson --set data.rate=0.15
if thorough; then
    same "poisson, mostly empty" --set data.sampler=poisson --set data.rate=0.002
    same "stratified, proportional" --set data.sampler=stratified
    same "stratified, fixed" --set data.sampler=stratified --set data.allocation=fixed \
        --set data.sizes="[1, 2, 3, 4, 5, 6, 7, 8, 9, 3]"
    same "cluster, shards" --set data.sampler=cluster --set data.cluster_rows=16
fi
same "cluster, labels" --set data.sampler=cluster --set data.clusters=label --set data.draw_clusters=2
[ "$(printf '%s\n' "${seen[@]}" | sort -u | wc -l)" = ${#seen[@]} ] || wrong "two samplers gave the same weights"

checks "shuffle: false is sequential"
run one 1 --set data.shuffle=false
[ "$hash" = "${seen[1]}" ] || wrong "shuffle: false is not the sampler sequential"

checks "another store and depth when a run is resumed: same weights; another sampler: refused"
run half 2 --set train.steps=12 --set data.store=memory --set run.checkpoint_every=5 --set data.prefetch=3
rm "$work"/half/checkpoints/ckpt-000000000012.h5
refuse "another sampler" "sampler" "poisson" -- launch 1 1 train "$work/c.yaml" --set run.folder="$work/half" \
    --set data.sampler=poisson --resume auto
succeed "resume" launch 3 1 train "$work/c.yaml" --set run.folder="$work/half" --resume auto --set data.prefetch=0
hash=$(sed -n 's/^weights //p' "$work/out")
grep -q 'waiting for data [0-9.]* %' "$work/out" || wrong "no share of waiting in the last line"
[ "$hash" = "${seen[0]}" ] || wrong "resumed with another store: other weights"
grep -q 'store: file' "$work/half/config.yaml" || wrong "the run folder's configuration lacks data.store"

checks "what does not fit together is refused"
# bad TEXT OPTIONS...
bad() {
    local text=$1
    shift
    refuse "$*" "$text" -- launch 1 1 train "$work/c.yaml" --set run.folder="$work/bad" "$@"
    [ "$code" = 2 ] || wrong "$*: exit code $code, not 2"
}
bad "data.capacity (24) is too small" --set data.sampler=poisson --set data.capacity=24
bad "multiple of data.leaves" --set data.sampler=poisson --set data.capacity=100
bad "data.capacity" --set data.capacity=96
bad "contradict" --set data.shuffle=false --set data.sampler=poisson
bad "data.rate" --set data.rate=0.5
bad "data.drop_tail" --set data.sampler=replacement --set data.drop_tail=true
bad "one of: shuffle, sequential" --set data.sampler=random
succeed "bench" launch 2 1 bench "$work/c.yaml" --steps 3 --set data.store=memory
grep -q '"stall_share":[0-9]' "$work/out" || wrong "bench does not tell the share of waiting"
finish
