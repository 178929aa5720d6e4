#!/usr/bin/env bash
# Trains a small 1-Lipschitz network on generated shapes, certifies it on 1, 2 and 3 ranks (same bytes), attacks it inside the certificates
# (nothing flips) and outside (something does), and looks for the sections of the report. An unconstrained network is
# told to have no useful certificate. Usage: certify.sh BUILD SOURCE
set -u
build=$1
source=$2
banff=$build/banff
[ -x "$banff" ] || { echo "skipped: $banff was not built"; exit 77; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failed=0
fail() { echo "FAILED: $1"; tail -20 "$work/out"; failed=1; }
run() { # run WHAT COMMAND...
    local what=$1
    shift
    "$@" >"$work/out" 2>&1 || fail "$what"
}
has() { grep -qF -- "$2" "$1" || { echo "FAILED: no '$2' in $1"; failed=1; }; }
value() { sed -n "s/^ *\"$2\": \(.*[^,]\),\{0,1\}\$/\1/p" "$1" | head -1; }
is() { # is VALUE RELATION NUMBER WHAT
    if [ -z "$1" ] || ! awk -v a="$1" -v b="$3" "BEGIN { exit !(a + 0 $2 b + 0) }"; then
        echo "FAILED: $4: $1 is not $2 $3"
        failed=1
    fi
}

# usage: config FILE FOLDER CONSTRAINT LOSS [MORE LAYERS]
config() {
    cat >"$1" <<END
recipe: lipschitz
seed: 3
run: {folder: $2}
data: {file: $work/shapes.h5, batch: 64, leaves: 8}
train: {epochs: 4}
optim: {rule: adam, lr: 0.004}
model:
  constraint: $3
  layers:
    - {type: conv, out: 8, stride: 2}
${5:-}
    - {type: groupsort2}
    - {type: l2_pool}
    - {type: dense, out: 32}
    - {type: groupsort2}
    - {type: head, out: 10}
loss: $4
END
}
config "$work/lip.yaml" "$work/lip" bjorck "{kind: hkr_soft, alpha: 50, min_margin: 0.2, temperature: 10}"
config "$work/free.yaml" "$work/free" none "{kind: cross_entropy}" \
    "    - {type: batch_norm}
    - {type: relu}
    - {type: conv, out: 32}
    - {type: batch_norm}
    - {type: relu}
    - {type: conv, out: 32}
    - {type: batch_norm}"
run synth "$banff" synth shapes --out "$work/shapes.h5" --train 1600 --test 200 --size 16 --noise 10
run "train" mpirun -n 2 "$banff" train "$work/lip.yaml"
run "train unconstrained" mpirun -n 2 "$banff" train "$work/free.yaml"
[ $failed = 0 ] || exit 1

# ---- certificates
for n in 1 2 3; do
    run "certify on $n ranks" mpirun -n $n "$banff" certify "$work/lip"
    cp "$work/lip/certificate.json" "$work/certificate-$n.json"
    cmp -s "$work/certificate-1.json" "$work/certificate-$n.json" || fail "certificates of 1 and $n ranks differ"
done
OMP_NUM_THREADS=2 "$banff" certify "$work/lip" >"$work/out" 2>&1 || fail "certify with 2 threads"
cmp -s "$work/certificate-1.json" "$work/lip/certificate.json" || fail "certificates of 1 and 2 threads differ"
json=$work/lip/certificate.json
is "$(value "$json" lipschitz_features)" "<=" 1.01 "constant of the constrained part"
is "$(value "$json" right)" ">=" 60 "right samples of 200"
is "$(value "$json" mean_radius)" ">" 0.02 "mean certificate"
is "$(value "$json" difference_f32)" "<" 0.001 "difference of f32 and f64 logits"
is "$(value "$json" samples)" "==" 200 "samples"
has "$work/lip/certificate.txt" "conv1"
has "$work/lip/certificate.txt" "36/255"
grep -qE '"by": "(kernel|shifts|grid)"' "$json" || fail "no word on which bound of the convolution was smallest"
if python3 -c 'import json' 2>/dev/null; then
    run "certificate.json is JSON" python3 - "$json" <<'END'
import json, sys
c = json.load(open(sys.argv[1]))
exact, f32, half, root = (c[k] for k in ("exact", "f32", "published_2L", "published_sqrt2L"))
assert exact["mean_radius"] >= f32["mean_radius"] > 0.9 * exact["mean_radius"]
assert exact["mean_radius"] >= half["mean_radius"] and exact["mean_radius"] >= root["mean_radius"]
for form in (exact, f32, half, root):
    a = form["certified_accuracy"]
    assert all(x >= y for x, y in zip(a, a[1:])), a
product = c["lipschitz_input"]
for layer in c["layers"][:-1]:
    product *= layer["bound"]
assert abs(product / c["lipschitz_features"] - 1) < 1e-12
assert c["curve"]["certified_accuracy"][0] == c["right"] / c["samples"]
END
fi
run "certify some of the training part" "$banff" certify "$work/lip" --option samples=64 --option split=train --option radii=0.1
is "$(value "$json" samples)" "==" 64 "samples asked for"
"$banff" certify "$work/lip" --option radius=1 >"$work/out" 2>&1 && fail "an unknown option was taken"
has "$work/out" "radii"

# ---- attacks
for n in 1 2; do
    run "attack on $n ranks" mpirun -n $n "$banff" attack "$work/lip" --option samples=60 --option steps=20 --option restarts=2 \
        --option factors=4,30 --option radii=0.1,2
    cp "$work/lip/attack.json" "$work/attack-$n.json"
done
cmp -s "$work/attack-1.json" "$work/attack-2.json" || fail "attacks on 1 and 2 ranks differ"
has "$work/attack-1.json" '"inside_flipped": 0,'
has "$work/attack-1.json" '"broken": false'
is "$(value "$work/attack-1.json" samples)" "==" 60 "attacked samples"
flipped=$(tr -d '[] \n' <"$work/attack-1.json" | sed 's/.*"factors_flipped":[0-9.e-]*,\([0-9.e-]*\),.*/\1/')
is "$flipped" ">" 0.3 "share that flipped at 30 times the radius"

# ---- reports
run report mpirun -n 2 "$banff" report "$work/lip"
for text in "Mean certificate" "Certified accuracy" "Bounds of the layers" "Attack" "Explanations" "saliency" "Counterfactuals" "36/255"; do
    has "$work/lip/report.html" "$text"
done
pictures=$(grep -o 'data:image/png' "$work/lip/report.html" | wc -l)
is "$pictures" ">=" 20 "pictures in the report"
grep -q "no useful certificate" "$work/lip/report.html" && fail "a certified network is said to have no certificate"
run "certify unconstrained" "$banff" certify "$work/free"
has "$work/free/certificate.txt" "There is no useful certificate"
run "attack unconstrained" "$banff" attack "$work/free" --option samples=20 --option steps=10 --option restarts=1 \
    --option factors= --option radii=1,3
run "report unconstrained" "$banff" report "$work/free"
has "$work/free/report.html" "no useful certificate"
has "$work/free/report.html" "Explanations"
if command -v chromium >/dev/null && [ -z "${BNF_SANITIZE:-}" ]; then
    bash "$source/tests/e2e/report_browser.sh" "$build" "$source" "$work/lip/report.html" >"$work/out" 2>&1 || fail "report in the browser"
fi
exit $failed
