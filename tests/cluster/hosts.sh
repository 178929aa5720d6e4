#!/usr/bin/env bash
# Three hosts over TCP, with the job script and settings as they are shipped: the same bits as on one host; a host that is
# cut off ends the job soon, by name; the others go on to the same bits; what lives on behind the cut harms nothing.
# shellcheck disable=SC1091
. "$2/tests/training.sh"
# shellcheck disable=SC1091
. "$2/tests/cluster.sh"
source_dir=$2
need_root_and unshare nsenter ip ss sshd ssh
alone "$0" "$@"
[ "$alone" = yes ] || skip "this machine does not allow namespaces"
net=$work/net
code=0
"$source_dir/scripts/vnet" start "$net" 3 >"$work/out" 2>&1 || code=$?
[ $code != 77 ] || skip "$(sed -n 's/^skipped: //p' "$work/out")"
[ $code = 0 ] || { wrong "scripts/vnet start"; finish; }

steps=48
succeed "synth" "$banff" synth shapes --out "$work/d.h5" --train 400 --test 100 --size 16x16
cat >"$work/c.yaml" <<YAML
recipe: lipschitz
run: {folder: $work/plain, progress: off, log_every: 10, checkpoint_every: 4, keep: 3, eval_every: 4}
data: {file: $work/d.h5, batch: 32, leaves: 8, flip: true}
train: {epochs: 100000, steps: $steps}
model:
  layers:
    - {type: conv, out: 8}
    - {type: groupsort2}
    - {type: l2_pool}
    - {type: flatten}
    - {type: head, out: 10}
YAML
curves() { sed -E 's/, "(samples_per_second|[a-z]+_seconds)": [^,}]*//g' "$1/metrics.jsonl"; }
checks "one host, three ranks"
succeed "train" launch 3 1 train "$work/c.yaml"
expect=$(weights "$work/plain")
curves "$work/plain" >"$work/curves"

