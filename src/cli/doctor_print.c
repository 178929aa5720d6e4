/* cli/doctor_print.c - the table of banff doctor, and the same as JSON. */
#include "cli/doctor.h"

#include "base/json.h"

#include <math.h>
#include <string.h>

static const struct {
    int bit;
    const char *name;
} isa_names[] = {{BNF_ISA_AVX2, "avx2"},
                 {BNF_ISA_FMA, "fma"},
                 {BNF_ISA_AVX512, "avx512"},
                 {BNF_ISA_BF16, "bf16"},
                 {BNF_ISA_AMX, "amx"}};
#define ISA_NAMES (sizeof isa_names / sizeof isa_names[0])
static const char *const levels[] = {"single", "funneled", "serialized", "multiple"};

static void isa_text(int isa, char *text, size_t size)
{
    text[0] = '\0';
    for (size_t i = 0; i < ISA_NAMES; i++)
        if (isa & isa_names[i].bit)
            snprintf(text + strlen(text), size - strlen(text), "%s%s", text[0] ? " " : "", isa_names[i].name);
}

/* Every thread's CPUs; once, if all have the same. */
static void threads_text(const bnf_doctor_facts *f, char *text, size_t size)
{
    bool same = true;
    text[0] = '\0';
    for (int t = 1; t < f->n_thread_cpus; t++)
        same = same && strcmp(f->thread_cpus[t], f->thread_cpus[0]) == 0;
    if (same) {
        snprintf(text, size, "%s%s", f->threads > 1 ? "each on " : "", f->thread_cpus[0]);
        return;
    }
    for (int t = 0; t < f->n_thread_cpus; t++)
        snprintf(text + strlen(text), size - strlen(text), "%s%s", t ? " | " : "", f->thread_cpus[t]);
}

static void print_ranks(const bnf_doctor_facts *f, int ranks)
{
    char threads[256], isa[64];
    printf("%-5s %-16s %-16s %-8s %s\n", "rank", "host", "CPUs", "threads", "where they may run");
    for (int r = 0; r < ranks; r++) {
        char cpus[96];
        threads_text(&f[r], threads, sizeof threads);
        snprintf(cpus, sizeof cpus, "%d/%d: %s", f[r].allowed, f[r].online, f[r].cpus);
        printf("%-5d %-16s %-16s %-8d %s\n", r, f[r].host, cpus, f[r].threads, threads);
    }
    isa_text(f[0].isa, isa, sizeof isa);
    printf("\nprocessor   %s; %s\n", f[0].cpu, isa);
}

static void print_folder(const bnf_doctor_disk *d, int ranks, const char *folder)
{
    if (!d->done || d->error[0]) {
        printf("folder      %s: %s\n", folder, d->done ? d->error : "does not answer");
        return;
    }
    printf("folder      %s: %s, %.1f GiB free; writes %.0f MB/s, fsync %.1f ms, replaces a file in %.1f ms\n", folder,
           d->type, (double)d->free_bytes / (1 << 30), d->write_bytes_per_second / 1e6, d->sync_seconds * 1e3,
           d->rename_seconds * 1e3);
    if (ranks > 1)
        return;
    printf("            (locks, and whether all see the same files, need two ranks)\n");
}

void bnf_doctor_print(const bnf_doctor_facts *facts, int ranks, const char *folder, const bnf_doctor_findings *findings)
{
    const bnf_doctor_facts *f = &facts[0];
    double offset = 0;
    for (int r = 1; r < ranks; r++)
        offset = fabs(facts[r].clock_offset) > offset ? fabs(facts[r].clock_offset) : offset;
    print_ranks(facts, ranks);
    printf("versions    banff %s, oneDNN %s, HDF5 %s (%s, %s)\n", f->version, f->dnnl, f->hdf5,
           f->h5_parallel ? "parallel" : "not parallel", f->h5_filters ? "also compressed" : "not compressed");
    printf("MPI         %s; threads: %s; transports: %s (of %s); ranks that wait %s\n", f->library,
           levels[f->thread_level & 3], f->btl[0] ? f->btl : "all that fit", f->pml[0] ? f->pml : "the best pml",
           f->yields ? "yield" : "spin");
    printf("networks    %s; MPI uses %s\n", f->interfaces, f->tcp_if[0] ? f->tcp_if : "all but loopback");
    printf("OpenMP      waiting threads %s\n", f->passive ? "sleep" : "spin for a while");
    printf("memory      %.1f GiB, %.1f GiB free, /dev/shm %.1f GiB free", (double)f->memory_total / (1 << 30),
           (double)f->memory_free / (1 << 30), (double)f->shm_free / (1 << 30));
    if (f->memory_limit >= 0)
        printf(", limit %.1f GiB", (double)f->memory_limit / (1 << 30));
    printf("\n");
    if (ranks > 1)
        printf("clocks      at most %.1f ms from rank 0's\n", offset * 1e3);
    if (f->slurm_job[0])
        printf("SLURM       job %s, %d tasks, %d CPUs per task (0: not told)\n", f->slurm_job, f->slurm_tasks,
               f->slurm_cpus);
    if (f->slurm_job[0] && isfinite(f->slurm_left))
        printf("            ends in %.0f s\n", f->slurm_left);
    if (folder)
        print_folder(&f->disk, ranks, folder);
    printf("\n");
    for (int i = 0; i < findings->count; i++)
        printf("%s: %s\n    remedy: %s\n", findings->item[i].fails ? "FAILS" : "warning", findings->item[i].text,
               findings->item[i].remedy);
    printf("%d that will fail, %d warnings\n", findings->failures, findings->count - findings->failures);
}

