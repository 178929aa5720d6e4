# Shared by tests/cluster; sourced behind tests/training.sh, not run. Gives:
#   need ROOT-ONLY PROGRAMS...     skips the test, saying why, unless root and all programs are here
#   alone SCRIPT ARGUMENTS...      starts the script again on a machine of its own: processes, network, host name and
#                                  shared memory apart from this one's. Whatever it starts ends with it, also by kill -9.
#                                  Where that is not permitted the script just goes on ($alone says which)
#   wait_for SECONDS WHAT COMMAND...   until the command succeeds
#   reached FOLDER STEP            whether a run has a checkpoint of this step or a later one; newest FOLDER prints its step
#   slurm_up NODES                 munge, slurmctld and slurmd for nodes n1 ..., all state in $work/slurm. A job that
#                                  is queued again waits for 6 s: so long the old start's credentials hold
#   slurm_down                     ends what slurm_up has started
#   state JOB                      RUNNING, PENDING, COMPLETED ...
#   node_processes NODE            pids of everything that runs on a node: slurmd, slurmstepd, batch scripts, ranks
# shellcheck shell=bash disable=SC2154 # $work is of tests/training.sh

skip() {
    printf 'skipped: %s\n' "$*"
    exit 77
}

need_root_and() {
    local program
    [ "$(id -u)" -eq 0 ] || skip "only root can start these daemons and hosts"
    for program in "$@"; do
        command -v "$program" >/dev/null || [ -x "/usr/sbin/$program" ] || skip "no $program (scripts/install-deps --test)"
    done
    PATH=$PATH:/usr/sbin:/sbin
}

newest() {
    find "$1/checkpoints" -name 'ckpt-*.h5' ! -name '*.part-*' 2>/dev/null | sed 's/.*ckpt-0*\([0-9]*\)[-.].*/\1/' | sort -n |
        tail -n 1
}

reached() { [ "$(newest "$1")" -ge "$2" ] 2>/dev/null; }

spaces=(--net --mount --pid --uts --ipc --fork --kill-child --mount-proc)
alone() {
    if [ -n "${BNF_ALONE:-}" ]; then
        ip link set lo up
        # The resolver finds no address, not even 127.0.0.1, for programs that ask for what is configured here
        # (AI_ADDRCONFIG) while there is none but the loopback's.
        ip link add eth0 type veth peer name eth1
        ip addr add 192.168.77.1/30 dev eth0
        ip link set eth0 up
        ip link set eth1 up
        hostname cluster
        mount -t tmpfs tmpfs /dev/shm
        mount -t tmpfs tmpfs "$work" # what is synced there costs nothing
        trap 'umount -l "$work"; rmdir "$work"' EXIT
        printf '127.0.0.1 localhost cluster\n' >"$work/hosts"
        mount --bind "$work/hosts" /etc/hosts
        alone=yes
    elif unshare "${spaces[@]}" true 2>/dev/null; then
        rm -rf "$work"
        BNF_ALONE=1 exec unshare "${spaces[@]}" bash "$@"
    else
        alone=no
        echo "namespaces are not permitted here: the daemons run among the other processes"
    fi
}

wait_for() {
    local end=$((SECONDS + $1)) what=$2
    shift 2
    until "$@"; do
        if [ $SECONDS -ge $end ]; then
            wrong "waited in vain for $what"
            return 1
        fi
        sleep 0.1
    done
}

# Of `count` ports in a row the first, none of them in use.
free_ports() {
    local count=$1 first try
    for try in $(seq 50); do
        first=$((20000 + (RANDOM * 7 + $$ + try) % 12000))
        if ! ss -Hltn | awk '{ sub(/.*:/, "", $4); print $4 }' | awk -v a=$first -v n="$count" '$1 >= a && $1 < a + n { bad = 1 } END { exit !bad }'; then
            echo $first
            return
        fi
    done
}

