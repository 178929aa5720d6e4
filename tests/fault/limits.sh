#!/usr/bin/env bash
# Time limits: the run stops in time with a checkpoint and exit code 75 on every rank, whether the limit is an option, a
# setting or the end of a SLURM job; going on gives the weights of an undisturbed run. Nonsense is refused.
# shellcheck disable=SC1091
. "$2/tests/training.sh"

succeed "synth" "$banff" synth shapes --out "$work/d.h5" --train 64 --test 16 --size 8x8
cat >"$work/c.yaml" <<YAML
recipe: lipschitz
run: {progress: off, log_every: 1, checkpoint_every: 3}
data: {file: $work/d.h5, batch: 16, leaves: 4}
train: {epochs: 100000, steps: 12}
model:
  layers:
    - {type: flatten}
    - {type: dense, out: 16}
    - {type: groupsort2}
    - {type: head, out: 10}
YAML
train=(train "$work/c.yaml" --set run.folder="$work/run")
at() { printf '%s/run/checkpoints/ckpt-%012d.h5' "$work" "$1"; }

succeed "train" launch 1 1 "${train[@]}"
expect=$(weights "$work/run")
rm -rf "$work/run"

checks "no time at all: every rank stops after its first step, with 75 and a checkpoint"
every_rank "limit 0" 3 "stopped for the time limit after step 1" -- "${train[@]}" --time-limit 0
[ "$code" = 75 ] || wrong "exit code $code"
[ -e "$(at 1)" ] || wrong "no checkpoint of step 1"
checks "the same as a setting, going on: one step more, and again on other ranks"
refuse "setting" "stopped for the time limit after step 2" -- launch 1 2 "${train[@]}" --resume auto --set run.time_limit=0s
[ "$code" = 75 ] || wrong "exit code $code"
checks "a SLURM job that ends now: the same, unless limits are turned off"
export SLURM_JOB_ID=1 SLURM_JOB_END_TIME
SLURM_JOB_END_TIME=$(date +%s)
refuse "SLURM" "stopped for the time limit after step 3" -- launch 2 1 "${train[@]}" --resume auto --time-limit 1-00:00:00
[ "$code" = 75 ] || wrong "exit code $code"
succeed "none" launch 2 1 "${train[@]}" --resume auto --time-limit none
unset SLURM_JOB_ID SLURM_JOB_END_TIME
[ "$(weights "$work/run")" = "$expect" ] || wrong "weights differ"

checks "a limit that comes while it runs: the steps before it are done and kept"
rm -rf "$work/run"
refuse "limit" "stopped for the time limit after step " -- launch 2 1 "${train[@]}" --set train.steps=0 --time-limit 5
[ "$code" = 75 ] || wrong "exit code $code"
step=$(sed -n 's/.*stopped for the time limit after step \([0-9]*\);.*/\1/p' "$work/out" | head -n 1)
if [ "${step:-0}" -lt 1 ] || [ ! -e "$(at "${step:-0}")" ]; then wrong "no checkpoint of step $step"; fi

checks "what is no length of time is refused, with the key"
refuse "nonsense" "run.time_limit" "'soon'" -- launch 2 1 "${train[@]}" --time-limit soon
[ "$code" = 2 ] || wrong "exit code $code"
finish
