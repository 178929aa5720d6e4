/* cli/doctor_rules.c - what is wrong with a machine, and the remedy as a command. */
#include "cli/doctor.h"

#include <math.h>
#include <stdarg.h>
#include <string.h>

void bnf_doctor_add(bnf_doctor_findings *to, bool fails, const char *remedy, const char *format, ...)
{
    va_list args;
    if (to->count == BNF_DOCTOR_FINDINGS)
        return;
    bnf_doctor_finding *f = &to->item[to->count++];
    f->fails = fails;
    to->failures += fails;
    va_start(args, format);
    vsnprintf(f->text, sizeof f->text, format, args);
    va_end(args);
    snprintf(f->remedy, sizeof f->remedy, "%s", remedy);
}

static bool first_on_host(const bnf_doctor_facts *f, int r)
{
    for (int i = 0; i < r; i++)
        if (strcmp(f[i].host, f[r].host) == 0)
            return false;
    return true;
}

static int hosts_of(const bnf_doctor_facts *f, int ranks)
{
    int n = 0;
    for (int r = 0; r < ranks; r++)
        n += first_on_host(f, r);
    return n;
}

static int ranks_on(const bnf_doctor_facts *f, int ranks, int host)
{
    int n = 0;
    for (int r = 0; r < ranks; r++)
        n += strcmp(f[r].host, f[host].host) == 0;
    return n;
}

/* One rank with more threads than CPUs. Said once for all. */
static void judge_binding(const bnf_doctor_facts *f, int ranks, bnf_doctor_findings *to)
{
    int bad = -1, n = 0;
    char remedy[200];
    for (int r = 0; r < ranks; r++)
        if (f[r].threads > f[r].allowed) {
            bad = bad < 0 ? r : bad;
            n++;
        }
    if (bad < 0) {
        for (int r = 0; r < ranks; r++) /* OpenMP counted one CPU and made one thread of it */
            if (f[r].allowed == 1 && f[r].threads == 1 && f[r].online > ranks_on(f, ranks, r)) {
                bnf_doctor_add(
                    to, false,
                    "mpirun --map-by slot:PE=<threads> --bind-to core ... (or --bind-to none), with OMP_NUM_THREADS",
                    "rank %d on %s may use one of %d CPUs (mpirun binds a rank to one core unless told "
                    "otherwise), so OpenMP runs one thread",
                    r, f[r].host, f[r].online);
                return;
            }
        return;
    }
    if (f[bad].allowed < f[bad].online)
        snprintf(remedy, sizeof remedy, "mpirun --map-by slot:PE=%d --bind-to core ... (or --bind-to none)",
                 f[bad].threads);
    else
        snprintf(remedy, sizeof remedy, "export OMP_NUM_THREADS=%d", f[bad].allowed);
    bnf_doctor_add(to, false, remedy, "rank %d on %s: %d OpenMP threads share %d CPU%s (%s)%s", bad, f[bad].host,
                   f[bad].threads, f[bad].allowed, f[bad].allowed == 1 ? "" : "s", f[bad].cpus,
                   n > 1 ? ", and so with other ranks" : "");
}

/* All ranks of a host together. */
static void judge_host_load(const bnf_doctor_facts *f, int ranks, int host, bnf_doctor_findings *to)
{
    uint64_t all[16] = {0};
    int threads = 0, here = 0, cpus = 0;
    bool active = false, spins = false;
    for (int r = host; r < ranks; r++) {
        if (strcmp(f[r].host, f[host].host) != 0)
            continue;
        here++;
        threads += f[r].threads;
        active = active || (!f[r].passive && f[r].threads > 1);
        spins = spins || !f[r].yields;
        for (int w = 0; w < 16; w++)
            all[w] |= f[r].mask[w];
    }
    for (int w = 0; w < 16; w++)
        cpus += __builtin_popcountll(all[w]);
    if (here > 1 && here > cpus && cpus < f[host].online)
        bnf_doctor_add(to, false, "mpirun --bind-to none ..., or --map-by slot:PE=<threads> --bind-to core",
                       "%d ranks on %s share %d of its %d CPUs", here, f[host].host, cpus, f[host].online);
    else if (threads > cpus && here > 1)
        bnf_doctor_add(to, false, "fewer ranks, or export OMP_NUM_THREADS=<CPUs / ranks>",
                       "%d ranks with %d threads in all share the %d CPUs of %s", here, threads, cpus, f[host].host);
    if (threads > cpus && active)
        bnf_doctor_add(
            to, false, "export OMP_WAIT_POLICY=passive",
            "on %s more threads than CPUs, and OpenMP's waiting threads spin: steps can take ten times as long",
            f[host].host);
    if (here > cpus && spins)
        bnf_doctor_add(to, false, "export OMPI_MCA_mpi_yield_when_idle=1",
                       "on %s more ranks than CPUs, and ranks that wait do not yield", f[host].host);
    if (here > 1 && f[host].shm_free >= 0 && f[host].shm_free < (int64_t)here * (16 << 20))
        bnf_doctor_add(
            to, false, "enlarge it (docker run --shm-size=1g), or export OMPI_MCA_btl_vader_backing_directory=/tmp",
            "/dev/shm of %s has %lld MiB left for %d ranks", f[host].host, (long long)(f[host].shm_free >> 20), here);
}