slurm_conf() { # NODES PORT
    cat <<CONF
ClusterName=banff
SlurmctldHost=$(hostname -s)(127.0.0.1)
SlurmctldPort=$2
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket=$slurm/munge.sock,cred_expire=5
CredType=cred/munge
StateSaveLocation=$slurm/state
SlurmdSpoolDir=$slurm/%n.spool
TmpFS=$slurm/%n.tmp
SlurmctldPidFile=$slurm/slurmctld.pid
SlurmdPidFile=$slurm/%n.pid
SlurmctldLogFile=$slurm/slurmctld.log
SlurmdLogFile=$slurm/%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerParameters=batch_sched_delay=0,sched_interval=1,bf_interval=1,sched_min_interval=0
SlurmdParameters=config_overrides
MpiDefault=pmix
ReturnToService=2
KillOnBadExit=1
KillWait=5
MinJobAge=600
SlurmdTimeout=6
MessageTimeout=5
NodeName=n[1-$1] NodeHostname=$(hostname -s) NodeAddr=127.0.0.1 Port=[$(($2 + 1))-$(($2 + $1))] CPUs=2 RealMemory=1000
PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE State=UP
CONF
}

all_idle() { [ "$(sinfo -h -N -t idle -o %N 2>/dev/null | wc -l)" = "$1" ]; }

slurm_up() {
    local nodes=$1 i
    slurm=$work/slurm
    mkdir -p "$slurm/state"
    chmod 755 "$work" "$slurm" # munged refuses a folder that others could write to, and one they cannot enter
    for ((i = 1; i <= nodes; i++)); do mkdir -p "$slurm/n$i.spool" "$slurm/n$i.tmp"; done
    head -c 1024 /dev/urandom >"$slurm/munge.key"
    chmod 600 "$slurm/munge.key"
    slurm_conf "$nodes" "$(free_ports $((nodes + 1)))" >"$slurm/slurm.conf"
    export SLURM_CONF=$slurm/slurm.conf
    # Several nodes on one host: ranks of two nodes must not meet in shared memory that each believes to be its own.
    export OMPI_MCA_btl=tcp,self
    [ "$alone" = yes ] || trap 'slurm_down; rm -rf "$work"' EXIT
    munged --force --num-threads=2 --socket="$slurm/munge.sock" --key-file="$slurm/munge.key" --pid-file="$slurm/munge.pid" \
        --log-file="$slurm/munge.log" --seed-file="$slurm/munge.seed" >"$work/out" 2>&1 || { wrong "munged"; return 1; }
    slurmctld -f "$SLURM_CONF" -c -i >"$work/out" 2>&1 || { wrong "slurmctld"; return 1; }
    for ((i = 1; i <= nodes; i++)); do
        slurmd -f "$SLURM_CONF" -N "n$i" -c >"$work/out" 2>&1 || { wrong "slurmd n$i"; return 1; }
    done
    wait_for 30 "$nodes idle nodes" all_idle "$nodes" || { tail -n 5 "$slurm"/*.log; return 1; }
}

# A daemon by its pid file, and time to end.
slurm_end() {
    local file pid
    for file in "$@"; do
        pid=$(cat "$file" 2>/dev/null) && kill "$pid" 2>/dev/null
    done
    for file in "$@"; do
        pid=$(cat "$file" 2>/dev/null) || continue
        for _ in $(seq 50); do
            kill -0 "$pid" 2>/dev/null || break
            sleep 0.1
        done
        kill -9 "$pid" 2>/dev/null
    done
}

none_left() { [ -z "$(squeue -h 2>/dev/null)" ]; }

# Not needed on a machine of its own: all of it ends with this script, which is the first process there.
slurm_down() {
    scancel -u root 2>/dev/null
    for _ in $(seq 100); do
        none_left && break
        sleep 0.1
    done
    slurm_end "$slurm"/n*.pid # before slurmctld: they would wait for it
    slurm_end "$slurm/slurmctld.pid"
    slurm_end "$slurm/munge.pid"
}

state() { scontrol show job -o "$1" 2>/dev/null | sed -n 's/.* JobState=\([A-Z_]*\).*/\1/p' | head -n 1; }

node_processes() {
    local file pid parent
    cat "$slurm/$1.pid"
    for file in /proc/[0-9]*/environ; do
        grep -qszx "SLURMD_NODENAME=$1" "$file" && grep -qszxF "SLURM_CONF=$SLURM_CONF" "$file" || continue
        pid=${file//[!0-9]/}
        echo "$pid"
        parent=$(awk '{ print $4 }' "/proc/$pid/stat" 2>/dev/null) || continue
        grep -qs '^slurmstepd' "/proc/$parent/comm" && echo "$parent"
    done | sort -u
}
