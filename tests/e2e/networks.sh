#!/usr/bin/env bash
# Networks by name and residual blocks: every configuration of jobs/ builds; a small 1-Lipschitz residual network has the same weights
# on 1 and 3 ranks, is certified, and withstands the attack; so has its unconstrained form on 1 and 2 ranks, with blocks computed again;
# lists and settings that contradict themselves are refused.
# shellcheck disable=SC1091,SC2154
. "$2/tests/training.sh"
source=$2

# ---- every configuration of jobs/, over pictures as small as the networks take
succeed synth "$banff" synth shapes --out "$work/colour.h5" --train 8 --test 4 --size 32 --channels 3
succeed synth "$banff" synth shapes --out "$work/grey.h5" --train 192 --test 24 --size 12 --noise 10
succeed synth "$banff" synth koch --out "$work/koch.h5" --train 8 --test 4
succeed synth "$banff" synth wasserstein --out "$work/wasserstein.h5" --train 8 --test 4
succeed synth "$banff" synth showers --out "$work/showers.h5" --train 8 --test 4 --test-signal 1
configs=0
while read -r config; do
    size=() data=colour
    case $config in # networks of one output want two classes, autoencoders masks
        */koch*.yaml) data=koch ;;
        */wasserstein.yaml) data=wasserstein ;;
        */dark-showers/*.yaml) data=showers ;;
    esac
    if grep -q '^  size:' "$config"; then # as large as they are, plans would take gigabytes and minutes
        size=(--set data.size=32 --set data.batch=32 --set data.leaves=8 --set model.width=0.25)
        awk '/^  batch:/ { b = $2 } /^  leaves:/ { l = $2 } END { exit !(l > 0 && b % l == 0) }' "$config" ||
            wrong "${config#"$source"/}: data.batch is no multiple of data.leaves"
    fi
    succeed "banff plan ${config#"$source"/}" "$banff" plan "$config" --set data.file="$work/$data.h5" --set run.threads=1 "${size[@]}"
    configs=$((configs + 1))
done < <(find "$source/jobs" -name '*.yaml' | sort)
[ $configs -ge 12 ] || wrong "only $configs configurations in jobs/"

# ---- a small one from training to attack
cat >"$work/net.yaml" <<END
recipe: lipschitz
seed: 3
run: {folder: $work/one}
data: {file: $work/grey.h5, batch: 32, leaves: 8}
train: {epochs: 1}
optim: {rule: adam, lr: 0.004}
model: {constraint: bjorck, network: resnet20, width: 0.25}
loss: {kind: hkr_soft, alpha: 50, min_margin: 0.2, temperature: 10}
END
said() { sed -n 's/^weights \([0-9a-f]*\)$/\1/p' "$work/out"; }
succeed "train on 1 rank" "$banff" train "$work/net.yaml"
one=$(said)
succeed "train on 3 ranks" mpirun -n 3 "$banff" train "$work/net.yaml" --set run.folder="$work/three"
[[ $one && $one = "$(said)" ]] || wrong "weights of 1 and 3 ranks: $one and $(said)"
succeed "certify" "$banff" certify "$work/one"
constant=$(sed -n 's/^ *"lipschitz_features": \([^,]*\).*/\1/p' "$work/one/certificate.json")
awk -v l="${constant:-9}" 'BEGIN { exit !(l > 0 && l < 1.01) }' || wrong "Lipschitz constant $constant is not at most 1"
# The operators' norms are smaller than those of the kernels as matrices, which the constraint makes 1 / 3.
[ "$(grep -c 'as a matrix ||W|| = 0.33333' "$work/out")" -ge 10 ] || wrong "kernels are not orthonormal"
succeed "attack" "$banff" attack "$work/one" --option samples=8
succeed "train the unconstrained form" "$banff" train "$work/net.yaml" --set run.folder="$work/free" --set model.constraint=none \
    --set loss.kind=cross_entropy --set train.steps=2
free=$(said)
succeed "certify the unconstrained form" "$banff" certify "$work/free"
succeed "train the unconstrained form on 2 ranks, blocks computed again" mpirun -n 2 "$banff" train "$work/net.yaml" \
    --set run.folder="$work/free2" --set model.constraint=none --set loss.kind=cross_entropy --set train.steps=2 --set run.recompute=blocks
[[ $free && $free = "$(said)" ]] || wrong "weights of the unconstrained form: $free and $(said)"

# ---- what is refused
refuse_plan() { # refuse_plan TEXT SET...
    local text=$1 set=()
    shift
    for s in "$@"; do set+=(--set "$s"); done
    refuse "$*" "$text" -- "$banff" plan "$work/net.yaml" "${set[@]}"
}
head='{type: head, out: 10}'
refuse_plan 'exclude each other' "model.layers=[$head]"
refuse_plan 'model.network or list its model.layers' model.network=none
refuse_plan 'belong to model.network' model.network=none "model.layers=[$head]"
refuse_plan 'batch_norm is not 1-Lipschitz' model.norm=batch_norm
refuse_plan 'resnet18' model.network=resnet19
listed=(model.network=none model.width=1)
refuse_plan 'model.layers: layer 2 (add): there is no block' "${listed[@]}" "model.layers=[{type: relu}, {type: add}, $head]"
refuse_plan 'layer 1 (block): no add ends it' "${listed[@]}" "model.layers=[{type: block}, {type: relu}, $head]"
refuse_plan 'layer 3 (block): the block that begins at layer 1' "${listed[@]}" \
    "model.layers=[{type: block}, {type: relu}, {type: block}, {type: add}, {type: add}, $head]"
refuse_plan 'layer 3 (add): the branch gives' "${listed[@]}" "model.layers=[{type: block}, {type: conv, out: 4}, {type: add}, $head]"

echo "$configs configurations build"
finish