static bool same_versions(const bnf_doctor_facts *a, const bnf_doctor_facts *b)
{
    return strcmp(a->version, b->version) == 0 && strcmp(a->library, b->library) == 0 &&
           strcmp(a->hdf5, b->hdf5) == 0 && strcmp(a->dnnl, b->dnnl) == 0;
}

/* What should be the same on all ranks: of each kind, the first that is not. */
static void judge_same(const bnf_doctor_facts *f, int ranks, bnf_doctor_findings *to)
{
    int version = 0, isa = 0, clock = 0;
    for (int r = 1; r < ranks; r++) {
        version = version == 0 && !same_versions(&f[0], &f[r]) ? r : version;
        isa = isa == 0 && f[r].isa != f[0].isa ? r : isa;
        clock = clock == 0 && fabs(f[r].clock_offset) > 1 + f[r].clock_round_trip ? r : clock;
    }
    if (version)
        bnf_doctor_add(to, true, "install the same build and libraries on all hosts",
                       "rank %d on %s has other versions than rank 0: banff %s, %s, HDF5 %s, oneDNN %s", version,
                       f[version].host, f[version].version, f[version].library, f[version].hdf5, f[version].dnnl);
    if (isa)
        bnf_doctor_add(to, false, "hosts of one kind (sbatch --constraint), or export ONEDNN_MAX_CPU_ISA=AVX2 on all",
                       "%s and %s have CPUs with other instructions: other kernels, and other last bits of the results",
                       f[0].host, f[isa].host);
    if (clock)
        bnf_doctor_add(to, false, "chronyc makestep (as root)",
                       "the clocks of %s and %s are %.1f s apart: times of files and logs mislead", f[0].host,
                       f[clock].host, fabs(f[clock].clock_offset));
}

static void judge_network(const bnf_doctor_facts *f, int ranks, bnf_doctor_findings *to)
{
    if (hosts_of(f, ranks) < 2)
        return;
    for (int r = 0; r < ranks; r++)
        if (f[r].n_interfaces > 1 && !f[r].tcp_if[0]) {
            bnf_doctor_add(to, false,
                           "mpirun --mca btl_tcp_if_include NET --mca oob_tcp_if_include NET ... (10.0.0.0/24 or eth0)",
                           "%s has %d networks (%s), and Open MPI may try all of them: a job can hang at its start",
                           f[r].host, f[r].n_interfaces, f[r].interfaces);
            break;
        }
    if (!f[0].keepalive[0] && !f[0].slurm_job[0])
        bnf_doctor_add(
            to, false,
            "mpirun --mca oob_tcp_keepalive_time 5 --mca oob_tcp_keepalive_intvl 2 --mca oob_tcp_keepalive_probes 3",
            "a host that is cut off is noticed after minutes only");
}

static void judge_memory(const bnf_doctor_facts *f, int ranks, bnf_doctor_findings *to)
{
    for (int r = 0; r < ranks; r++) {
        if (f[r].memory_limit >= 0 && f[r].memory_limit < INT64_C(1) << 30)
            bnf_doctor_add(to, false, "ulimit -v unlimited, or sbatch --mem=...",
                           "rank %d on %s may use %lld MiB of memory", r, f[r].host,
                           (long long)(f[r].memory_limit >> 20));
        if (f[r].file_limit >= 0)
            bnf_doctor_add(to, f[r].file_limit < 1 << 20, "ulimit -f unlimited",
                           "rank %d on %s may write files of %lld KiB at most: larger checkpoints fail", r, f[r].host,
                           (long long)(f[r].file_limit >> 10));
        if (f[r].open_files >= 0 && f[r].open_files < 256)
            bnf_doctor_add(to, false, "ulimit -n 1024", "rank %d on %s may open %lld files", r, f[r].host,
                           (long long)f[r].open_files);
        if (f[r].memory_limit >= 0 || f[r].file_limit >= 0)
            break; /* the others will be the same */
    }
}

