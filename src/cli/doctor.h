/* cli/doctor.h - what banff doctor finds out about a rank and its host, and what it makes of it. */
#ifndef BNF_CLI_DOCTOR_H
#define BNF_CLI_DOCTOR_H

#include <banff/comm.h>
#include <stdio.h>

#include "base/str.h"

#define BNF_DOCTOR_THREADS 64
#define BNF_DOCTOR_FINDINGS 64

/* CPU features that decide which kernels run. */
enum { BNF_ISA_AVX2 = 1, BNF_ISA_FMA = 2, BNF_ISA_AVX512 = 4, BNF_ISA_BF16 = 8, BNF_ISA_AMX = 16 };

/* Of a folder, as a rank sees it. Times in seconds, -1: not measured. */
typedef struct bnf_doctor_disk {
    bool done;       /* the file system has answered in time; nothing below counts otherwise */
    char error[160]; /* what failed; "" if all went well */
    char type[24];   /* "ext4" */
    int64_t free_bytes;
    double write_bytes_per_second; /* with the fsync at the end */
    double sync_seconds, rename_seconds;
    bool sees_first; /* the file that rank 0 wrote is there */
    bool lock_kept;  /* rank 0's lock keeps this rank out */
} bnf_doctor_disk;

/* One per rank; no pointers, so that it can be sent. */
typedef struct bnf_doctor_facts {
    char host[64], cpu[64], library[96], version[16], dnnl[16], hdf5[24];
    int online, allowed, threads; /* CPUs of the host; of this rank; OpenMP threads */
    char cpus[64];                /* "0-3,8" */
    uint64_t mask[16];            /* the same as bits, CPUs up to 1023 */
    int n_thread_cpus;
    char thread_cpus[BNF_DOCTOR_THREADS][24];
    int isa;
    bool passive;     /* OpenMP threads that wait sleep */
    bool yields;      /* MPI yields when idle */
    int thread_level; /* bnf_thread_level */
    char btl[48], pml[32], tcp_if[64], oob_if[64], keepalive[16], interfaces[256];
    int n_interfaces; /* that are up, have an address and are not loopback */
    bool h5_parallel, h5_filters;
    int64_t memory_total, memory_free, memory_limit, shm_free, file_limit; /* bytes; limits: -1 none */
    int64_t open_files;
    double clock_offset, clock_round_trip; /* against rank 0, seconds */
    int slurm_tasks, slurm_cpus;           /* 0: not under SLURM, or not told */
    char slurm_job[32];
    double slurm_left; /* seconds, INFINITY: not known */
    bnf_doctor_disk disk;
} bnf_doctor_facts;

typedef struct bnf_doctor_finding {
    bool fails; /* training will fail, or lose what it computed; else: slow or fragile */
    char text[256], remedy[256];
} bnf_doctor_finding;

typedef struct bnf_doctor_findings {
    int count, failures;
    bnf_doctor_finding item[BNF_DOCTOR_FINDINGS];
} bnf_doctor_findings;

/* Fills in what this rank can tell by itself. */
void bnf_doctor_host(bnf_doctor_facts *facts);
/* Clocks against rank 0. Collective. */
bnf_status bnf_doctor_clocks(const bnf_comm *comm, bnf_doctor_facts *facts);
/* Tries out a folder, which is created if missing; leaves nothing in it. Collective; takes at most about 30 s. */
bnf_status bnf_doctor_folder(const bnf_comm *comm, const char *folder, bnf_doctor_disk *disk);

void bnf_doctor_add(bnf_doctor_findings *to, bool fails, const char *remedy, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
/* What is wrong with facts[ranks], as a whole; with the folder that was tried out. */
void bnf_doctor_judge(const bnf_doctor_facts *facts, int ranks, bnf_doctor_findings *findings);

void bnf_doctor_judge_folder(const bnf_doctor_facts *facts, int ranks, bnf_doctor_findings *findings);

/* For people and for programs. folder: NULL if none was looked at. */
void bnf_doctor_print(const bnf_doctor_facts *facts, int ranks, const char *folder,
                      const bnf_doctor_findings *findings);
bnf_status bnf_doctor_json(const bnf_doctor_facts *facts, int ranks, const char *folder,
                           const bnf_doctor_findings *findings, bnf_buf *text);

#endif
