#!/usr/bin/env bash
# A rank that does not get on: the watchdog ends the job with 76 and names the rank, its host, the step and the phase,
# whether the rank loops for ever, was stopped, or is the only one; a file system that hangs does not keep it. What was
# merely slow goes on. Afterwards --resume auto gives the weights of an undisturbed run.
# shellcheck disable=SC1091
. "$2/tests/training.sh"

succeed "synth" "$banff" synth shapes --out "$work/d.h5" --train 64 --test 16 --size 8x8
cat >"$work/c.yaml" <<YAML
recipe: lipschitz
run: {progress: off, log_every: 1, checkpoint_every: 3, watchdog: 3}
data: {file: $work/d.h5, batch: 16, leaves: 4}
train: {epochs: 3}
model:
  layers:
    - {type: flatten}
    - {type: dense, out: 16}
    - {type: groupsort2}
    - {type: head, out: 10}
YAML
[ -n "$slow" ] && sed -i 's/watchdog: 3/watchdog: 6/' "$work/c.yaml"
train=(train "$work/c.yaml" --set run.folder="$work/run")
host=$(uname -n)

# late WHAT TEXT... -- COMMAND...: it ends with 76, and the texts are in the message and in the log. Three attempts: a disk
# that is busy for longer than the limit is a reason, too, to be named.
late() {
    local what=$1 texts=() text try missing
    shift
    while [ "$1" != -- ]; do texts+=("$1"); shift; done
    shift
    for try in 1 2 3; do
        missing=
        code=0
        "$@" >"$work/out" 2>&1 || code=$?
        unsound "$what"
        for text in "${texts[@]}"; do
            grep -qF -- "$text" "$work/out" || missing="no '$text' in the message"
            grep -qF -- "$text" "$work/run/log.txt" || missing=${missing:-"no '$text' in log.txt"}
        done
        [ "$code" = 76 ] || { wrong "$what: exit code $code"; return 1; }
        [ -z "$missing" ] && return 0
    done
    wrong "$what: $missing (try $try)"
}

succeed "train" launch 2 1 "${train[@]}"
expect=$(weights "$work/run")
[ ! -e "$work/run/.watch" ] || wrong "the watchdog's files are left: $(ls -l "$work/run/.watch")"

# Phases and the rank that hangs in them; each run goes on from the one before it.
rm -rf "$work/run"
checks "an endless loop in one of three ranks, in several phases: named, 76, and the run can be resumed"
stalls=(1:2:compute 0:9:checkpoint)
thorough || stalls=(0:9:checkpoint)
for stall in "${stalls[@]}"; do
    IFS=: read -r rank step phase <<<"$stall"
    BNF_TEST_STALL=$stall late "stall in $stall" "rank $rank on host $host is late: step $step, phase $phase, for " \
        "; 2 others wait (step $step, phase $phase); " -- launch 3 1 "${train[@]}" --resume auto
done
checks "one rank alone"
BNF_TEST_STALL=0:11:update late "one rank" "rank 0 on host $host is late: step 11, phase update" -- \
    launch 1 1 "${train[@]}" --resume auto
checks "a rank that was slow, and a watchdog that is off: the run ends well, with the weights of an undisturbed one"
BNF_TEST_STALL=1:10:compute:0.7 succeed "slow" launch 2 1 "${train[@]}" --resume auto --set run.watchdog=30
[ "$(weights "$work/run")" = "$expect" ] || wrong "weights differ"

cat >"$work/wrap" <<'WRAP'
#!/bin/sh
echo $$ >"$1/pid.$OMPI_COMM_WORLD_RANK"
shift
exec "$@"
WRAP
chmod +x "$work/wrap"

# endless WHAT-TO-DO: two ranks that train without end, until the function was called when step 6 was there
endless() {
    rm -rf "$work/run" "$work"/pid.*
    mpirun -n 2 "$work/wrap" "$work" "$banff" "${train[@]}" --set train.epochs=1000000 >"$work/out" 2>&1 &
    mpirun=$!
    until reached "$work/run" 6 || ! kill -0 $mpirun 2>/dev/null; do sleep 0.05; done
    "$@"
    code=0
    wait $mpirun || code=$?
    unsound "$*"
    [ "$code" = 76 ] || wrong "$*: exit code $code"
}

# What `endless` calls:
# shellcheck disable=SC2317
stop_rank() { kill -STOP "$(cat "$work/pid.1")"; }
# shellcheck disable=SC2317
hang() {
    local f
    for f in "$work"/run/.watch/*; do rm "$f" && mkfifo "$f"; done
    stop_rank
}
checks "a rank that was stopped: the other one names it"
endless stop_rank
grep -qE "rank 1 on host $host is late: step [1-9][0-9]*, phase [a-z]+, no sign of life for [0-9.]+ s; " "$work/out" ||
    wrong "rank 1 was not named"
if grep -qF "rank 0 on host $host is late" "$work/out"; then wrong "rank 0 was named"; fi
checks "a file system that hangs when the limit has passed: each rank ends by what it knows itself"
for try in 1 2 3; do
    endless hang
    grep -qE "rank 0 on host $host waits for other ranks: step [0-9]+, phase [a-z]+, for .*the run folder does not answer" \
        "$work/out" && break
    # Only where rank 0 itself writes may a disk that is busy for longer than the limit be named in place of the wait.
    if [ $try = 3 ] || ! grep -qE "rank 0 on host $host is late: step [0-9]+, phase (checkpoint|end)," "$work/out"; then
        wrong "no message (try $try)"
        break
    fi
done

checks "nonsense in the variable for tests is refused"
BNF_TEST_STALL=1:x refuse "variable" "BNF_TEST_STALL" -- launch 1 1 "${train[@]}" --resume auto
finish
