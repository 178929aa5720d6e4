# Shared by the job scripts of this folder, and part of every script that `banff submit` writes; sourced, not run. Gives:
#   job_train CONFIG [OPTION]...   trains on all ranks of the job and ends the script: done, failed, or queued again
#   job_sweep CONFIG [FILE] [OPTION]...   the same for one task of an array: line SLURM_ARRAY_TASK_ID of FILE holds its
#                                  settings (key=value ...; empty lines and lines with # do not count); %a in any of
#                                  the arguments is the task's number
#   job_collect FOLDER             what the tasks of a sweep reached: FOLDER/results.csv, and a table
# Settings from the environment (sbatch hands it on):
#   BANFF                   the program (default build/release/banff)
#   BANFF_LAUNCHER          srun, mpirun or auto (default): srun if SLURM has pmix, which Open MPI needs, else mpirun
#   BANFF_LAUNCHER_OPTIONS  more words for it
#   BANFF_BIND              cores (default): each rank keeps to its own; none: the system moves ranks and threads
#   BANFF_NETWORK           interface or network that MPI shall use, e.g. ib0 or 10.1.0.0/16; MPI chooses by default
#   BANFF_MAX_RESTARTS      how often a job may come back after it lost a rank or a host (default 5); stops at the time
#                           limit do not count
#   BANFF_SWEEP             folder of a sweep (default runs/sweep-<job id>); task N trains in BANFF_SWEEP/N
#   BANFF_RANKS             ranks where there is no SLURM (default 2)
# Variables of Open MPI and OpenMP that are set already are left as they are.
# shellcheck shell=bash

job_say() { printf 'job: %s\n' "$*"; }

job_die() {
    printf 'job: %s\n' "$*" >&2
    exit 2
}

# Exports each NAME=VALUE whose NAME is not set.
job_default() {
    local pair name
    for pair in "$@"; do
        name=${pair%%=*}
        [ -n "${!name:-}" ] || export "${pair?}"
    done
}

job_settings() {
    banff=${BANFF:-build/release/banff}
    [ -x "$banff" ] || job_die "no program '$banff': build it (cmake --preset release && cmake --build --preset release) or set BANFF"
    job_default OMP_NUM_THREADS="${SLURM_CPUS_PER_TASK:-1}"
    export SRUN_CPUS_PER_TASK=$OMP_NUM_THREADS # srun does not take over --cpus-per-task by itself
    # Threads that wait sleep: ranks and threads may share cores.
    job_default OMP_WAIT_POLICY=passive
    # mpirun's daemons probe each other after 5 s of silence and give a host up 3 x 2 s later. Open MPI's defaults take
    # 8 minutes, in which the whole job would wait for a host that is cut off.
    job_default OMPI_MCA_oob_tcp_keepalive_time=5 OMPI_MCA_oob_tcp_keepalive_intvl=2 OMPI_MCA_oob_tcp_keepalive_probes=3
    if [ -n "${BANFF_NETWORK:-}" ]; then
        job_default OMPI_MCA_btl_tcp_if_include="$BANFF_NETWORK" OMPI_MCA_oob_tcp_if_include="$BANFF_NETWORK"
    fi
}

# Fills `launch`: the words before the program.
job_launcher() {
    local kind=${BANFF_LAUNCHER:-auto} bind=${BANFF_BIND:-cores} ranks=${SLURM_NTASKS:-}
    [ -n "${SLURM_JOB_ID:-}" ] || ranks=${BANFF_RANKS:-2}
    [[ $bind == cores || $bind == none ]] || job_die "BANFF_BIND=$bind: it must be cores or none"
    if [ "$kind" = auto ]; then
        kind=mpirun
        if [ -n "${SLURM_JOB_ID:-}" ] && srun --mpi=list 2>&1 | grep -qw pmix; then kind=srun; fi
    fi
    case $kind in
        srun)
            launch=(srun --mpi=pmix --kill-on-bad-exit=1)
            # Only a task plugin can bind. Without one every rank sees all cores of its host, and threads that bound
            # themselves would all go to the first ones.
            if [ "$bind" = cores ] && scontrol show config | grep -qi '^TaskPlugin .*affinity'; then
                launch+=(--cpu-bind=cores)
                job_default OMP_PROC_BIND=close OMP_PLACES=cores
            fi
            ;;
        mpirun)
            launch=(mpirun)
            [ -z "$ranks" ] || launch+=(-n "$ranks")
            if [ "$bind" = cores ]; then
                launch+=(--map-by "slot:PE=$OMP_NUM_THREADS" --bind-to core)
                job_default OMP_PROC_BIND=close OMP_PLACES=cores
            else
                launch+=(--bind-to none)
            fi
            ;;
        *) job_die "BANFF_LAUNCHER=$kind: it must be srun, mpirun or auto" ;;
    esac
    local more
    read -ra more <<<"${BANFF_LAUNCHER_OPTIONS:-}"
    launch+=("${more[@]}")
}

