#include "data/transform.h"

#include "base/assert.h"
#include "base/mem.h"
#include "base/philox.h"

#include <math.h>
#include <string.h>

struct bnf_transform {
    bnf_dtype dtype;
    int64_t h, w, c;
    double scale[BNF_DATA_MAX_CHANNELS], shift[BNF_DATA_MAX_CHANNELS];
    float scale_f32[BNF_DATA_MAX_CHANNELS], shift_f32[BNF_DATA_MAX_CHANNELS];
    float *table; /* [c, 256] for u8: each value rounded once */
};

/* Blocks from 0 on say which of the six, from 17 on by how much: bnf_philox_below may take a few. */
static bnf_image_move draw_roll(int64_t rows, bnf_philox_key key, uint32_t epoch, uint64_t index)
{
    enum { AS_IT_IS, MIRRORED, UP, DOWN, MIRRORED_UP, MIRRORED_DOWN, WAYS };
    const uint32_t way = bnf_philox_below(key, epoch, index, 0, WAYS);
    const int64_t by = rows * (1 + (int64_t)bnf_philox_below(key, epoch, index, 17, BNF_AUGMENT_ROLLS));
    bnf_image_move move = {.flip = way == MIRRORED || way == MIRRORED_UP || way == MIRRORED_DOWN};
    if (way == UP || way == MIRRORED_UP)
        move.roll = by;
    else if (way == DOWN || way == MIRRORED_DOWN)
        move.roll = -by;
    return move;
}

bnf_image_move bnf_augment_draw(const bnf_augment *augment, uint64_t seed, int64_t epoch, int64_t index)
{
    bnf_image_move move = {0};
    bnf_philox_key key = bnf_philox_key_make(seed, BNF_STREAM_AUGMENT);
    uint32_t side = (uint32_t)(2 * augment->pad_crop + 1);

    if (augment->roll > 0)
        return draw_roll(augment->roll, key, (uint32_t)epoch, (uint64_t)index);
    if (augment->flip)
        move.flip = bnf_philox(key, bnf_philox_counter((uint32_t)epoch, (uint64_t)index, 0)).v[0] >> 31;
    if (augment->pad_crop > 0) {
        /* Indices 1.. and 17..: bnf_philox_below may take a few blocks. */
        move.dy = (int64_t)bnf_philox_below(key, (uint32_t)epoch, (uint64_t)index, 1, side) - augment->pad_crop;
        move.dx = (int64_t)bnf_philox_below(key, (uint32_t)epoch, (uint64_t)index, 17, side) - augment->pad_crop;
    }
    return move;
}

bnf_image_box bnf_augment_crop(const bnf_augment *augment, uint64_t seed, int64_t epoch, int64_t index, int64_t h,
                               int64_t w)
{
    enum { TRIES = 10, FIRST = 64, BLOCKS = 64 }; /* of the counter: clear of those of bnf_augment_draw */
    const double *area = augment->crop_scale, *ratio = augment->crop_ratio;
    bnf_philox_key key = bnf_philox_key_make(seed, BNF_STREAM_AUGMENT);
    uint32_t step = (uint32_t)epoch;
    double lo = log(ratio[0]), hi = log(ratio[1]);

    for (uint32_t t = 0; t < TRIES; t++) {
        uint32_t block = FIRST + t * BLOCKS;
        bnf_philox_block b = bnf_philox(key, bnf_philox_counter(step, (uint64_t)index, block));
        double pixels = (double)(h * w) * (area[0] + (area[1] - area[0]) * bnf_philox_unit_f64(b.v[0], b.v[1]));
        double aspect = exp(lo + (hi - lo) * bnf_philox_unit_f64(b.v[2], b.v[3]));
        bnf_image_box box = {.h = lrint(sqrt(pixels / aspect)), .w = lrint(sqrt(pixels * aspect))};
        if (box.h < 1 || box.h > h || box.w < 1 || box.w > w)
            continue;
        box.y = bnf_philox_below(key, step, (uint64_t)index, block + 1, (uint32_t)(h - box.h + 1));
        box.x = bnf_philox_below(key, step, (uint64_t)index, block + 17, (uint32_t)(w - box.w + 1));
        return box;
    }
    bnf_image_box box = {.h = h, .w = w};
    if ((double)w < ratio[0] * (double)h)
        box.h = lrint((double)w / ratio[0]);
    else if ((double)w > ratio[1] * (double)h)
        box.w = lrint((double)h * ratio[1]);
    box.h = box.h < 1 ? 1 : box.h > h ? h : box.h;
    box.w = box.w < 1 ? 1 : box.w > w ? w : box.w;
    box.y = (h - box.h) / 2;
    box.x = (w - box.w) / 2;
    return box;
}

/* ---- Normalisation ---- */

static bnf_status choose_map(bnf_transform *t, const bnf_dataset_info *info, const bnf_normalise *n)
{
    double unit = info->dtype == BNF_U8 ? 1.0 / 255.0 : 1.0;

    if (n->mode == BNF_NORMALISE_STATS && !info->has_stats)
        return bnf_fail(BNF_ERR_CONFIG, "'%s' states no mean and std: normalise otherwise", info->path);
    for (int64_t c = 0; c < info->c; c++) {
        double scale = 1.0, shift = 0.0;
        if (n->mode == BNF_NORMALISE_STATS) {
            if (!(info->std[c] > 0.0))
                return bnf_fail(BNF_ERR_CONFIG, "'%s': channel %lld is constant (std %g): normalise otherwise",
                                info->path, (long long)c, info->std[c]);
            scale = 1.0 / info->std[c];
            shift = -info->mean[c] / info->std[c];
        } else if (n->mode == BNF_NORMALISE_AFFINE) {
            scale = n->scale;
            shift = n->shift;
        }
        t->scale[c] = unit * scale;
        t->shift[c] = shift;
        t->scale_f32[c] = (float)t->scale[c];
        t->shift_f32[c] = (float)t->shift[c];
    }
    return BNF_OK;
}

