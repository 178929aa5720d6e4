#!/usr/bin/env bash
# banff export: the same archive from 1 and 2 ranks, whole as a ZIP file, and (with numpy) with the shapes and norms that the network
# has. Usage: export.sh BUILD SOURCE
set -u
build=$1
banff=$build/banff
[ -x "$banff" ] || { echo "skipped: $banff was not built"; exit 77; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failed=0
fail() { echo "FAILED: $1"; cat "$work/out"; failed=1; }

cat >"$work/config.yaml" <<END
recipe: lipschitz
data: {file: $work/shapes.h5, batch: 32, leaves: 4}
run: {folder: $work/run}
train: {epochs: 1, steps: 3}
model:
  constraint: bjorck
  layers:
    - {type: conv, out: 4, stride: 2}
    - {type: groupsort2}
    - {type: dense, out: 6}
    - {type: head, out: 10, bias: false}
END
"$banff" synth shapes --out "$work/shapes.h5" --train 96 --test 32 --size 10x12 >"$work/out" 2>&1 || fail synth
"$banff" train "$work/config.yaml" >"$work/out" 2>&1 || fail train
"$banff" export "$work/run" --out "$work/a.npz" >"$work/out" 2>&1 || fail "export on 1 rank"
mpirun -n 2 "$banff" export "$work/run" --out "$work/b.npz" >"$work/out" 2>&1 || fail "export on 2 ranks"
cmp "$work/a.npz" "$work/b.npz" >"$work/out" 2>&1 || fail "archives of 1 and 2 ranks differ"
if command -v unzip >/dev/null; then
    unzip -tq "$work/a.npz" >"$work/out" 2>&1 || fail "unzip finds an error"
fi
if python3 -c 'import numpy' 2>/dev/null; then
    python3 - "$work/a.npz" >"$work/out" 2>&1 <<'END' || fail "numpy"
import sys
import numpy as np

z = np.load(sys.argv[1])
want = {"conv1.weight": (4, 1, 3, 3), "conv1.bias": (4,), "dense1.weight": (6, 120), "dense1.bias": (6,), "head.weight": (10, 6)}
for name, shape in want.items():
    assert z[name].shape == shape and z[name].dtype == np.float32, (name, z[name].shape, z[name].dtype)
# Stride 2: a pixel is in at most 2 x 2 patches, so the matrix has norm 1/2; the head has unit rows.
assert abs(np.linalg.norm(z["conv1.weight"].reshape(4, 9).astype(float), 2) - 0.5) < 1e-2
assert np.linalg.norm(z["dense1.weight"].astype(float), 2) < 1 + 1e-4
assert np.allclose(np.linalg.norm(z["head.weight"].astype(float), axis=1), 1, atol=1e-6)
END
else
    echo "numpy is not installed: shapes were not checked"
fi
# The network as an ONNX model: the same bytes from 1 and 2 ranks; what is in it, tests/unit/lipschitz_onnx.c looks at.
"$banff" export "$work/run" --out "$work/a.onnx" >"$work/out" 2>&1 || fail "export of an ONNX model on 1 rank"
mpirun -n 2 "$banff" export "$work/run" --format onnx --out "$work/b.onnx" >"$work/out" 2>&1 || fail "... on 2 ranks"
cmp "$work/a.onnx" "$work/b.onnx" >"$work/out" 2>&1 || fail "ONNX models of 1 and 2 ranks differ"
grep -q 'Gemm' "$work/a.onnx" || fail "no operator in the ONNX model"
"$banff" export "$work/run" --raw --out "$work/c.onnx" >"$work/out" 2>&1 && fail "raw weights as an ONNX model"
[ ! -e "$work/c.onnx" ] || fail "a refused export left a file"
# ... and logits to compare by: the same from 1 and 2 ranks, never more than there are pictures.
"$banff" export "$work/run" --logits 1000 --out "$work/logits.npz" >"$work/out" 2>&1 || fail "export --logits on 1 rank"
grep -q "32 pictures, 10 logits each" "$work/out" || fail "what --logits says"
mpirun -n 2 "$banff" export "$work/run" --logits 1000 --out "$work/logits2.npz" >"$work/out" 2>&1 || fail "export --logits on 2 ranks"
cmp "$work/logits.npz" "$work/logits2.npz" >"$work/out" 2>&1 || fail "logits of 1 and 2 ranks differ"
"$banff" export "$work/run" >"$work/out" 2>&1 && fail "export without --out succeeded"
grep -qF -- "--out FILE" "$work/out" || fail "no hint at --out"
timeout 60 mpirun -n 2 "$banff" export "$work/run" --out /no/such/folder/w.npz >"$work/out" 2>&1
code=$?
if [ $code = 0 ] || [ $code = 124 ] || ! grep -q "/no/such/folder" "$work/out"; then fail "an unwritable output (exit code $code)"; fi

# Start weights: what --initial writes is what training starts from; raw weights of a run go in again.
train() { "$banff" train "$work/config.yaml" --overwrite "$@" >"$work/out" 2>&1 && grep '^weights' "$work/out"; }
plain=$(train) || fail "train again"
for format in npz safetensors; do
    "$banff" export "$work/config.yaml" --initial --out "$work/start.$format" >"$work/out" 2>&1 || fail "export --initial $format"
    [ "$(train --set seed=1 --weights "$work/start.$format")" = "$plain" ] || fail "other weights from start.$format"
done
cp "$work/start.npz" "$work/first.npz"
train --set seed=2 >/dev/null
"$banff" export "$work/run" --raw --out "$work/raw.safetensors" >"$work/out" 2>&1 || fail "export --raw"
"$banff" export "$work/config.yaml" --initial --set train.weights="$work/raw.safetensors" --out "$work/again.safetensors" \
    >"$work/out" 2>&1 || fail "export --initial of start weights"
cmp "$work/raw.safetensors" "$work/again.safetensors" >"$work/out" 2>&1 || fail "raw weights differ after a round trip"
two=$(mpirun -n 2 "$banff" train "$work/config.yaml" --overwrite --weights "$work/raw.safetensors" 2>"$work/out" | grep '^weights')
[ -n "$two" ] && [ "$(train --weights "$work/raw.safetensors")" = "$two" ] || fail "1 and 2 ranks from start weights differ"
[ "$two" != "$plain" ] || fail "start weights changed nothing"

# refused WORD OPTION...: training ends on both ranks, with a message.
refused() {
    timeout 60 mpirun -n 2 "$banff" train "$work/config.yaml" --overwrite "${@:2}" >"$work/out" 2>&1
    local code=$?
    if [ $code = 0 ] || [ $code = 124 ] || ! grep -qF -- "$1" "$work/out"; then fail "no '$1' for ${*:2} (exit code $code)"; fi
}
head -c 2000 "$work/start.safetensors" >"$work/cut.safetensors"
refused "is cut off" --weights "$work/cut.safetensors"
refused "'dense1.weight' has the shape [6, 120], the network's is [8, 120]" --weights "$work/start.npz" \
    --set 'model.layers=[{type: conv, out: 4, stride: 2}, {type: groupsort2}, {type: dense, out: 8}, {type: head, out: 10, bias: false}]'
refused "no/such/file" --weights "$work/no/such/file"

"$banff" export "$work/config.yaml" --batches 2 --out "$work/batches.npz" >"$work/out" 2>&1 || fail "export --batches"
grep -q "2 batches of 32 rows" "$work/out" || fail "what --batches says"
"$banff" export "$work/config.yaml" --batches 2 --initial --out "$work/x.npz" >"$work/out" 2>&1 && fail "two things at once"
"$banff" export "$work/run" --format pickle --out "$work/x.npz" >"$work/out" 2>&1 && fail "an unknown format"
exit $failed
