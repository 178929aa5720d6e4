#include "data/probe.h"

#include "base/clock.h"
#include "data/loader.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BATCH 64
#define CACHE_BYTES ((int64_t)128 << 20) /* larger chunks bypass the cache if they are not packed (h5/dataset.c) */

/* Bytes that system calls of this process have read so far; -1 if the system does not tell. */
static int64_t bytes_read(void)
{
    char line[128];
    int64_t bytes = -1;
    FILE *f = fopen("/proc/self/io", "r");
    while (f && bytes < 0 && fgets(line, sizeof line, f))
        if (strncmp(line, "rchar:", 6) == 0)
            bytes = strtoll(line + 6, NULL, 10);
    if (f)
        fclose(f);
    return bytes;
}

bnf_status bnf_dataset_probe(bnf_dataset *dataset, uint64_t seed, double seconds, bnf_read_probe *probe)
{
    bnf_loader_config config = {
        .seed = seed, .batch = BATCH, .leaves = 1, .leaf_hi = 1, .normalise = {.mode = BNF_NORMALISE_UNIT}};
    bnf_loader *loader;
    const bnf_batch *batch;
    bnf_status status = BNF_OK;

    *probe = (bnf_read_probe){0};
    BNF_TRY(bnf_loader_create(dataset, &config, &loader));
    int64_t before = bytes_read();
    double start = bnf_clock_seconds();
    for (int64_t s = 0; s < bnf_loader_steps_per_epoch(loader) && probe->seconds < seconds; s++) {
        status = bnf_loader_next(loader, &batch);
        if (status != BNF_OK)
            break;
        probe->images += batch->valid;
        probe->seconds = bnf_clock_seconds() - start;
    }
    int64_t after = bytes_read();
    probe->bytes_read = before < 0 || after < 0 ? -1 : after - before;
    bnf_loader_destroy(loader);
    return status;
}

double bnf_dataset_fetched(const bnf_dataset_info *info, int64_t chunk_rows, bool filters, int64_t stored)
{
    double chunks = (double)((info->count + chunk_rows - 1) / chunk_rows);
    if (!filters && chunk_rows * info->sample_bytes > CACHE_BYTES)
        return (double)info->sample_bytes;
    /* The chunk, packed as chunks are on average; an empty file's chunks are not there yet. */
    return filters && stored > 0 ? (double)stored / chunks : (double)(chunk_rows * info->sample_bytes);
}
