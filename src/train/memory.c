/* train/memory.c */
#include "train/memory.h"

#include "base/mem.h"

#include <stdio.h>
#include <string.h>

const char *const bnf_memory_part_names[BNF_MEMORY_PARTS] = {
    [BNF_MEMORY_DATA] = "data sets",
    [BNF_MEMORY_TRAINING] = "weights and training step",
    [BNF_MEMORY_EVALUATION] = "evaluation",
    [BNF_MEMORY_LOADERS] = "batches read ahead",
    [BNF_MEMORY_UPDATER] = "optimizer, messages",
    [BNF_MEMORY_CHECKPOINTS] = "checkpoints",
};

/* The line `key` of what Linux tells about a process, in bytes. */
static int64_t status_line(const char *key)
{
    char line[256];
    long long kib = 0;
    FILE *f = fopen("/proc/self/status", "r");
    if (!f)
        return 0;
    while (fgets(line, sizeof line, f))
        if (strncmp(line, key, strlen(key)) == 0 && sscanf(line + strlen(key), " %lld", &kib) == 1)
            break;
    fclose(f);
    return kib * 1024;
}

int64_t bnf_memory_resident(void)
{
    return status_line("VmRSS:");
}

int64_t bnf_memory_resident_peak(void)
{
    return status_line("VmHWM:");
}

void bnf_memory_begin(bnf_memory *m)
{
    *m = (bnf_memory){.start = bnf_memory_resident(), .counted = bnf_mem_live_bytes()};
}

void bnf_memory_count(bnf_memory *m, bnf_memory_part part)
{
    int64_t now = bnf_mem_live_bytes();
    m->bytes[part] += (part == BNF_MEMORY_CHECKPOINTS ? 2 : 1) * (now - m->counted); /* HDF5 builds the image later */
    m->counted = now;
}

int64_t bnf_memory_planned(const bnf_memory *m)
{
    int64_t sum = m->start;
    for (int i = 0; i < BNF_MEMORY_PARTS; i++)
        sum += m->bytes[i];
    return sum;
}