static void judge_slurm(const bnf_doctor_facts *f, int ranks, bnf_doctor_findings *to)
{
    if (!f[0].slurm_job[0])
        return;
    if (f[0].slurm_tasks > 1 && ranks == 1)
        bnf_doctor_add(
            to, true, "srun --mpi=pmix banff ... (srun --mpi=list), or mpirun -n $SLURM_NTASKS banff ...",
            "SLURM has %d tasks, but this is one rank alone: srun started programs that do not know of each other",
            f[0].slurm_tasks);
    for (int r = 0; r < ranks; r++)
        if (f[r].slurm_cpus > f[r].allowed) {
            bnf_doctor_add(to, false, "srun --cpus-per-task=$SLURM_CPUS_PER_TASK --cpu-bind=cores ...",
                           "SLURM gave %d CPUs to a task, rank %d on %s may use %d", f[r].slurm_cpus, r, f[r].host,
                           f[r].allowed);
            break;
        }
}

static void judge_first_disk(const bnf_doctor_disk *d, bnf_doctor_findings *to)
{
    if (!d->done || d->error[0])
        return;
    if (d->free_bytes < INT64_C(1) << 30)
        bnf_doctor_add(to, d->free_bytes < 16 << 20, "make room, or another run.folder", "the folder has %lld MiB left",
                       (long long)(d->free_bytes >> 20));
    if (d->sync_seconds > 0.25)
        bnf_doctor_add(to, false, "run.checkpoint_every larger, or another run.folder",
                       "an fsync in the folder takes %.2f s", d->sync_seconds);
    if (strcmp(d->type, "tmpfs") == 0 || strcmp(d->type, "ramfs") == 0)
        bnf_doctor_add(to, false, "another run.folder",
                       "the folder is in memory (%s): checkpoints are gone with the machine", d->type);
}

static void judge_disk(const bnf_doctor_facts *f, int ranks, bnf_doctor_findings *to)
{
    judge_first_disk(&f[0].disk, to);
    for (int r = 0; r < ranks; r++) {
        const bnf_doctor_disk *d = &f[r].disk;
        if (!d->done)
            bnf_doctor_add(to, true, "look at the file server, or another run.folder",
                           "rank %d on %s: the folder did not answer in 10 s", r, f[r].host);
        else if (d->error[0])
            bnf_doctor_add(to, true, "permissions, quota, or another run.folder", "rank %d on %s: %s", r, f[r].host,
                           d->error);
        else if (!d->sees_first)
            bnf_doctor_add(to, true, "a run.folder on a file system that all hosts share",
                           "rank %d on %s does not see in the folder what rank 0 on %s wrote", r, f[r].host, f[0].host);
        else if (!d->lock_kept)
            bnf_doctor_add(to, false, "mount it with locks (NFS: without nolock; Lustre: with flock)",
                           "rank %d on %s: locks of rank 0 are not seen, so two jobs could use one folder", r,
                           f[r].host);
        else
            continue;
        break;
    }
}

void bnf_doctor_judge(const bnf_doctor_facts *facts, int ranks, bnf_doctor_findings *findings)
{
    judge_binding(facts, ranks, findings);
    for (int r = 0; r < ranks; r++)
        if (first_on_host(facts, r))
            judge_host_load(facts, ranks, r, findings);
    judge_same(facts, ranks, findings);
    judge_network(facts, ranks, findings);
    judge_memory(facts, ranks, findings);
    judge_slurm(facts, ranks, findings);
    if (!facts[0].h5_parallel)
        bnf_doctor_add(findings, true, "apt-get install libhdf5-openmpi-dev, and build again",
                       "this HDF5 is not parallel");
    else if (!facts[0].h5_filters)
        bnf_doctor_add(findings, false, "HDF5 1.10.2 or newer",
                       "this HDF5 cannot write compressed data from several ranks");
}

void bnf_doctor_judge_folder(const bnf_doctor_facts *facts, int ranks, bnf_doctor_findings *findings)
{
    judge_disk(facts, ranks, findings);
}