# Runs a command on all ranks; its exit code is in `code`. USR1, which SLURM sends to this script before the time limit
# (#SBATCH --signal=B:USR1@...), goes on to the ranks, which save and end with 75; `asked` tells.
job_run() {
    local pid=''
    asked=no
    trap 'asked=yes; [ -z "$pid" ] || kill -USR1 "$pid" 2>/dev/null' USR1
    trap : TERM # the ranks get it, too, and save: this script waits for them
    "${launch[@]}" "$@" &
    pid=$!
    [ $asked = no ] || kill -USR1 $pid
    code=0
    wait $pid || code=$?
    while kill -0 $pid 2>/dev/null; do # it was the signal that ended the wait
        code=0
        wait $pid || code=$?
    done
    trap '' USR1
}

# How scontrol calls this job: in an array, the id alone may mean the whole array.
job_id() {
    if [ -n "${SLURM_ARRAY_JOB_ID:-}" ]; then
        printf '%s_%s' "$SLURM_ARRAY_JOB_ID" "$SLURM_ARRAY_TASK_ID"
    else
        printf '%s' "$SLURM_JOB_ID"
    fi
}

# job_field NAME: of this job's record
job_field() { scontrol show job -o "$(job_id)" 2>/dev/null | sed -n "s/.* $1=\([^ ]*\).*/\1/p" | head -n 1; }

# job_requeue CODE TEXT: does not return. A job that is being cancelled is left to end: a requeue would bring it back.
job_requeue() {
    if [ -z "${SLURM_JOB_ID:-}" ]; then
        job_say "$2; no SLURM to queue it again: start this script again to go on"
    elif [ "$(job_field JobState)" != RUNNING ]; then
        job_say "$2; not queued again, as SLURM is ending this job: submit it again to go on"
    elif job_say "$2; queued again" && scontrol requeue "$(job_id)"; then
        # SLURM ends this script. Its own end could be taken for that of the job.
        sleep 300
    else
        job_say "SLURM refused to queue it again: submit it again to go on"
    fi
    exit "$1"
}

# The number of stops that were asked for is kept in the job's comment: a long run is stopped at its time limit many
# times, and that shall not use up the restarts after a loss.
job_planned() {
    local n
    n=$(job_field Comment)
    [[ $n == banff-stops:* ]] && printf '%d' "${n#banff-stops:}" || printf 0
}

job_stopped() { # CODE
    local comment
    if [ -n "${SLURM_JOB_ID:-}" ]; then
        comment=$(job_field Comment)
        if [[ -z $comment || $comment == '(null)' || $comment == banff-stops:* ]]; then
            scontrol update "JobId=$(job_id)" "Comment=banff-stops:$(($(job_planned) + 1))" || true
        fi
    fi
    job_requeue "$1" "saved and stopped"
}

job_lost() { # CODE
    local limit=${BANFF_MAX_RESTARTS:-5} restarts
    [ -n "${SLURM_JOB_ID:-}" ] || job_requeue "$1" "a rank or host was lost (exit code $1)"
    restarts=$((${SLURM_RESTART_COUNT:-0} - $(job_planned)))
    if [ "$restarts" -ge "$limit" ]; then
        job_say "a rank or host was lost (exit code $1) after $restarts restarts: not queued again (BANFF_MAX_RESTARTS=$limit)"
        exit "$1"
    fi
    job_requeue "$1" "a rank or host was lost (exit code $1), restart $((restarts + 1)) of at most $limit"
}

# Ends the script by what the ranks ended with (docs/operations.md has the codes).
job_end() {
    case $code in
        0) exit 0 ;;
        1) job_say "failed: the message is above; not queued again" ;;
        2) job_say "configuration or command line is wrong; not queued again" ;;
        75) job_stopped $code ;;
        78) job_say "a newer job has the run folder; this one leaves it alone" ;;
        *)
            # 76: the watchdog. Above 128: ended by a signal, or, 205 and the like, by mpirun when a host was gone.
            if [ "$asked" = yes ]; then
                job_stopped "$code" # the signal came before the ranks were ready for it
            elif [ "$code" -eq 76 ] || [ "$code" -gt 128 ]; then
                job_lost "$code"
            fi
            job_say "failed with exit code $code; not queued again"
            ;;
    esac
    exit "$code"
}

