/* cli/doctor_host.c - a rank looks at itself and its host. */
#include "cli/doctor.h"

#include "base/clock.h"
#include "comm/probe.h"
#include "h5/probe.h"
#include "ops/dnnl.h"
#include "train/limit.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <math.h>
#include <net/if.h>
#include <omp.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/statvfs.h>
#include <unistd.h>

/* "0-3,8" */
static void list_cpus(const cpu_set_t *set, char *text, size_t size)
{
    size_t used = 0;
    text[0] = '\0';
    for (int c = 0; c < CPU_SETSIZE; c++) {
        if (!CPU_ISSET(c, set))
            continue;
        int last = c;
        while (last + 1 < CPU_SETSIZE && CPU_ISSET(last + 1, set))
            last++;
        int n = snprintf(text + used, size - used, last > c ? "%s%d-%d" : "%s%d", used ? "," : "", c, last);
        if (n < 0 || used + (size_t)n >= size) {
            memcpy(text + size - 4, "...", 4);
            return;
        }
        used += (size_t)n;
        c = last;
    }
}

static void affinity(bnf_doctor_facts *f)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    f->online = (int)sysconf(_SC_NPROCESSORS_ONLN);
    if (sched_getaffinity(0, sizeof set, &set) == 0) {
        f->allowed = CPU_COUNT(&set);
        list_cpus(&set, f->cpus, sizeof f->cpus);
        for (int c = 0; c < 1024 && c < CPU_SETSIZE; c++)
            if (CPU_ISSET(c, &set))
                f->mask[c / 64] |= UINT64_C(1) << c % 64;
    }
    f->threads = omp_get_max_threads();
    f->n_thread_cpus = f->threads < BNF_DOCTOR_THREADS ? f->threads : BNF_DOCTOR_THREADS;
#pragma omp parallel num_threads(f->n_thread_cpus)
    {
        cpu_set_t mine;
        CPU_ZERO(&mine);
        int t = omp_get_thread_num();
        if (sched_getaffinity(0, sizeof mine, &mine) == 0) /* 0: the calling thread */
            list_cpus(&mine, f->thread_cpus[t], sizeof f->thread_cpus[t]);
    }
    const char *policy = getenv("OMP_WAIT_POLICY"), *spin = getenv("GOMP_SPINCOUNT");
    f->passive = (policy && (strcmp(policy, "passive") == 0 || strcmp(policy, "PASSIVE") == 0)) ||
                 (spin && strcmp(spin, "0") == 0);
}

/* The text behind "key...: " in a file of such lines. */
static bool field_of(const char *path, const char *key, char *value, size_t size)
{
    char line[512];
    bool found = false;
    FILE *file = fopen(path, "r");
    if (!file)
        return false;
    while (!found && fgets(line, sizeof line, file)) {
        if (strncmp(line, key, strlen(key)) != 0 || !strchr(line, ':'))
            continue;
        const char *at = strchr(line, ':') + 1;
        at += strspn(at, " \t");
        snprintf(value, size, "%.*s", (int)strcspn(at, "\n"), at);
        found = true;
    }
    fclose(file);
    return found;
}

static void processor(bnf_doctor_facts *f)
{
    field_of("/proc/cpuinfo", "model name", f->cpu, sizeof f->cpu);
#if defined(__x86_64__)
    __builtin_cpu_init();
    f->isa = (__builtin_cpu_supports("avx2") ? BNF_ISA_AVX2 : 0) | (__builtin_cpu_supports("fma") ? BNF_ISA_FMA : 0) |
             (__builtin_cpu_supports("avx512f") ? BNF_ISA_AVX512 : 0);
    char flags[4096] = ""; /* the compilers do not agree on the names of the newer ones */
    FILE *file = fopen("/proc/cpuinfo", "r");
    while (file && fgets(flags, sizeof flags, file) && strncmp(flags, "flags", 5) != 0) {
    }
    if (file)
        fclose(file);
    f->isa |= (strstr(flags, " avx512_bf16") ? BNF_ISA_BF16 : 0) | (strstr(flags, " amx_tile") ? BNF_ISA_AMX : 0);
#endif
}

static int64_t kib_of(const char *key)
{
    char value[64];
    return field_of("/proc/meminfo", key, value, sizeof value) ? atoll(value) * 1024 : -1;
}

static int64_t number_in(const char *path)
{
    char line[64] = "";
    FILE *file = fopen(path, "r");
    if (!file)
        return -1;
    bool got = fgets(line, sizeof line, file) != NULL;
    fclose(file);
    /* "max", and version 1's largest number, mean none */
    return got && line[0] >= '0' && line[0] <= '9' && atoll(line) < INT64_C(1) << 60 ? atoll(line) : -1;
}

static void memory(bnf_doctor_facts *f)
{
    struct rlimit limit;
    struct statvfs shm;
    static const char *const groups[] = {"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"};
    f->memory_total = kib_of("MemTotal");
    f->memory_free = kib_of("MemAvailable");
    f->memory_limit = f->file_limit = f->open_files = f->shm_free = -1;
    if (getrlimit(RLIMIT_AS, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY)
        f->memory_limit = (int64_t)limit.rlim_cur;
    for (size_t i = 0; i < 2; i++) {
        int64_t n = number_in(groups[i]);
        if (n > 0 && (f->memory_limit < 0 || n < f->memory_limit))
            f->memory_limit = n;
    }
    if (getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY)
        f->file_limit = (int64_t)limit.rlim_cur;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY)
        f->open_files = (int64_t)limit.rlim_cur;
    if (statvfs("/dev/shm", &shm) == 0)
        f->shm_free = (int64_t)shm.f_bavail * (int64_t)shm.f_frsize;
}

