#!/usr/bin/env bash
# banff run: which ends of a command make it start again, how often, with which words and on how many ranks and hosts; that
# signals reach it; and that a training which hangs and then finds fewer ranks ends with the weights of an undisturbed one.
# shellcheck disable=SC1091
. "$2/tests/training.sh"

mkdir -p "$work/run/checkpoints"
# A stand-in for a job: each start takes the next of $plan (CODE, or CODE:STEP with a new checkpoint), notes its words, and
# "trains" (touches the log) unless the code is written CODE!.
cat >"$work/fake" <<'FAKE'
#!/bin/bash
cd "$(dirname "$0")" || exit 99
read -r now rest <plan
echo "$rest" >plan
echo "$*" >>words
case $now in *:*) : >"run/checkpoints/ckpt-$(printf %012d "${now#*:}").h5" ;; esac
case $now in *!) ;; *) echo x >>run/log.txt ;; esac
now=${now%%:*}
exit "${now%!}"
FAKE
chmod +x "$work/fake"

# runs WHAT PLAN CODE STARTS OPTION...: banff run, its exit code, and how often the command was started
runs() {
    local what=$1 plan=$2 expect=$3 starts=$4 code=0
    shift 4
    echo "$plan" >"$work/plan"
    rm -f "$work"/words "$work"/run/checkpoints/*
    timeout $limit "$banff" run --delay 0 --folder "$work/run" "$@" >"$work/out" 2>&1 || code=$?
    unsound "$what"
    [ "$code" = "$expect" ] || wrong "$what: exit code $code, not $expect"
    [ "$(wc -l <"$work/words")" = "$starts" ] || wrong "$what: started $(wc -l <"$work/words") times, not $starts"
    [ "$(grep -c 'banff run: restart ' "$work/out")" = $((starts - 1)) ] || wrong "$what: not one line for each restart"
}
words() { [ "$(cat "$work/words")" = "$2" ] || wrong "$1: the words were: $(cat "$work/words")"; }

checks "started again after 76, 137, and 1 with a new checkpoint; --resume auto goes behind, --overwrite goes out"
runs "again" "76 137:6 1:9 0" 0 4 "$work/fake" train c.yaml --overwrite
words "again" "train c.yaml --overwrite
train c.yaml --resume auto
train c.yaml --resume auto
train c.yaml --resume auto"
grep -qF "restart 2 of 10 in 0 s: exit code 137 (a rank was killed), checkpoint of step 6" "$work/out" || wrong "no reason"
runs "resume is there" "143 0" 0 2 "$work/fake" --resume=auto
words "resume is there" "--resume=auto
--resume=auto"
checks "not after 2, 78, 75 (but through it when asked to), 1 without progress"
runs "2" "2 0" 2 1 "$work/fake"
runs "78" "78 0" 78 1 -- "$work/fake"
runs "75" "75:3 0" 75 1 "$work/fake"
runs "through 75" "75:3 75:4 0" 0 3 --through-signals "$work/fake"
runs "1" "1 0" 1 1 "$work/fake"
checks "not too often: --max-restarts, --max-idle"
runs "restarts" "137:1 137:2 137:3 0" 137 3 --max-restarts 2 "$work/fake"
runs "idle" "76:1 76 76 0" 76 3 --max-idle=2 "$work/fake"
checks "fewer ranks when it does not begin"
runs "ranks" "76:5 1! 205! 0" 0 4 --min-ranks 2 "$work/fake" -n 4 x
words "ranks" "-n 4 x
-n 4 x --resume auto
-n 3 x --resume auto
-n 2 x --resume auto"
checks "hosts that answer"
runs "hosts" "137:1 0" 0 2 --hosts "a:2,b,c:3" --probe "[ {host} != b ] && [ {host}\$(wc -l <$work/words) != a1 ]" \
    --min-ranks 3 "$work/fake" -n "{n}" --host "{hosts}"
words "hosts" "-n 5 --host a:2,c:3
-n 3 --host c:3 --resume auto"
refuse "too few hosts" "only 1 slots on hosts that answer, and at least 2" -- "$banff" run --folder "$work/run" \
    --hosts "a:2,b" --probe "[ {host} = b ]" --min-ranks 2 "$work/fake"
checks "nonsense is refused"
for bad in "--max-idle 0 x" "--no-such 3 x" "--min-ranks 2 x" "--hosts a:x x" ""; do
    # shellcheck disable=SC2086
    refuse "banff run $bad" "banff run: " -- "$banff" run $bad
    [ "$code" = 2 ] || wrong "banff run $bad: exit code $code"
done
refuse "no folder" "give --folder" -- "$banff" run true
refuse "no such command" "cannot run" -- "$banff" run --folder "$work/run" "$work/nothing"
[ "$code" = 127 ] || wrong "no such command: exit code $code"

checks "signals are passed on, and then nothing is started again; mpirun's first SIGTERM becomes SIGUSR1"
cat >"$work/wait" <<'WAIT'
#!/bin/bash
trap 'echo TERM >"$(dirname "$0")/got"; exit 75' TERM
trap 'echo USR1 >"$(dirname "$0")/got"; exit 75' USR1
: >"$(dirname "$0")/ready"
while :; do sleep 0.05; done
WAIT
chmod +x "$work/wait"
cp "$work/wait" "$work/mpirun"
for pair in wait:TERM wait:USR1 mpirun:TERM; do
    rm -f "$work"/got "$work"/ready
    "$banff" run --delay 0 --through-signals --folder "$work/run" "$work/${pair%:*}" >"$work/out" 2>&1 &
    pid=$!
    until [ -e "$work/ready" ] || ! kill -0 $pid 2>/dev/null; do sleep 0.02; done
    kill "-${pair#*:}" $pid
    code=0
    wait $pid || code=$?
    [ "$code" = 75 ] || wrong "$pair: exit code $code"
    got=$(cat "$work/got" 2>/dev/null)
    [ "$got" = "$([ ${pair%:*} = mpirun ] && echo USR1 || echo "${pair#*:}")" ] || wrong "$pair: the command got '$got'"
done

checks "a training that hangs, and then finds only two slots: the weights of an undisturbed one"
succeed "synth" "$banff" synth shapes --out "$work/d.h5" --train 64 --test 16 --size 8x8
cat >"$work/c.yaml" <<YAML
recipe: lipschitz
run: {folder: $work/undisturbed, progress: off, checkpoint_every: 3}
data: {file: $work/d.h5, batch: 16, leaves: 4}
train: {epochs: 3}
model:
  layers:
    - {type: flatten}
    - {type: dense, out: 16}
    - {type: groupsort2}
    - {type: head, out: 10}
YAML
cat >"$work/launcher" <<'LAUNCH'
#!/bin/bash
folder=$(dirname "$0")
echo "$2" >>"$folder/starts"
case $(wc -l <"$folder/starts") in
    1) export BNF_TEST_STALL=1:5:compute ;;
    2) echo "not enough slots" >&2; exit 1 ;;
esac
exec mpirun "$@"
LAUNCH
chmod +x "$work/launcher"
succeed "undisturbed" launch 1 1 train "$work/c.yaml"
watchdog=6 # a disk that is busy for longer costs a start more, no more than that
thorough || watchdog=8
succeed "banff run" timeout $limit "$banff" run --delay 0 --min-ranks 1 "$work/launcher" -n 3 \
    "$banff" train "$work/c.yaml" --set run.folder="$work/restarted" --set run.watchdog=$watchdog
grep -qF "restart 1 of 10 in 0 s, 3 ranks: exit code 76 (a rank was late), " "$work/out" || wrong "the first restart is not told"
[[ "$(tr '\n' ' ' <"$work/starts")" = "3 3 2 "* ]] || wrong "ranks of the starts: $(tr '\n' ' ' <"$work/starts")"
[ "$(weights "$work/restarted")" = "$(weights "$work/undisturbed")" ] || wrong "weights differ"
finish
