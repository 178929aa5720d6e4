#!/usr/bin/env bash
# SIGTERM, SIGINT and SIGUSR1, to one rank or through mpirun: all ranks finish their step, write a checkpoint and end
# with 75; going on from it, on other ranks and threads, gives the weights and metrics of an undisturbed run.
# shellcheck disable=SC1091
. "$2/tests/training.sh"

steps=240
thorough || steps=100
succeed "synth" "$banff" synth shapes --out "$work/d.h5" --train 200 --test 40 --size 16x16
cat >"$work/c.yaml" <<YAML
recipe: lipschitz
run: {progress: off, log_every: 10, checkpoint_every: 5, keep: 3, eval_every: 20}
data: {file: $work/d.h5, batch: 32, leaves: 8, flip: true}
train: {epochs: 100, steps: $steps}
model:
  layers:
    - {type: conv, out: 8}
    - {type: groupsort2}
    - {type: l2_pool}
    - {type: flatten}
    - {type: head, out: 10}
YAML
train=(train "$work/c.yaml" --set run.folder="$work/run")
curves() { sed -E 's/, "(samples_per_second|[a-z]+_seconds)": [^,}]*//g' "$work/run/metrics.jsonl"; }
at() { printf '%s/run/checkpoints/ckpt-%012d.h5' "$work" "$1"; }

succeed "train" launch 1 1 "${train[@]}"
expect=$(weights "$work/run")
curves >"$work/curves"

# stopped SIGNAL RANKS WHO: sends it to WHO (mpirun, last rank, or the only process) when step 15 is there; the code of
# the run in $code
stopped() {
    local pid whom try
    for try in 1 2 3; do
        rm -rf "$work/run"
        if [ "$2" = 1 ]; then
            OMP_NUM_THREADS=1 "$banff" "${train[@]}" >"$work/out" 2>&1 &
        else
            OMP_NUM_THREADS=1 mpirun --mca orte_abort_on_non_zero_status 0 -n "$2" "$work/wrap" "$work" "$banff" "${train[@]}" \
                >"$work/out" 2>&1 &
        fi
        pid=$!
        until reached "$work/run" 15 || ! kill -0 $pid 2>/dev/null; do sleep 0.005; done
        whom=$pid
        [ "$3" = rank ] && whom=$(pgrep -P "$(pgrep -P $pid -x wrap | tail -n 1)")
        kill "-$1" "$whom" 2>/dev/null
        code=0
        wait $pid || code=$?
        [ -e "$(at $steps)" ] || return 0
    done
    wrong "$1: three runs ended before the signal (try $try)"
}

# went_on WHAT RANKS THREADS
went_on() {
    grep -qE "stopped by a signal after step [0-9]+" "$work/out" || wrong "$1: no message"
    step=$(sed -n 's/.*stopped by a signal after step \([0-9]*\).*/\1/p' "$work/out" | head -n 1)
    [ -e "$(at "${step:-0}")" ] || wrong "$1: no checkpoint of step $step"
    succeed "$1, resume" launch "$2" "$3" "${train[@]}" --resume auto
    [ "$(weights "$work/run")" = "$expect" ] || wrong "$1: weights differ"
    curves | cmp -s - "$work/curves" || wrong "$1: metrics differ"
}

# As every_rank: the exit codes of ranks, one by one.
cat >"$work/wrap" <<'WRAP'
#!/bin/bash
trap '' USR1 # mpirun sends it to the whole group
folder=$1
shift
(trap - USR1; exec "$@")
code=$?
echo $code >"$folder/rank.$OMPI_COMM_WORLD_RANK"
exit $code
WRAP
chmod +x "$work/wrap"
ranks_ended() {
    local r
    for ((r = 0; r < $2; r++)); do
        [ "$(cat "$work/rank.$r" 2>/dev/null)" = 75 ] ||
            wrong "$1: rank $r ended with '$(cat "$work/rank.$r" 2>/dev/null)', not 75"
    done
    rm -f "$work"/rank.*
}

checks "SIGTERM, one rank: exit code 75, then two ranks go on"
stopped TERM 1 process
[ "$code" = 75 ] || wrong "exit code $code"
went_on "SIGTERM" 2 1
if thorough; then
    checks "SIGINT, one rank: the same, then one rank with two threads"
    stopped INT 1 process
    [ "$code" = 75 ] || wrong "exit code $code"
    went_on "SIGINT" 1 2
fi
checks "SIGTERM to the last of three ranks: all three end with 75, then one goes on"
stopped TERM 3 rank
ranks_ended "SIGTERM" 3
went_on "SIGTERM to a rank" 1 1
checks "SIGUSR1 to mpirun, which passes it on: both ranks end with 75, then three go on"
stopped USR1 2 mpirun
ranks_ended "SIGUSR1" 2
went_on "SIGUSR1" 3 1
checks "SIGTERM during an evaluation and a checkpoint: they are finished, then a checkpoint is there, and 75"
for phase in 40:evaluate 15:checkpoint; do
    before=$((${phase%:*} - 5))
    rm -rf "$work/run"
    BNF_TEST_STALL=0:$phase:1 "$banff" "${train[@]}" --set data.batch=160 >"$work/out" 2>&1 & # 2 steps in an epoch
    pid=$!
    until reached "$work/run" $before || ! kill -0 $pid 2>/dev/null; do sleep 0.02; done
    sleep 0.3 # it is in the phase by now, or at least comes to it with the signal
    kill -TERM $pid
    code=0
    wait $pid || code=$?
    unsound "$phase"
    [ "$code" = 75 ] || wrong "SIGTERM in $phase: exit code $code"
    step=$(sed -n 's/.*stopped by a signal after step \([0-9]*\);.*/\1/p' "$work/out" | head -n 1)
    [ -e "$(at "${step:-0}")" ] || wrong "SIGTERM in $phase: no checkpoint of step $step"
done
checks "the same signal on two ways counts once; a second one later ends the process at once, and what was saved stands"
for gap in 0 1.2; do
    rm -rf "$work/run"
    stay=2
    [ $gap = 0 ] || stay=1000
    BNF_TEST_STALL=0:12:compute:$stay "$banff" "${train[@]}" >"$work/out" 2>&1 &
    pid=$!
    until reached "$work/run" 10 || ! kill -0 $pid 2>/dev/null; do sleep 0.02; done
    sleep 0.5 # it is in step 12
    kill -USR1 $pid
    sleep $gap
    kill -USR1 $pid
    code=0
    wait $pid || code=$?
    unsound "two signals"
    is=75
    [ $gap = 0 ] || is=$((128 + $(kill -l USR1)))
    [ "$code" = $is ] || wrong "two signals, $gap s apart: exit code $code, not $is"
    [ -e "$(at 10)" ] || wrong "two signals: the checkpoint before them is gone"
done
finish
