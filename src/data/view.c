#include "data/view.h"

#include "base/assert.h"
#include "base/mem.h"
#include "data/dataset_impl.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

bool bnf_dataset_makes(const bnf_dataset *ds)
{
    return ds->info.encoded || ds->info.sparse || ds->scaled;
}

bnf_image_extents bnf_dataset_extents(const bnf_dataset *ds, int64_t index)
{
    if (!ds->info.encoded)
        return (bnf_image_extents){ds->stored_h, ds->stored_w, ds->info.c};
    const int32_t *e = ds->pictures.extents + 2 * index;
    return (bnf_image_extents){e[0], e[1], ds->info.c};
}

bnf_status bnf_dataset_set_size(bnf_dataset *ds, int64_t size, double eval_crop)
{
    bnf_dataset_info *info = &ds->info;

    if (size < 0 || size > BNF_IMAGE_MAX_SIDE || !(eval_crop > 0 && eval_crop <= 1))
        return bnf_fail(BNF_ERR_ARG, "images of side %lld from %g of the short side", (long long)size, eval_crop);
    if (size == 0) {
        if (info->h > 0)
            return BNF_OK;
        return bnf_fail(BNF_ERR_CONFIG,
                        "'%s': the pictures of /%s differ in size (the first has %d x %d pixels): "
                        "data.size must say which size they are brought to",
                        info->path, info->name, (int)ds->pictures.extents[0], (int)ds->pictures.extents[1]);
    }
    if (info->dtype != BNF_U8)
        return bnf_fail(BNF_ERR_UNSUPPORTED,
                        "'%s': images of f32 cannot be brought to another size: leave data.size "
                        "and data.resized_crop out",
                        info->path);
    if (info->sparse)
        return bnf_fail(BNF_ERR_UNSUPPORTED,
                        "'%s': images that are stored as cells cannot be brought to another size: leave data.size and "
                        "data.resized_crop out",
                        info->path);
    ds->scaled = true;
    ds->eval_crop = eval_crop;
    info->h = info->w = size;
    info->sample_bytes = size * size * info->c;
    return BNF_OK;
}

/* ---- Fetching ---- */

void bnf_raw_release(bnf_raw *raw)
{
    bnf_buf_release(&raw->bytes);
    bnf_free(raw->start);
    *raw = (bnf_raw){0};
}

bnf_status bnf_dataset_fetch(const bnf_dataset *ds, int64_t count, const int64_t *index, bnf_raw *raw)
{
    if (count + 1 > raw->capacity) {
        BNF_TRY(bnf_realloc((size_t)raw->capacity * sizeof *raw->start, (size_t)(count + 1) * sizeof *raw->start,
                            "images as stored", &raw->start));
        raw->capacity = count + 1;
    }
    bnf_buf_clear(&raw->bytes);
    raw->start[0] = 0;
    if (ds->info.encoded) {
        BNF_TRY(bnf_pictures_read(&ds->pictures, count, index, &raw->bytes));
        for (int64_t i = 0; i < count; i++)
            raw->start[i + 1] = raw->start[i] + ds->pictures.offsets[index[i] + 1] - ds->pictures.offsets[index[i]];
        return BNF_OK;
    }
    if (ds->info.sparse) {
        for (int64_t i = 0; i < count; i++) {
            BNF_TRY(bnf_sparse_fetch(&ds->sparse, index[i], &raw->bytes));
            raw->start[i + 1] = (int64_t)raw->bytes.size;
        }
        return BNF_OK;
    }
    BNF_TRY(bnf_buf_reserve(&raw->bytes, (size_t)(count * ds->stored_sample)));
    for (int64_t i = 0; i < count; i++)
        raw->start[i + 1] = (i + 1) * ds->stored_sample;
    return bnf_dataset_read_stored(ds, count, index, raw->bytes.data);
}

/* ---- Making ---- */

void bnf_maker_release(bnf_maker *maker)
{
    bnf_image_release(&maker->image);
    bnf_resizer_release(&maker->resizer);
}

/* What evaluation sees: the centred square of eval_crop times the short side; everything where nothing is scaled. */
static bnf_image_box eval_box(const bnf_dataset *ds, bnf_image_extents e)
{
    if (!ds->scaled)
        return (bnf_image_box){0, 0, e.h, e.w};
    int64_t side = lround((double)(e.h < e.w ? e.h : e.w) * ds->eval_crop);
    side = side > 0 ? side : 1;
    return (bnf_image_box){(e.h - side) / 2, (e.w - side) / 2, side, side};
}

bnf_status bnf_dataset_make(const bnf_dataset *ds, bnf_maker *maker, const void *bytes, int64_t size, int64_t index,
                            const bnf_image_box *box, void *image)
{
    const bnf_dataset_info *info = &ds->info;
    if (info->sparse) {
        BNF_ASSERT(!box && size == bnf_sparse_bytes(&ds->sparse, index));
        return bnf_sparse_make(&ds->sparse, bytes, index, image);
    }
    bnf_image_extents e = bnf_dataset_extents(ds, index);
    bnf_image_box seen = box ? *box : eval_box(ds, e);

    if (!info->encoded) {
        bnf_image stored = {.h = e.h, .w = e.w, .c = info->c, .pixels = (uint8_t *)(uintptr_t)bytes};
        bnf_image_part part = {(double)seen.y, (double)seen.x, (double)seen.h, (double)seen.w};
        return bnf_image_resize_part(&maker->resizer, &stored, &part, info->h, info->w, image);
    }
    char name[512];
    bnf_image_part part;
    snprintf(name, sizeof name, "%s: picture %lld of /%s", info->path, (long long)index, info->name);
    BNF_TRY(bnf_image_decode_part(bytes, (size_t)size, name, &seen, info->h, info->w, &maker->image, &part));
    BNF_TRY(bnf_image_set_channels(&maker->image, info->c));
    return bnf_image_resize_part(&maker->resizer, &maker->image, &part, info->h, info->w, image);
}

static bnf_status read_one(const bnf_dataset *ds, int64_t index, bnf_raw *raw, bnf_maker *maker, uint8_t *image)
{
    BNF_TRY(bnf_dataset_fetch(ds, 1, &index, raw));
    return bnf_dataset_make(ds, maker, raw->bytes.data, raw->start[1], index, NULL, image);
}

bnf_status bnf_dataset_read_made(const bnf_dataset *ds, int64_t first, int64_t count, const int64_t *index,
                                 void *images)
{
    bnf_raw raw = {0};
    bnf_maker maker = {0};
    bnf_status status = ds->info.h > 0 ? BNF_OK
                                       : bnf_fail(BNF_ERR_CONFIG,
                                                  "'%s': the pictures of /%s differ in size: a size is "
                                                  "needed to read them as images",
                                                  ds->info.path, ds->info.name);

    for (int64_t i = 0; i < count && status == BNF_OK; i++)
        status =
            read_one(ds, index ? index[i] : first + i, &raw, &maker, (uint8_t *)images + i * ds->info.sample_bytes);
    bnf_raw_release(&raw);
    bnf_maker_release(&maker);
    return status;
}