# start HOSTS RUN OPTION...: the shipped script, on the first of the hosts, one rank on each. Its number is in $pid, what it
# says in RUN.log
start() {
    local hosts=$1 run=$2 file=$work/hosts.${1// /.}
    shift 2
    # shellcheck disable=SC2086 # a line for each
    printf '%s slots=1\n' $hosts >"$file"
    (
        cd "$source_dir" || exit
        unset OMPI_MCA_btl_tcp_if_include OMPI_MCA_oob_tcp_if_include
        export BANFF=$banff BANFF_LAUNCHER=mpirun BANFF_BIND=none BANFF_NETWORK=eth0
        BANFF_RANKS=$(wc -w <<<"$hosts")
        export BANFF_RANKS BANFF_LAUNCHER_OPTIONS="--hostfile $file --map-by node"
        export OMPI_MCA_plm_rsh_agent="ssh -F $net/ssh_config"
        exec "$net/on" "${hosts%% *}" bash jobs/fashion-lipschitz/job.sbatch "$work/c.yaml" --set run.folder="$run" "$@"
    ) >"$run.log" 2>&1 &
    pid=$!
}
is_over() { ! kill -0 "$1" 2>/dev/null; }
# ended WHAT PID RUN: waits for a job; its exit code is in $code
ended() {
    wait_for "$limit" "the end: $1" is_over "$2" || kill -9 "$2"
    code=0
    wait "$2" || code=$?
    cp "$3.log" "$work/out"
}
# same WHAT RUN: weights and metrics of the undisturbed run, and every checkpoint is sound
same() {
    [ "$(weights "$2")" = "$expect" ] || wrong "$1: other weights"
    curves "$2" | cmp -s - "$work/curves" || wrong "$1: other metrics"
    sound "$1" "$2"
}
sound() {
    local file
    if "$banff" --help | grep -q '^  checkpoint'; then
        succeed "$1: checkpoints" "$banff" checkpoint verify "$2"
    else
        for file in "$2"/checkpoints/ckpt-*.h5; do
            succeed "$1: $file" "$banff" eval "$file"
        done
    fi
}
received() { "$net/switch" ip -s link show dev "v$1" | awk '/RX:/ { getline; print $1 }'; }
no_rank_on() {
    local host
    for host in "$@"; do
        "$net/on" "$host" ps -C banff -o stat= | grep -qv '^Z' && return 1
    done
    return 0
}
# signal NAME HOST PROGRAM...: to all of them on that host, which sees no other processes than its own
signal() {
    local name=$1 host=$2 program
    shift 2
    for program in "$@"; do
        # shellcheck disable=SC2046
        "$net/on" "$host" kill "-$name" $("$net/on" "$host" pgrep -x "$program")
    done
}

checks "three hosts, one rank on each, over TCP"
before=$(received 2)
start "n1 n2 n3" "$work/three"
ended "three hosts" $pid "$work/three"
[ $code = 0 ] || wrong "three hosts: exit code $code"
[ $(($(received 2) - before)) -gt 200000 ] || wrong "three hosts: hardly anything came from n2 over the network"
same "three hosts" "$work/three"

cut_off() { "$source_dir/scripts/vnet" cut "$net" "$1"; }
plug_in() { "$source_dir/scripts/vnet" mend "$net" "$1"; }
checks "a host is cut off: the job ends within 20 s and names it, and what ran there is gone, too"
start "n1 n2 n3" "$work/cut"
wait_for "$limit" "a checkpoint" reached "$work/cut" 12
cut_off n2
begin=$SECONDS
ended "cut off" $pid "$work/cut"
took=$((SECONDS - begin))
echo "  the job ended after $took s with code $code"
[ $took -le 20 ] || wrong "cut off: the job ended after $took s"
[ $code -gt 128 ] || wrong "cut off: exit code $code"
grep -q 'lost communication with a remote daemon' "$work/out" && grep -q 'Remote daemon: .* on node n2' "$work/out" ||
    wrong "cut off: n2 is not named"
grep -q 'job: a rank or host was lost' "$work/out" || wrong "cut off: the job script does not say so"
wait_for 20 "the end of the rank behind the cut" no_rank_on n2
sound "cut off" "$work/cut"
checks "the others go on to the same bits"
start "n1 n3" "$work/cut"
ended "two hosts" $pid "$work/cut"
[ $code = 0 ] || wrong "two hosts: exit code $code"
grep -q 'resumed ' "$work/cut/log.txt" || wrong "two hosts: began anew"
same "two hosts" "$work/cut"
plug_in n2

# A newer job has to be told that the folder is to be taken from one that may be alive.
take=()
"$banff" train --help | grep -q -- '--take-over' && take=(--take-over)

checks "the first host, with rank 0 and mpirun, is paused and cut off; the others go on; it wakes up and is back: no harm"
start "n1 n2 n3" "$work/first"
old=$pid
wait_for "$limit" "a checkpoint" reached "$work/first" 12
mv "$work/first.log" "$work/first-old.log"
signal STOP n1 mpirun banff
cut_off n1
wait_for "$limit" "the end of the others" no_rank_on n2 n3
start "n2 n3" "$work/first" "${take[@]}"
wait_for "$limit" "a new checkpoint" reached "$work/first" 24
signal CONT n1 banff mpirun
plug_in n1
ended "the successor" $pid "$work/first"
[ $code = 0 ] || wrong "the successor: exit code $code"
ended "the stale job" $old "$work/first-old"
[ $code != 0 ] || wrong "the stale job ends as if all were well"
wait_for 20 "the end of the stale rank" no_rank_on n1
same "first host" "$work/first"

if [ ${#take[@]} -gt 0 ]; then
    checks "a whole job is paused, another takes its folder; it wakes up in the middle: it ends with 78, no harm"
    start "n1 n2 n3" "$work/paused"
    old=$pid
    wait_for "$limit" "a checkpoint" reached "$work/paused" 12
    mv "$work/paused.log" "$work/paused-old.log"
    ranks=()
    for host in n1 n2 n3; do
        for rank in $("$net/on" $host pgrep -x banff); do ranks+=("$host:$rank"); done
        signal STOP $host banff
    done
    start "n2 n3" "$work/paused" --take-over
    wait_for "$limit" "a new checkpoint" reached "$work/paused" 24
    for rank in "${ranks[@]}"; do "$net/on" "${rank%:*}" kill -CONT "${rank#*:}"; done
    ended "the successor" $pid "$work/paused"
    [ $code = 0 ] || wrong "the successor: exit code $code"
    ended "the stale job" $old "$work/paused-old"
    [ $code = 78 ] || wrong "the stale job: exit code $code"
    grep -q 'job: a newer job has the run folder' "$work/out" || wrong "the stale job does not say why it ends"
    same "paused" "$work/paused"
fi
finish