bnf_status bnf_transform_create(const bnf_dataset_info *info, const bnf_normalise *normalise, bnf_transform **transform)
{
    bnf_transform *t;

    BNF_ASSERT(info->c <= BNF_DATA_MAX_CHANNELS && (unsigned)normalise->mode < BNF_NORMALISE_MODE_COUNT);
    BNF_TRY(bnf_calloc(1, sizeof *t, "transform", &t));
    t->dtype = info->dtype;
    t->h = info->h;
    t->w = info->w;
    t->c = info->c;
    bnf_status status = choose_map(t, info, normalise);
    if (status == BNF_OK && t->dtype == BNF_U8)
        status = bnf_alloc((size_t)t->c * 256 * sizeof(float), "table of a transform", &t->table);
    if (status != BNF_OK) {
        bnf_transform_destroy(t);
        return status;
    }
    for (int64_t c = 0; c < t->c && t->table; c++)
        for (int v = 0; v < 256; v++)
            t->table[256 * c + v] = (float)(v * t->scale[c] + t->shift[c]);
    *transform = t;
    return BNF_OK;
}

void bnf_transform_destroy(bnf_transform *transform)
{
    if (!transform)
        return;
    bnf_free(transform->table);
    bnf_free(transform);
}

const double *bnf_transform_scale(const bnf_transform *transform)
{
    return transform->scale;
}

const double *bnf_transform_shift(const bnf_transform *transform)
{
    return transform->shift;
}

/* ---- Pixels ---- */

/* `count` pixels from src on; NULL: black. */
static void convert_u8(const bnf_transform *t, const uint8_t *src, int64_t count, float *x)
{
    static const uint8_t black[BNF_DATA_MAX_CHANNELS];
    int64_t stride = src ? t->c : 0;

    if (t->c == 1 && src) {
        for (int64_t i = 0; i < count; i++)
            x[i] = t->table[src[i]];
        return;
    }
    if (t->c == 3 && src) {
        const float *red = t->table, *green = red + 256, *blue = green + 256;
        for (int64_t i = 0; i < 3 * count; i += 3) {
            x[i] = red[src[i]];
            x[i + 1] = green[src[i + 1]];
            x[i + 2] = blue[src[i + 2]];
        }
        return;
    }
    if (!src)
        src = black;
    for (int64_t i = 0; i < count; i++, src += stride)
        for (int64_t c = 0; c < t->c; c++)
            *x++ = t->table[256 * c + src[c]];
}

static void convert_f32(const bnf_transform *t, const float *src, int64_t count, float *x)
{
    static const float black[BNF_DATA_MAX_CHANNELS];
    int64_t stride = src ? t->c : 0;

    if (!src)
        src = black;
    for (int64_t i = 0; i < count; i++, src += stride)
        for (int64_t c = 0; c < t->c; c++)
            *x++ = src[c] * t->scale_f32[c] + t->shift_f32[c];
}

static void convert(const bnf_transform *t, const void *image, int64_t first_pixel, int64_t count, float *x)
{
    if (t->dtype == BNF_U8)
        convert_u8(t, image ? (const uint8_t *)image + first_pixel * t->c : NULL, count, x);
    else
        convert_f32(t, image ? (const float *)image + first_pixel * t->c : NULL, count, x);
}

static void mirror_row(float *row, int64_t w, int64_t c)
{
    for (int64_t a = 0, b = w - 1; a < b; a++, b--)
        for (int64_t k = 0; k < c; k++) {
            float swap = row[a * c + k];
            row[a * c + k] = row[b * c + k];
            row[b * c + k] = swap;
        }
}

static int64_t clamp(int64_t v, int64_t lo, int64_t hi)
{
    return v < lo ? lo : v > hi ? hi : v;
}

void bnf_transform_apply(const bnf_transform *t, const void *image, const bnf_image_move *move, float *x)
{
    int64_t lo = clamp(-move->dx, 0, t->w), hi = clamp(t->w - move->dx, lo, t->w); /* columns that the source covers */

    BNF_ASSERT(move->roll > -t->h && move->roll < t->h);
    if (move->dy == 0 && move->dx == 0 && move->roll == 0 && !move->flip) {
        convert(t, image, 0, t->h * t->w, x);
        return;
    }
    for (int64_t y = 0; y < t->h; y++, x += t->w * t->c) {
        int64_t from = move->roll ? (y + move->roll + t->h) % t->h : y + move->dy;
        if (from < 0 || from >= t->h) {
            convert(t, NULL, 0, t->w, x);
            continue;
        }
        convert(t, NULL, 0, lo, x);
        convert(t, image, from * t->w + lo + move->dx, hi - lo, x + lo * t->c);
        convert(t, NULL, 0, t->w - hi, x + hi * t->c);
        if (move->flip)
            mirror_row(x, t->w, t->c);
    }
}