job_train() {
    job_settings
    job_launcher
    job_say "${SLURM_JOB_ID:+$(job_id), start $((${SLURM_RESTART_COUNT:-0} + 1)) on ${SLURM_JOB_NODELIST:-?}: }${launch[*]}, $OMP_NUM_THREADS threads"
    job_run "$banff" train "$@" --resume auto
    job_end
}

# job_line FILE N: the N-th line that counts
job_line() { sed -e '/^[[:space:]]*#/d' -e '/^[[:space:]]*$/d' "$1" | sed -n "$2p"; }

job_sweep() {
    local config=${1:?job_sweep needs a configuration} file='' line='' words=() word args=() task folder settings=''
    task=${SLURM_ARRAY_TASK_ID:-}
    [ -n "$task" ] || job_die "a sweep is an array: sbatch --array=1-N ..."
    shift
    if [ $# -gt 0 ] && [[ $1 != --* ]]; then
        file=$1
        shift
        line=$(job_line "$file" "$task")
        [ -n "$line" ] || job_die "$file has no line $task: --array must end at the number of its lines"
        mapfile -t words < <(xargs -n 1 printf '%s\n' <<<"$line") # words in quotes stay together
    fi
    for word in "${words[@]}"; do
        args+=(--set "$word")
    done
    args+=("$@")
    args=("${args[@]//%a/$task}")
    folder=${BANFF_SWEEP:-runs/sweep-$SLURM_ARRAY_JOB_ID}
    mkdir -p "$folder"
    for word in "${args[@]}"; do
        [[ $word == --set || $word == run.folder=* ]] || settings+="${settings:+ }$word"
    done
    printf '%s\n' "$settings" >"$folder/$task.settings"
    job_train "${config//%a/$task}" "${args[@]}" --set run.folder="$folder/$task"
}

# One row of results.csv: the newest checkpoint of a task is verified and evaluated.
job_row() { # FOLDER TASK
    local out settings
    settings=$(sed 's/"/""/g' "$1/$2.settings")
    # With a test part that; a data set without one is told apart by the program's own refusal.
    out=$("${launch[@]}" "$banff" eval "$1/$2" 2>&1 </dev/null) ||
        out=$("${launch[@]}" "$banff" eval "$1/$2" --train-part 2>&1 </dev/null) || true
    if [[ $out =~ (train|test)\ part,.*\ loss\ ([^ ]+)\ accuracy\ ([^ ]+)\ \(step\ ([0-9]+),\ weights\ ([0-9a-f]+)\) ]]; then
        printf '%s,"%s",%s,%s,%s,%s,%s\n' "$2" "$settings" "${BASH_REMATCH[4]}" "${BASH_REMATCH[1]}" "${BASH_REMATCH[2]}" \
            "${BASH_REMATCH[3]}" "${BASH_REMATCH[5]}"
    else
        printf '%s\n' "$out" >&2
        printf '%s,"%s",,,,,\n' "$2" "$settings"
        return 1
    fi
}

job_collect() {
    local folder=${1:?job_collect needs the folder of a sweep} task tasks bad=0
    job_settings
    job_launcher
    mapfile -t tasks < <(find "$folder" -maxdepth 1 -name '*.settings' -printf '%f\n' | sed 's/\.settings$//' | sort -n)
    [ ${#tasks[@]} -gt 0 ] || job_die "$folder holds no task of a sweep"
    {
        echo task,settings,step,part,loss,accuracy,weights
        for task in "${tasks[@]}"; do
            job_row "$folder" "$task" || bad=$((bad + 1))
        done
    } >"$folder/results.csv.new"
    mv "$folder/results.csv.new" "$folder/results.csv"
    awk -F, '{ settings = $0; sub(/^[^,]*,/, "", settings); for (i = 0; i < 5; i++) sub(/,[^,]*$/, "", settings)
               printf "%6s %8s %6s %12s %9s  %-16s  %s\n", $1, $(NF - 4), $(NF - 3), $(NF - 2), $(NF - 1), $NF, settings }' \
        "$folder/results.csv"
    job_say "${#tasks[@]} tasks in $folder/results.csv"
    [ $bad -eq 0 ] || job_die "$bad of them have nothing to evaluate"
}
