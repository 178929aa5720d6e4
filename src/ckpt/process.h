/* ckpt/process.h - which process, on which host, in which job: as text, so that another one can tell whether it lives.
 * */
#ifndef BNF_CKPT_PROCESS_H
#define BNF_CKPT_PROCESS_H

#include "base/str.h"

typedef struct bnf_process {
    char host[128];
    char space[128];    /* boot of the machine and name space of process numbers: where `pid` means something */
    int64_t pid, start; /* start: clock ticks after the boot, so that a number used again is not taken for the same */
    char job[64];       /* SLURM's job, "" outside of one */
    int64_t restart;    /* how often SLURM has started it again */
    char time[64];      /* ISO 8601, for people alone */
} bnf_process;

void bnf_process_self(bnf_process *process);
/* Appends lines of "key value", which differ from those of any other process. */
bnf_status bnf_process_format(const bnf_process *process, int ranks, bnf_buf *text);
/* Lines that are missing leave their fields empty or 0. */
void bnf_process_parse(const char *text, bnf_process *process);

/* Can this process see it, if it runs? Then whether it does; one that has ended and was not waited for does not. */
bool bnf_process_is_here(const bnf_process *process);
bool bnf_process_runs(const bnf_process *process);

#endif
