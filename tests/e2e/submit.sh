#!/usr/bin/env bash
# banff submit and jobs/lib.sh with stand-ins for SLURM's programs (tests/cluster/slurm.sh has the real ones): which script
# is written, that its words arrive as they were given, and what is done with each way in which a run can end.
# shellcheck disable=SC1091
. "$2/tests/training.sh"
source_dir=$2
export BANFF_LAUNCHER=auto

mkdir "$work/bin" "$work/it's here"
stand_in() {
    cat >"$work/bin/$1"
    chmod +x "$work/bin/$1"
}
calls=$work/calls
export calls
stand_in sbatch <<'END'
#!/bin/bash
echo "sbatch $*" >>"$calls"
[ -z "${REFUSE:-}" ] || { echo "sbatch: error: no" >&2; exit 1; }
echo "$((41 + $(grep -c ^sbatch "$calls")));cluster"
END
stand_in scontrol <<'END'
#!/bin/bash
case $1 in
    show) [ "$2" = config ] && echo "TaskPlugin = ${PLUGIN:-task/none}" ||
        echo "JobId=7 JobState=${STATE:-RUNNING} Restarts=0 Comment=${COMMENT:-}" ;;
    *) echo "scontrol $*" >>"$calls" ;;
esac
[ "$1" != requeue ] || kill -9 $PPID # as SLURM does
END
stand_in srun <<'END'
#!/bin/bash
[ "$1" != --mpi=list ] || { echo "MPI plugin types are... ${PMI:-pmix}"; exit 0; }
echo "srun" >>"$calls"
while [[ $1 == -* ]]; do shift; done
exec "$@"
END
stand_in mpirun <<'END'
#!/bin/bash
echo "mpirun $*" >>"$calls"
while [ "$1" != "$BANFF" ]; do shift; done
exec "$@"
END
stand_in program <<'END'
#!/bin/bash
printf '<%s>' "$@" >>"$calls"
if [ "${CODE:-0}" = wait ]; then
    trap 'exit 75' USR1
    echo ready >"$calls.ready"
    while :; do sleep 0.05; done
fi
exit "${CODE:-0}"
END
PATH=$work/bin:$PATH

cd "$work" || finish
cat >c.yaml <<'YAML'
recipe: lipschitz
run: {folder: runs/one run}
data: {file: d.h5, batch: 32, leaves: 8}
model:
  layers: [{type: flatten}, {type: head, out: 10}]
YAML
submit() { "$banff" submit "$@"; }
# in_job SCRIPT ARGUMENTS...: as SLURM starts it; a job that was queued again ends with 137, see above
in_job() {
    : >"$calls"
    code=0
    SLURM_JOB_ID=7 SLURM_NTASKS=2 SLURM_SUBMIT_DIR=$source_dir BANFF=$work/bin/program timeout "$limit" bash "$@" >"$work/out" 2>&1 &
    wait $! 2>/dev/null || code=$?
}
called() { grep -qF -- "$2" "$calls" || { cat "$calls" >>"$work/out"; wrong "$1: no '$2'"; }; }
not_called() { ! grep -qF -- "$2" "$calls" || { cat "$calls" >>"$work/out"; wrong "$1: '$2'"; }; }

checks "what is submitted: sbatch's options, the words of the run, the job's number"
: >"$calls"
succeed "submit" submit c.yaml --nodes 2 --ranks-per-node 3 --threads 4 --time 1-00:30 --save-before 300 --partition big \
    --option=--account=me --set 'data.file=it'\''s "a" $file' --set seed=5
grep -qx "job 42: runs/one run/job.sbatch" "$work/out" || wrong "submit: another line than the job's number and script"
called "submit" "sbatch --parsable runs/one run/job.sbatch"
script="runs/one run/job.sbatch"
for option in --nodes=2 --ntasks-per-node=3 --cpus-per-task=4 --time=1-00:30 --signal=B:USR1@300 --partition=big --requeue \
    --open-mode=append '--output="runs/one run/job-%j.log"' --account=me '--job-name="one run"' "--chdir=$work"; do
    grep -qxF -- "#SBATCH $option" "$script" || wrong "submit: no line '#SBATCH $option'"
done
[ "$(grep -n '^#SBATCH' "$script" | tail -n 1 | cut -d: -f1)" -lt "$(grep -n '^set ' "$script" | head -n 1 | cut -d: -f1)" ] ||
    wrong "submit: options behind the first command, where sbatch does not look"
in_job "$script"
called "words" "<train><$work/c.yaml><--set><data.file=it's \"a\" \$file><--set><seed=5><--resume><auto>"
[ $code = 0 ] || wrong "words: exit code $code"
succeed "dry run" with_leaks "$banff" submit c.yaml --dry-run
cp "$work/out" "$work/dry"
bash -n "$work/dry" || wrong "dry run: does not parse"
grep -qF "$(sed -n '/^job_run()/,/^}/p' "$source_dir/jobs/lib.sh")" "$work/dry" || wrong "dry run: not the functions of jobs/lib.sh"

