#!/usr/bin/env bash
# A network of what is learned beside weights (angles of householder layers, shares of residual sums) and of a head of Frobenius norm 1:
# the same weights on 1 and 3 ranks; certified, attacked and exported. Usage: lipschitz_layers.sh BUILD SOURCE
# shellcheck disable=SC1091,SC2154
. "$2/tests/training.sh"

cat >"$work/net.yaml" <<END
recipe: lipschitz
seed: 3
run: {folder: $work/one}
data: {file: $work/shapes.h5, batch: 32, leaves: 8}
train: {epochs: 2}
optim: {rule: adam, lr: 0.01}
loss: {kind: hkr_soft, alpha: 50, min_margin: 0.2, temperature: 10}
model:
  constraint: bjorck
  layers:
    - {type: conv, out: 4}
    - {type: householder}
    - {type: block}
    - {type: conv, out: 4}
    - {type: householder}
    - {type: add, learned: true}
    - {type: block}
    - {type: l2_pool}
    - {type: conv, out: 8}
    - {type: shortcut}
    - {type: unshuffle}
    - {type: conv, out: 8, kernel: 1}
    - {type: add, learned: true}
    - {type: dense, out: 16}
    - {type: householder}
    - {type: head, out: 10, disjoint: false}
END
said() { sed -n 's/^weights \([0-9a-f]*\)$/\1/p' "$work/out"; }
succeed synth "$banff" synth shapes --out "$work/shapes.h5" --train 192 --test 24 --size 8
succeed "train on 1 rank" "$banff" train "$work/net.yaml"
one=$(said)
succeed "train on 3 ranks" mpirun -n 3 "$banff" train "$work/net.yaml" --set run.folder="$work/three"
[[ $one && $one = "$(said)" ]] || wrong "weights of 1 and 3 ranks: $one and $(said)"

succeed certify "$banff" certify "$work/one"
constant=$(sed -n 's/^ *"lipschitz_features": \([^,]*\).*/\1/p' "$work/one/certificate.json")
awk -v l="${constant:-9}" 'BEGIN { exit !(l > 0.4 && l < 1.01) }' || wrong "Lipschitz constant $constant is not between 0.4 and 1"
succeed attack "$banff" attack "$work/one" --option samples=8 --option steps=20
succeed "export" "$banff" export "$work/one" --out "$work/net.onnx"
for what in layer2.householder/normal layer6.add/own head.weight; do
    grep -q "$what" "$work/net.onnx" || wrong "no '$what' in the ONNX model"
done

# The angles and shares have been learned, and the head has norm 1.
succeed "export of weights" "$banff" export "$work/one" --out "$work/a.npz"
succeed "export of start weights" "$banff" export "$work/net.yaml" --initial --out "$work/b.npz"
if python3 -c 'import numpy' 2>/dev/null; then
    succeed numpy python3 - "$work/a.npz" "$work/b.npz" <<'END'
import sys
import numpy as np

now, start = (np.load(path) for path in sys.argv[1:])
for name, shape in {"householder1.angle": (2,), "householder2.angle": (2,), "householder3.angle": (8,), "add1.mix": (1,), "add2.mix": (1,)}.items():
    assert now[name].shape == shape, name
    assert np.allclose(start[name], np.pi / 2 if "angle" in name else 0)
    assert (now[name] != start[name]).all(), name
assert abs(np.linalg.norm(now["head.weight"].astype(float)) - 1) < 1e-6
END
else
    echo "numpy is not installed: learned numbers were not looked at"
fi
refuse "an odd number of channels" "layer 2 (householder): householder: needs an even number of channels" -- "$banff" plan "$work/net.yaml" \
    --set 'model.layers=[{type: conv, out: 3}, {type: householder}, {type: head, out: 10}]'
finish
