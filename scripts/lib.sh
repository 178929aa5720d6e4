# Shared by the scripts of this folder; sourced, not run. Sets `root` (the source folder) and defines:
#   say LINE...          lines to the user
#   die TEXT...          an error to stderr, exit 1
#   usage_error TEXT...  an error in the arguments, exit 2
#   cores                number of CPUs that this process may use
#   mpi_env RANKS        exports what mpirun needs to start RANKS ranks on this one machine
# shellcheck shell=bash

# shellcheck disable=SC2034 # used by the scripts that source this file
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

say() { printf '%s\n' "$@"; }

die() {
    printf '%s: %s\n' "${0##*/}" "$*" >&2
    exit 1
}

usage_error() {
    printf '%s: %s (see --help)\n' "${0##*/}" "$*" >&2
    exit 2
}

cores() { nproc; }

# Threads per rank: the cores divided by the ranks. Values that the user has exported are kept.
mpi_env() {
    local ranks=$1 n
    n=$(cores)
    # Open MPI refuses root unless told twice; anyone else needs neither.
    if [ "$(id -u)" -eq 0 ]; then
        export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
    fi
    # More ranks than slots is an error by default, and waiting ranks would take the CPU from working ones.
    if [ "$n" -lt "$ranks" ]; then
        export OMPI_MCA_rmaps_base_oversubscribe=1 OMPI_MCA_mpi_yield_when_idle=1
    fi
    # With two ranks Open MPI binds each to one core, and all OpenMP threads of a rank with it.
    export OMPI_MCA_hwloc_base_binding_policy=${OMPI_MCA_hwloc_base_binding_policy:-none}
    # One machine: no socket needs to leave it.
    export OMPI_MCA_btl_tcp_if_include=${OMPI_MCA_btl_tcp_if_include:-lo}
    export OMPI_MCA_oob_tcp_if_include=${OMPI_MCA_oob_tcp_if_include:-lo}
    export OMP_NUM_THREADS=${OMP_NUM_THREADS:-$((n / ranks > 0 ? n / ranks : 1))}
    # Threads of OpenBLAS and oneDNN that spin while others work cost a factor of four on shared cores.
    export OMP_WAIT_POLICY=${OMP_WAIT_POLICY:-passive}
}
