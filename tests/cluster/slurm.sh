#!/usr/bin/env bash
# Jobs under a real SLURM of three nodes: stopped at the time limit, a rank killed, a node killed, cancelled, a sweep with
# the job that collects it. What finishes has the weights of an undisturbed run.
# shellcheck disable=SC1091
. "$2/tests/training.sh"
# shellcheck disable=SC1091
. "$2/tests/cluster.sh"
source_dir=$2
need_root_and munged slurmctld slurmd sbatch srun squeue scontrol scancel unshare ip ss
alone "$0" "$@"

steps=600
succeed "synth" "$banff" synth shapes --out "$work/d.h5" --train 400 --test 100 --size 16x16
cat >"$work/c.yaml" <<YAML
recipe: lipschitz
run: {folder: $work/plain, progress: off, log_every: 50, checkpoint_every: 10, keep: 3, eval_every: 0}
data: {file: $work/d.h5, batch: 32, leaves: 8, flip: true}
train: {epochs: 100000, steps: $steps}
optim: {schedule: constant}
model:
  layers:
    - {type: conv, out: 8}
    - {type: groupsort2}
    - {type: l2_pool}
    - {type: flatten}
    - {type: head, out: 10}
YAML
is_gone() { [ -z "$(squeue -h -j "$1" 2>/dev/null)" ]; }
is_state() { [ "$(state "$1")" = "$2" ]; }
is_queued_again() { [ "$(restarts "$1")" -ge "$2" ] 2>/dev/null; }
restarts() { scontrol show job -o "$1" 2>/dev/null | sed -n 's/.* Restarts=\([0-9]*\).*/\1/p' | head -n 1; }
has_line() { grep -q -- "$1" "$2" 2>/dev/null; }

# tells WHAT TEXT...: the log of the last submit has each TEXT
tells() {
    local what=$1 text
    shift
    for text in "$@"; do
        has_line "$text" "$log" || { cp "$log" "$work/out"; wrong "$what: no '$text' in the log"; }
    done
}

# submit NAME OPTION...: the number of the job is in $job, its run folder in $run, its log in $log
submit() {
    run=$work/$1
    shift
    "$banff" submit "$work/c.yaml" --set run.folder="$run" "$@" >"$work/out" 2>&1 || wrong "submit"
    job=$(sed -n 's/^job \([0-9]*\): .*/\1/p' "$work/out" | head -n 1)
    [ -n "$job" ] || wrong "submit printed no job"
    log=$run/job-$job.log
}

# ends_well WHAT: the job of the last submit completes with the weights of the undisturbed run
ends_well() {
    local end=$((SECONDS + limit)) now
    while now=$(state "$job"); [ "$now" != COMPLETED ]; do
        case $now in
            FAILED | CANCELLED | TIMEOUT | NODE_FAIL | BOOT_FAIL) break ;;
        esac
        [ $SECONDS -lt $end ] || break
        sleep 0.2
    done
    if [ "$now" != COMPLETED ]; then
        cp "$log" "$work/out"
        wrong "$1: the job is $now"
    elif [ "$(weights "$run")" != "$expect" ]; then
        wrong "$1: other weights than the undisturbed run"
    fi
}

slurm_up 3 || finish
cd "$work" || finish

checks "undisturbed, without SLURM"
succeed "train" launch 1 1 train "$work/c.yaml"
expect=$(weights "$work/plain")

checks "told of its time limit: the job saves, queues itself again and ends with the same weights (2 nodes, srun)"
checks "kill -9 of a rank under mpirun, at the same time: queued again, same weights"
submit asked --nodes 2
asked_job=$job asked_run=$run
export BANFF_LAUNCHER=mpirun
submit rank --nodes 2
unset BANFF_LAUNCHER
rank_job=$job rank_run=$run
wait_for "$limit" "a checkpoint" reached "$asked_run" 50
scancel -b -s USR1 "$asked_job"
wait_for "$limit" "a checkpoint" reached "$rank_run" 50
kill -9 "$(pgrep -f "^$banff train .*$rank_run" | tail -n 1)"
job=$asked_job run=$asked_run log=$asked_run/job-$asked_job.log
wait_for "$limit" "a requeue" is_queued_again "$job" 1
ends_well "time limit"
tells "time limit" 'saved and stopped; queued again' 'start 2 on ' 'srun --mpi=pmix'
has_line 'resumed .*ckpt-' "$run/log.txt" || wrong "time limit: began anew"
job=$rank_job run=$rank_run log=$rank_run/job-$rank_job.log
wait_for "$limit" "a requeue" is_queued_again "$job" 1
ends_well "rank killed"
tells "rank killed" 'a rank or host was lost (exit code 137), restart 1 of at most 5; queued again'
has_line 'resumed .*ckpt-' "$run/log.txt" || wrong "rank killed: began anew"