checks "a sweep: an array and the job that collects it"
: >"$calls"
printf '# a comment\n\nseed=1 optim.lr=0.1\n  seed=2 "data.file=a b"\n' >tasks
succeed "sweep" with_leaks "$banff" submit c.yaml --array tasks --at-once 1 --set train.epochs=2
called "sweep" "sbatch --parsable --dependency=afterok:42 runs/one run/collect.sbatch"
grep -qxF -- '#SBATCH --array=1-2%1' "$script" || wrong "sweep: no array of two"
grep -q '^job 43: collects its 2 tasks' "$work/out" || wrong "sweep: the collecting job is not named"
SLURM_ARRAY_JOB_ID=40 SLURM_ARRAY_TASK_ID=2 CODE=75 in_job "$script"
called "sweep" "<--set><seed=2><--set><data.file=a b><--set><train.epochs=2><--set><run.folder=runs/one run/2><--resume><auto>"
called "sweep" "scontrol requeue 40_2"
[ "$(cat "runs/one run/2.settings")" = "seed=2 data.file=a b train.epochs=2" ] || wrong "sweep: other settings are noted"
SLURM_ARRAY_JOB_ID=40 SLURM_ARRAY_TASK_ID=3 in_job "$script"
[ $code = 2 ] && grep -q 'has no line 3' "$work/out" || wrong "sweep: a task without a line does not say so (exit code $code)"
BANFF_SWEEP=$work/s SLURM_ARRAY_JOB_ID=40 SLURM_ARRAY_TASK_ID=3 in_job "$source_dir/jobs/sweep.sbatch" c.yaml --set seed=%a
called "sweep by number" "<train><c.yaml><--set><seed=3><--set><run.folder=$work/s/3>"

checks "nothing is submitted that could only fail"
: >"$calls"
refuse "no such key" "sed" "seed" -- submit c.yaml --set sed=1
refuse "too many ranks" "data.leaves (8)" -- submit c.yaml --nodes 3 --ranks-per-node 3
refuse "no time to train" "--save-before" -- submit c.yaml --time 3
refuse "no time" "days-hours" -- submit c.yaml --time 1:2:3:4
refuse "a task's line" ": task 2: " "sedd" -- submit c.yaml --array <(printf 'seed=1\nsedd=2\n')
refuse "no task" "0 lines" -- submit c.yaml --array <(printf '# none\n')
refuse "an option with a line break" "control characters" -- submit c.yaml --partition $'a\nb'
refuse "half an option" "with its dashes" -- submit c.yaml --option account=me
[ ! -s "$calls" ] || wrong "sbatch was called"
REFUSE=1 refuse "sbatch refuses" "sbatch refused runs/one run/job.sbatch" "sbatch: error: no" -- submit c.yaml
refuse "no sbatch" "cannot run sbatch" "--dry-run" -- env PATH=/nowhere "$banff" submit c.yaml

checks "how a run ends, and whether the job is queued again"
job=$source_dir/jobs/fashion-lipschitz/job.sbatch
# ends CODE-OF-THE-RUN again|CODE-OF-THE-JOB: under the environment of the caller
ends() {
    CODE=$1 in_job "$job"
    if [ "$2" = again ]; then
        called "exit code $1" "scontrol requeue 7"
    else
        not_called "exit code $1" "scontrol requeue"
        [ "$code" = "$2" ] || wrong "exit code $1: the job ends with $code, not $2"
    fi
}
ends 0 0
called "default" "<train><jobs/fashion-lipschitz/config.yaml><--resume><auto>"
ends 1 1
ends 2 2
ends 78 78
ends 75 again
called "a stop is counted" "scontrol update JobId=7 Comment=banff-stops:1"
for lost in 76 137 143 205; do ends $lost again; done
SLURM_RESTART_COUNT=5 ends 137 137
grep -q 'after 5 restarts: not queued again (BANFF_MAX_RESTARTS=5)' "$work/out" || wrong "the limit is not named"
SLURM_RESTART_COUNT=5 BANFF_MAX_RESTARTS=6 ends 137 again
SLURM_RESTART_COUNT=5 COMMENT=banff-stops:1 ends 76 again
SLURM_RESTART_COUNT=99 COMMENT=banff-stops:98 ends 75 again
called "a stop is counted" "Comment=banff-stops:99"
COMMENT=mine ends 75 again
not_called "another's comment" "Comment="
STATE=CANCELLED ends 75 75
STATE=CANCELLED ends 137 137

checks "USR1 to the script goes on to the ranks"
: >"$calls"
rm -f "$calls.ready"
CODE=wait SLURM_JOB_ID=7 SLURM_SUBMIT_DIR=$source_dir BANFF=$work/bin/program bash "$job" >"$work/out" 2>&1 &
pid=$!
until [ -e "$calls.ready" ] || ! kill -0 $pid 2>/dev/null; do sleep 0.02; done
kill -USR1 $pid
wait $pid 2>/dev/null
called "USR1" "scontrol requeue 7"

checks "launchers and settings"
PMI=pmi2 in_job "$job"
called "no pmix" "mpirun -n 2 --map-by slot:PE=1 --bind-to core"
BANFF_LAUNCHER=mpirun BANFF_BIND=none BANFF_LAUNCHER_OPTIONS='--hostfile h' in_job "$job" --set seed=2
called "mpirun" "mpirun -n 2 --bind-to none --hostfile h $work/bin/program train jobs/fashion-lipschitz/config.yaml --set seed=2"
BANFF_LAUNCHER=prun in_job "$job"
[ $code = 2 ] && grep -q 'prun: it must be srun, mpirun or auto' "$work/out" || wrong "an unknown launcher is not refused"
BANFF=$banff BANFF_NETWORK=ib0 OMPI_MCA_oob_tcp_keepalive_probes=9 bash -c '
    unset OMPI_MCA_btl_tcp_if_include OMPI_MCA_oob_tcp_if_include; . "$0"; job_settings; env' "$source_dir/jobs/lib.sh" >"$work/out"
for pair in btl_tcp_if_include=ib0 oob_tcp_if_include=ib0 oob_tcp_keepalive_time=5 oob_tcp_keepalive_probes=9; do
    grep -qx "OMPI_MCA_$pair" "$work/out" || wrong "settings: no OMPI_MCA_$pair"
done
finish