static void json_rank(bnf_json *j, const bnf_doctor_facts *f)
{
    bnf_json_begin_object(j, NULL);
    bnf_json_string(j, "host", f->host);
    bnf_json_int(j, "cpus_online", f->online);
    bnf_json_int(j, "cpus_allowed", f->allowed);
    bnf_json_string(j, "cpus", f->cpus);
    bnf_json_int(j, "threads", f->threads);
    bnf_json_begin_array(j, "thread_cpus");
    for (int t = 0; t < f->n_thread_cpus; t++)
        bnf_json_string(j, NULL, f->thread_cpus[t]);
    bnf_json_end_array(j);
    bnf_json_string(j, "processor", f->cpu);
    bnf_json_begin_array(j, "instructions");
    for (size_t i = 0; i < ISA_NAMES; i++)
        if (f->isa & isa_names[i].bit)
            bnf_json_string(j, NULL, isa_names[i].name);
    bnf_json_end_array(j);
    bnf_json_bool(j, "waiting_threads_sleep", f->passive);
    bnf_json_string(j, "interfaces", f->interfaces);
    bnf_json_int(j, "memory_total", f->memory_total);
    bnf_json_int(j, "memory_free", f->memory_free);
    bnf_json_int(j, "memory_limit", f->memory_limit);
    bnf_json_int(j, "shm_free", f->shm_free);
    bnf_json_real(j, "clock_offset", f->clock_offset);
    bnf_json_real(j, "clock_round_trip", f->clock_round_trip);
    bnf_json_end_object(j);
}

static void json_folder(bnf_json *j, const bnf_doctor_facts *facts, int ranks, const char *folder)
{
    const bnf_doctor_disk *d = &facts[0].disk;
    bool shared = true, locks = true;
    for (int r = 1; r < ranks; r++) {
        shared = shared && facts[r].disk.sees_first;
        locks = locks && facts[r].disk.lock_kept;
    }
    bnf_json_begin_object(j, "folder");
    bnf_json_string(j, "path", folder);
    bnf_json_bool(j, "answers", d->done);
    bnf_json_string(j, "error", d->error);
    bnf_json_string(j, "type", d->type);
    bnf_json_int(j, "free_bytes", d->free_bytes);
    bnf_json_real(j, "write_bytes_per_second", d->write_bytes_per_second);
    bnf_json_real(j, "fsync_seconds", d->sync_seconds);
    bnf_json_real(j, "replace_seconds", d->rename_seconds);
    bnf_json_bool(j, "shared", shared);
    bnf_json_bool(j, "locks", locks);
    bnf_json_end_object(j);
}

bnf_status bnf_doctor_json(const bnf_doctor_facts *facts, int ranks, const char *folder,
                           const bnf_doctor_findings *findings, bnf_buf *text)
{
    const bnf_doctor_facts *f = &facts[0];
    bnf_json j = bnf_json_start(text, 2);
    bnf_json_begin_object(&j, NULL);
    bnf_json_string(&j, "banff", f->version);
    bnf_json_string(&j, "mpi", f->library);
    bnf_json_string(&j, "mpi_threads", levels[f->thread_level & 3]);
    bnf_json_string(&j, "mpi_transports", f->btl);
    bnf_json_string(&j, "mpi_tcp_interfaces", f->tcp_if);
    bnf_json_bool(&j, "mpi_yields", f->yields);
    bnf_json_string(&j, "hdf5", f->hdf5);
    bnf_json_bool(&j, "hdf5_parallel", f->h5_parallel);
    bnf_json_bool(&j, "hdf5_parallel_filters", f->h5_filters);
    bnf_json_string(&j, "onednn", f->dnnl);
    bnf_json_string(&j, "slurm_job", f->slurm_job);
    bnf_json_begin_array(&j, "ranks");
    for (int r = 0; r < ranks; r++)
        json_rank(&j, &facts[r]);
    bnf_json_end_array(&j);
    if (folder)
        json_folder(&j, facts, ranks, folder);
    bnf_json_begin_array(&j, "findings");
    for (int i = 0; i < findings->count; i++) {
        bnf_json_begin_object(&j, NULL);
        bnf_json_bool(&j, "fails", findings->item[i].fails);
        bnf_json_string(&j, "text", findings->item[i].text);
        bnf_json_string(&j, "remedy", findings->item[i].remedy);
        bnf_json_end_object(&j);
    }
    bnf_json_end_array(&j);
    bnf_json_int(&j, "failures", findings->failures);
    bnf_json_end_object(&j);
    return bnf_json_finish(&j);
}