checks "kill -9 of a node with all that runs there, the batch script, too: SLURM starts the job on the others, same weights"
checks "a real time limit, at the same time"
# sbatch's own options replace those of the script. This run has no end.
submit limit --set train.steps=10000000 --option=--nodelist=n3 --option=--hold
scancel "$job"
limit_job=$(sbatch --parsable --hold --time=1 --signal=B:USR1@50 "$run/job.sbatch") limit_run=$run
scontrol release "$limit_job"
submit node --nodes 2
wait_for "$limit" "a checkpoint" reached "$run" 50
node=$(scontrol show job -o "$job" | sed -n 's/.* BatchHost=\([^ ]*\).*/\1/p')
# shellcheck disable=SC2046
kill -9 $(node_processes "$node")
wait_for "$limit" "a requeue" is_queued_again "$job" 1
ends_well "node killed"
tells "node killed" "start 2 on "
has_line "start 2 on [^:]*$node" "$log" && wrong "node killed: started there again"

checks "the run with the time limit was saved, is queued again and resumed; cancelled, it is not queued again"
job=$limit_job run=$limit_run log=$limit_run/job-$limit_job.log
wait_for "$limit" "the signal before the time limit" has_line 'saved and stopped; queued again' "$log"
saved=$(sed -n 's/.*stopped by a signal after step \([0-9]*\).*/\1/p' "$log" | head -n 1)
wait_for "$limit" "the second start" has_line "resumed .*ckpt-0*${saved}[-.]" "$run/log.txt"
wait_for "$limit" "a new checkpoint" reached "$run" $((saved + 1))
scancel "$job"
wait_for "$limit" "its end" is_gone "$job"
is_state "$job" CANCELLED || wrong "cancelled: the job is $(state "$job")"

checks "sweeps, by banff submit and by hand, and the jobs that collect them"
printf '# seeds\nseed=1\n\nseed=2\n"seed=3"\n' >"$work/seeds"
submit sweep --array "$work/seeds"
numbers=$(cd "$source_dir" && BANFF=$banff BANFF_SWEEP=$work/numbers sbatch --parsable --array=1-2 --ntasks-per-node=1 \
    --output="$work/numbers-%a.log" jobs/sweep.sbatch "$work/c.yaml" --set seed=%a)
table=$(cd "$source_dir" && BANFF=$banff sbatch --parsable --dependency="afterok:$numbers" --output="$work/table" \
    jobs/collect.sbatch "$work/numbers")
collect=$(sed -n 's/^job \([0-9]*\): collects.*/\1/p' "$work/out")
wait_for "$limit" "the collecting job" is_state "$collect" COMPLETED ||
    { cat "$run"/*.log >"$work/out" 2>&1; wrong "sweep: the collecting job is $(state "$collect")"; }
[ "$(wc -l <"$run/results.csv")" = 4 ] || wrong "sweep: not three results"
for seed in 1 2 3; do
    grep -qE "^$seed,\"seed=$seed\",$steps,test,[0-9.]+,[0-9.]+,[0-9a-f]{16}$" "$run/results.csv" ||
        { cp "$run/results.csv" "$work/out"; wrong "sweep: no result of seed $seed"; }
done
[ "$(cut -d, -f7 "$run/results.csv" | sort -u | wc -l)" = 4 ] || wrong "sweep: two seeds with the same weights"
[ "$(weights "$run/1")" = "$expect" ] || wrong "sweep: other weights than the undisturbed run of seed 1"
wait_for "$limit" "the collecting job" is_state "$table" COMPLETED || cat "$work"/numbers-*.log "$work/table"
head -n 3 "$run/results.csv" | cmp - "$work/numbers/results.csv" || wrong "sweep by number: other results"
grep -qE "^ +2 +$steps +test .*\"seed=2\"$" "$work/table" || { cp "$work/table" "$work/out"; wrong "sweep by number: no table"; }
finish
