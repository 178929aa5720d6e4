#!/usr/bin/env bash
# scripts/bench comm: how much communication of a training step is not hidden behind computing, on two hosts with a slow link.
set -euo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

usage() {
    cat <<'END_OF_TEXT'
Usage: scripts/bench comm [--rate RATE] [--out FILE] [--quick] [vgg|resnet...]
  Two hosts in network namespaces (scripts/vnet; needs root), one rank with one thread on each, joined by a link of RATE
  (default 1gbit). For every network and every way for gradients to travel: seconds of a step, seconds in which the rank that
  waits least does nothing but wait for messages ("exposed"), its share of the step, and the floor, 2(n-1)/n * bytes /
  bandwidth, that everything on the wire takes at least. About five minutes.
  networks   vgg: jobs/fashion-lipschitz/vgg.yaml (1.3 million weights); resnet: jobs/bench/resnet50-sized.yaml (25.6 million)
  --quick    fewer steps
  --out      JSON file (default build/bench-comm.json): one object per measurement
Shares of one run are the result; absolute figures change with the machine's load.
END_OF_TEXT
}

rate=1gbit out='' networks=() divide=1
while [ $# -gt 0 ]; do
    case $1 in
        --rate) rate=${2:?--rate needs a rate such as 1gbit}; shift ;;
        --out) out=${2:?--out needs a file}; shift ;;
        --quick) divide=2 ;;
        -h | --help) usage; exit 0 ;;
        vgg | resnet) networks+=("$1") ;;
        *) usage_error "unknown option or network '$1'" ;;
    esac
    shift
done
[ ${#networks[@]} -gt 0 ] || networks=(vgg resnet)
case $rate in
    *gbit) bytes_per_second=$(awk "BEGIN { print ${rate%gbit} * 1e9 / 8 }") ;;
    *mbit) bytes_per_second=$(awk "BEGIN { print ${rate%mbit} * 1e6 / 8 }") ;;
    *) usage_error "unknown rate '$rate': give gbit or mbit" ;;
esac

cd "$root"
banff=$root/build/release/banff
out=${out:-build/bench-comm.json}
[ -x "$banff" ] || die "run scripts/quickstart first: it builds $banff"
hosts=$(mktemp -d)
trap 'scripts/vnet stop "$hosts"; rm -rf "$hosts"' EXIT
scripts/vnet start "$hosts" 2 || exit $?
scripts/vnet rate "$hosts" "$rate"
mkdir -p data/cache
export OMP_NUM_THREADS=1 OMP_WAIT_POLICY=passive

data_set() { # FILE SIZE CHANNELS
    [ -f "$1" ] || "$banff" synth shapes --out "$1" --train 1024 --test 0 --size "$2" --channels "$3" --seed 1
}

# measure NETWORK CONFIG STEPS POLICY CUTS OPTIONS...: a line of JSON with what was measured in front
measure() {
    local name=$1 config=$2 steps=$3 policy=$4 cuts=$5
    shift 5
    say "$name: $policy, cuts $cuts $*"
    "$hosts/mpirun" -n 2 --map-by node "$banff" bench "$config" --steps $((steps / divide > 2 ? steps / divide : 2)) \
        --set dist.progress="$policy" --set dist.cuts="$cuts" "$@" |
        sed "s|^{|{\"network\":\"$name\",\"link_bytes_per_second\":$bytes_per_second,\"options\":\"$*\",|" >>"$out.tmp"
}

: >"$out.tmp"
for net in "${networks[@]}"; do
    case $net in
        vgg)
            data_set data/cache/bench-28.h5 28x28 1
            run=(vgg jobs/fashion-lipschitz/vgg.yaml 8) more=(--set data.file=data/cache/bench-28.h5)
            ;;
        resnet)
            data_set data/cache/bench-96.h5 96x96 3
            run=(resnet jobs/bench/resnet50-sized.yaml 5) more=()
            ;;
    esac
    measure "${run[@]}" blocking 0 "${more[@]}"
    for cuts in 0 1 2; do measure "${run[@]}" poll $cuts "${more[@]}"; done
    measure "${run[@]}" thread 1 "${more[@]}"
    measure "${run[@]}" poll 1 "${more[@]}" --set train.gradient_wire=bf16
done
mv "$out.tmp" "$out"

awk '
function field(name) { return match($0, "\"" name "\":[0-9.e+-]+") ? substr($0, RSTART + length(name) + 3, RLENGTH - length(name) - 3) + 0 : -1 }
function text(name) { match($0, "\"" name "\":\"[^\"]*\""); return substr($0, RSTART + length(name) + 4, RLENGTH - length(name) - 5) }
BEGIN { printf "%-8s %-9s %4s %-5s %9s %10s %10s %9s %11s %9s\n", "network", "progress", "cuts", "wire", "step s", "compute s", "exposed s", "% of step", "(longest %)", "floor %" }
{
    n = field("ranks"); step = field("step_seconds"); wire = text("options") ~ /bf16/ ? "bf16" : "f32"
    bytes = field("gradient_bytes") * (wire == "bf16" ? 0.75 : 1) # gradients in half the bytes, new values whole
    floor = 2 * (n - 1) / n * bytes / field("link_bytes_per_second")
    printf "%-8s %-9s %4d %-5s %9.3f %10.3f %10.4f %9.1f %11.1f %9.1f\n", text("network"), text("progress"), field("cuts"), wire, step,
        field("compute_seconds"), field("least_exposed_seconds"), 100 * field("least_exposed_seconds") / step,
        100 * field("exposed_seconds") / step, 100 * floor / step
}' "$out"
say "" "$(getconf _NPROCESSORS_ONLN) cores for two hosts, link of $rate. Measurements as JSON: $out"
