/* ckpt/process.c - which process, on which host, in which job. */
#include "ckpt/process.h"

#include "base/clock.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* State and start of a process, by /proc. False if there is none. */
static bool look_up(int64_t pid, char *state, int64_t *start)
{
    char path[64], text[1024];
    snprintf(path, sizeof path, "/proc/%" PRId64 "/stat", pid);
    FILE *file = fopen(path, "r");
    if (!file)
        return false;
    size_t n = fread(text, 1, sizeof text - 1, file);
    fclose(file);
    text[n] = '\0';
    const char *rest = strrchr(text, ')'); /* behind the name, which may hold anything */
    unsigned long long ticks;
    if (!rest || sscanf(rest, ") %c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d %llu",
                        state, &ticks) != 2)
        return false;
    *start = (int64_t)ticks;
    return true;
}

static void read_space(char *space, size_t size)
{
    char boot[64] = "", names[64] = "";
    FILE *file = fopen("/proc/sys/kernel/random/boot_id", "r");
    if (file) {
        if (fscanf(file, "%63s", boot) != 1)
            boot[0] = '\0';
        fclose(file);
    }
    ssize_t n = readlink("/proc/self/ns/pid", names, sizeof names - 1);
    names[n > 0 ? n : 0] = '\0';
    snprintf(space, size, "%s/%s", boot, names);
}

void bnf_process_self(bnf_process *process)
{
    char state, time[BNF_CLOCK_ISO_BYTES];
    const char *job = getenv("SLURM_JOB_ID"), *restart = getenv("SLURM_RESTART_COUNT");
    *process = (bnf_process){.pid = (int64_t)getpid(), .restart = restart ? strtoll(restart, NULL, 10) : 0};
    if (gethostname(process->host, sizeof process->host - 1) != 0 || !process->host[0])
        snprintf(process->host, sizeof process->host, "unknown");
    read_space(process->space, sizeof process->space);
    (void)look_up(process->pid, &state, &process->start);
    snprintf(process->job, sizeof process->job, "%s", job ? job : "");
    snprintf(process->time, sizeof process->time, "%s", bnf_clock_iso(time));
}

bnf_status bnf_process_format(const bnf_process *p, int ranks, bnf_buf *text)
{
    bnf_buf_printf(text, "host %s\nspace %s\npid %" PRId64 "\nstart %" PRId64 "\n", p->host, p->space, p->pid,
                   p->start);
    if (p->job[0])
        bnf_buf_printf(text, "job %s\n", p->job);
    return bnf_buf_printf(text, "restart %" PRId64 "\nranks %d\ntime %s\nticks %" PRId64 "\n", p->restart, ranks,
                          p->time, bnf_clock_nanoseconds());
}

void bnf_process_parse(const char *text, bnf_process *process)
{
    *process = (bnf_process){.host = "unknown", .time = "an unknown time"};
    for (const char *line = text; line && *line; line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL) {
        sscanf(line, "host %127s", process->host);
        sscanf(line, "space %127s", process->space);
        sscanf(line, "pid %" SCNd64, &process->pid);
        sscanf(line, "start %" SCNd64, &process->start);
        sscanf(line, "job %63s", process->job);
        sscanf(line, "restart %" SCNd64, &process->restart);
        sscanf(line, "time %63s", process->time);
    }
}

bool bnf_process_is_here(const bnf_process *process)
{
    bnf_process self;
    bnf_process_self(&self);
    return process->pid > 0 && strlen(self.space) > 2 && strcmp(process->space, self.space) == 0;
}

bool bnf_process_runs(const bnf_process *process)
{
    char state;
    int64_t start;
    return look_up(process->pid, &state, &start) && start == process->start && state != 'Z' && state != 'X';
}
