#include "data/probe.h"

#include "base/clock.h"
#include "base/mem.h"
#include "base/philox.h"
#include "data/loader.h"
#include "data/view.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

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

static double thread_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

struct decoding {
    const bnf_dataset *dataset;
    bnf_raw raw;
    bnf_maker maker;
    bnf_image whole;
    uint8_t *image;
};

static bnf_status try_picture(struct decoding *d, uint64_t seed, int64_t index, bnf_decode_probe *probe)
{
    static const bnf_augment crops = {.resized_crop = true, .crop_scale = {0.08, 1}, .crop_ratio = {0.75, 1.3333}};
    bnf_image_extents e = bnf_dataset_extents(d->dataset, index);
    double t0 = thread_seconds();
    BNF_TRY(bnf_dataset_fetch(d->dataset, 1, &index, &d->raw));
    double t1 = thread_seconds();
    bnf_image_box box = bnf_augment_crop(&crops, seed, 0, index, e.h, e.w);
    BNF_TRY(bnf_dataset_make(d->dataset, &d->maker, d->raw.bytes.data, d->raw.start[1], index, &box, d->image));
    double t2 = thread_seconds();
    BNF_TRY(bnf_image_decode((const uint8_t *)d->raw.bytes.data, d->raw.bytes.size, "a picture", &d->whole));
    probe->decode_seconds += thread_seconds() - t2;
    probe->make_seconds += t2 - t1;
    probe->read_seconds += t1 - t0;
    probe->images++;
    return BNF_OK;
}

bnf_status bnf_dataset_probe_decoding(const bnf_dataset *dataset, uint64_t seed, double seconds,
                                      bnf_decode_probe *probe)
{
    const bnf_dataset_info *info = bnf_dataset_get_info(dataset);
    struct decoding d = {.dataset = dataset};
    bnf_philox_key key = bnf_philox_key_make(seed, BNF_STREAM_TEST);
    double start = bnf_clock_seconds();

    *probe = (bnf_decode_probe){0};
    bnf_status status = bnf_alloc((size_t)info->sample_bytes, "image", &d.image);
    for (uint32_t i = 0; status == BNF_OK && bnf_clock_seconds() - start < seconds; i++)
        status = try_picture(&d, seed, (int64_t)bnf_philox_below_u64(key, i, 0, 0, (uint64_t)info->count), probe);
    bnf_raw_release(&d.raw);
    bnf_maker_release(&d.maker);
    bnf_image_release(&d.whole);
    bnf_free(d.image);
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