static void network(bnf_doctor_facts *f)
{
    struct ifaddrs *all, *i;
    size_t used = 0;
    if (getifaddrs(&all) != 0)
        return;
    for (i = all; i; i = i->ifa_next) {
        char address[INET_ADDRSTRLEN] = "", path[128], speed[32] = "";
        if (!i->ifa_addr || i->ifa_addr->sa_family != AF_INET || !(i->ifa_flags & IFF_UP))
            continue;
        inet_ntop(AF_INET, &((struct sockaddr_in *)(void *)i->ifa_addr)->sin_addr, address, sizeof address);
        snprintf(path, sizeof path, "/sys/class/net/%s/speed", i->ifa_name);
        int64_t mbit = number_in(path);
        if (mbit > 0)
            snprintf(speed, sizeof speed, " %lld Mbit/s", (long long)mbit);
        f->n_interfaces += !(i->ifa_flags & IFF_LOOPBACK);
        int n = snprintf(f->interfaces + used, sizeof f->interfaces - used, "%s%s %s%s", used ? ", " : "", i->ifa_name,
                         address, speed);
        used = n > 0 && used + (size_t)n < sizeof f->interfaces ? used + (size_t)n : used;
    }
    f->interfaces[used] = '\0';
    freeifaddrs(all);
}

static int number_of(const char *name)
{
    const char *text = getenv(name);
    return text ? atoi(text) : 0;
}

static void launcher(bnf_doctor_facts *f)
{
    char yields[16];
    const char *oob = getenv("OMPI_MCA_oob_tcp_if_include"), *keep = getenv("OMPI_MCA_oob_tcp_keepalive_time");
    const char *job = getenv("SLURM_JOB_ID");
    f->thread_level = (int)bnf_comm_thread_level();
    bnf_comm_setting("btl", f->btl, sizeof f->btl);
    bnf_comm_setting("pml", f->pml, sizeof f->pml);
    bnf_comm_setting("btl_tcp_if_include", f->tcp_if, sizeof f->tcp_if);
    f->yields = bnf_comm_setting("mpi_yield_when_idle", yields, sizeof yields) && strcmp(yields, "0") != 0 &&
                strcmp(yields, "false") != 0;
    snprintf(f->oob_if, sizeof f->oob_if, "%s", oob ? oob : "");
    snprintf(f->keepalive, sizeof f->keepalive, "%s", keep ? keep : "");
    snprintf(f->slurm_job, sizeof f->slurm_job, "%s", job ? job : "");
    f->slurm_tasks = getenv("SLURM_STEP_NUM_TASKS") ? number_of("SLURM_STEP_NUM_TASKS") : number_of("SLURM_NTASKS");
    f->slurm_cpus = number_of("SLURM_CPUS_PER_TASK");
    f->slurm_left = INFINITY;
}

void bnf_doctor_host(bnf_doctor_facts *facts)
{
    bnf_h5_abilities h5;
    snprintf(facts->host, sizeof facts->host, "%s", bnf_comm_host());
    snprintf(facts->library, sizeof facts->library, "%s", bnf_comm_library());
    snprintf(facts->version, sizeof facts->version, "%s", bnf_version());
    bnf_dnnl_version(facts->dnnl, sizeof facts->dnnl);
    bnf_h5_probe(&h5);
    memcpy(facts->hdf5, h5.version, sizeof facts->hdf5);
    facts->h5_parallel = h5.parallel;
    facts->h5_filters = h5.parallel_filters && h5.deflate && h5.shuffle;
    affinity(facts);
    processor(facts);
    memory(facts);
    network(facts);
    launcher(facts);
}

#define ROUNDS 8
enum { TAG_CLOCK = 900 };

/* Rank 0 asks each rank for its time; the shortest round trip tells best. */
bnf_status bnf_doctor_clocks(const bnf_comm *comm, bnf_doctor_facts *facts)
{
    int rank = bnf_comm_rank(comm), ranks = bnf_comm_size(comm);
    for (int r = 1; r < ranks; r++) {
        double best[2] = {INFINITY, 0};
        for (int i = 0; i < ROUNDS; i++) {
            double start = bnf_clock_wall_seconds(), there = 0;
            if (rank == 0) {
                BNF_TRY(bnf_comm_send(comm, r, TAG_CLOCK, &start, sizeof start));
                BNF_TRY(bnf_comm_recv(comm, r, TAG_CLOCK, &there, sizeof there));
                double end = bnf_clock_wall_seconds();
                if (end - start < best[0]) {
                    best[0] = end - start;
                    best[1] = there - (start + end) / 2;
                }
            } else if (rank == r) {
                BNF_TRY(bnf_comm_recv(comm, 0, TAG_CLOCK, &start, sizeof start));
                there = bnf_clock_wall_seconds();
                BNF_TRY(bnf_comm_send(comm, 0, TAG_CLOCK, &there, sizeof there));
            }
        }
        if (rank == 0)
            BNF_TRY(bnf_comm_send(comm, r, TAG_CLOCK, best, sizeof best));
        if (rank == r) {
            BNF_TRY(bnf_comm_recv(comm, 0, TAG_CLOCK, best, sizeof best));
            facts->clock_round_trip = best[0];
            facts->clock_offset = best[1];
        }
    }
    return BNF_OK;
}
