/* The source of glyphs: digits of random place, turn, slant, size and strength on a canvas of noise. Only integers and
 * the four basic operations of double enter, so a picture is the same on every machine. */
#include "base/mem.h"
#include "base/philox.h"
#include "comm/agree.h"
#include "data/source.h"
#include "data/synth_noise.h"

#include <stdio.h>

#define GLYPHS 10
#define COLUMNS 5
#define ROWS 7
#define BACKGROUND 90.0   /* grey level of the canvas */
#define STRENGTH 110.0    /* of a glyph above it, at most; at least two thirds of that */
#define GEOMETRY_BLOCKS 4 /* random blocks of a sample that come before those of the noise */

static const char *const glyphs[GLYPHS][ROWS] = {
    {".###.", "#...#", "#...#", "#...#", "#...#", "#...#", ".###."},
    {"..#..", ".##..", "..#..", "..#..", "..#..", "..#..", ".###."},
    {".###.", "#...#", "....#", "...#.", "..#..", ".#...", "#####"},
    {"####.", "....#", "....#", ".###.", "....#", "....#", "####."},
    {"...#.", "..##.", ".#.#.", "#..#.", "#####", "...#.", "...#."},
    {"#####", "#....", "####.", "....#", "....#", "#...#", ".###."},
    {"..##.", ".#...", "#....", "####.", "#...#", "#...#", ".###."},
    {"#####", "....#", "...#.", "..#..", "..#..", ".#...", ".#..."},
    {".###.", "#...#", "#...#", ".###.", "#...#", "#...#", ".###."},
    {".###.", "#...#", "#...#", ".####", "....#", "...#.", ".##.."},
};

struct glyph_source {
    bnf_source base; /* first: a bnf_source pointer is a glyph_source pointer */
    bnf_philox_key key;
    double noise; /* grey levels per unit of bnf_synth_noise */
};

/* How a glyph lies on its canvas. */
struct pose {
    double cy, cx, cell;    /* centre and side of a cell of the glyph, in pixels */
    double cosine, sine;    /* of its turn, at most 16 degrees either way */
    double slant, strength; /* sideways per cell of height; grey levels */
};

static struct pose draw_pose(const struct glyph_source *s, bnf_split split, int64_t index)
{
    double unit[2 * GEOMETRY_BLOCKS];
    struct pose p;

    for (uint32_t k = 0; k < GEOMETRY_BLOCKS; k++) {
        bnf_philox_block b = bnf_philox(s->key, bnf_philox_counter((uint32_t)split, (uint64_t)index, k));
        unit[2 * k] = bnf_philox_unit_f64(b.v[0], b.v[1]);
        unit[2 * k + 1] = bnf_philox_unit_f64(b.v[2], b.v[3]);
    }
    p.cell = 0.9 + 0.25 * unit[0];
    p.cy = 4.0 + ((double)s->base.h - 8.0) * unit[1];
    p.cx = 4.0 + ((double)s->base.w - 8.0) * unit[2];
    double t = 0.28 * (unit[3] - 0.5), square = t * t; /* tangent of half the turn */
    p.cosine = (1.0 - square) / (1.0 + square);
    p.sine = 2.0 * t / (1.0 + square);
    p.slant = 0.5 * (unit[4] - 0.5);
    p.strength = STRENGTH * (2.0 + unit[5]) / 3.0;
    return p;
}

/* Whether the glyph covers the point (y, x) of the canvas. */
static bool covers(const char *const *glyph, const struct pose *p, double y, double x)
{
    double dx = (x - p->cx) / p->cell, dy = (y - p->cy) / p->cell;
    double v = p->cosine * dy - p->sine * dx + 0.5 * ROWS;
    double u = p->cosine * dx + p->sine * dy + p->slant * (v - 0.5 * ROWS) + 0.5 * COLUMNS;
    return u >= 0.0 && v >= 0.0 && u < COLUMNS && v < ROWS && glyph[(int)v][(int)u] == '#';
}

static void draw_image(const struct glyph_source *s, bnf_split split, int64_t index, uint8_t *image)
{
    struct pose pose = draw_pose(s, split, index);
    const char *const *glyph = glyphs[index % GLYPHS];
    bnf_philox_block bits = {{0}};

    for (int64_t i = 0; i < s->base.h * s->base.w; i++) {
        double y = (double)(i / s->base.w), x = (double)(i % s->base.w);
        int hits = 0;
        for (int k = 0; k < 4; k++)
            hits += covers(glyph, &pose, y + 0.25 + 0.5 * (k >> 1), x + 0.25 + 0.5 * (k & 1));
        if (i % 4 == 0)
            bits = bnf_philox(
                s->key, bnf_philox_counter((uint32_t)split, (uint64_t)index, (uint32_t)(GEOMETRY_BLOCKS + i / 4)));
        double v = BACKGROUND + 0.25 * hits * pose.strength + s->noise * bnf_synth_noise(bits.v[i % 4]);
        image[i] = v <= 0.0 ? 0 : v >= 255.0 ? 255 : (uint8_t)(v + 0.5);
    }
}

static bnf_status glyphs_read(bnf_source *source, bnf_split split, int64_t first, int64_t count, uint8_t *images,
                              int32_t *labels)
{
    const struct glyph_source *s = (const struct glyph_source *)source;
    for (int64_t i = 0; i < count; i++) {
        draw_image(s, split, first + i, images + i * source->h * source->w);
        labels[i] = (int32_t)((first + i) % GLYPHS);
    }
    return BNF_OK;
}

static void glyphs_locate(const bnf_source *source, bnf_split split, int64_t index, char *text, size_t size)
{
    (void)source;
    snprintf(text, size, "generated %s sample %lld", bnf_split_name(split), (long long)index);
}

static void glyphs_destroy(bnf_source *source)
{
    bnf_source_release(source);
    bnf_free(source);
}

static bnf_status glyphs_open(struct glyph_source *s, const bnf_synth_glyphs_options *o)
{
    if (o->count[BNF_TRAIN] < 1 || o->count[BNF_TEST] < 0)
        return bnf_fail(BNF_ERR_ARG, "%lld training and %lld test samples: at least 1 and 0",
                        (long long)o->count[BNF_TRAIN], (long long)o->count[BNF_TEST]);
    if (o->height < 8 || o->width < 8 || o->height > 4096 || o->width > 4096)
        return bnf_fail(BNF_ERR_ARG, "pictures of %lld x %lld: each side must be 8 to 4096", (long long)o->height,
                        (long long)o->width);
    if (!(o->noise >= 0.0 && o->noise <= 64.0))
        return bnf_fail(BNF_ERR_ARG, "a noise of %g grey levels: it must be 0 to 64", o->noise);
    for (int split = 0; split < BNF_SPLIT_COUNT; split++)
        s->base.count[split] = o->count[split];
    s->base.h = o->height;
    s->base.w = o->width;
    s->base.c = 1;
    s->key = bnf_philox_key_make(o->seed, BNF_STREAM_SYNTH);
    s->noise = o->noise / BNF_SYNTH_NOISE_STD;
    BNF_TRY(bnf_source_set_names(&s->base, GLYPHS, NULL));
    return bnf_source_describe(&s->base, "generated glyphs, seed %llu, noise %g", (unsigned long long)o->seed,
                               o->noise);
}

bnf_status bnf_source_glyphs(const bnf_comm *comm, const bnf_synth_glyphs_options *options, bnf_source **source)
{
    struct glyph_source *s = NULL;
    bnf_status status = bnf_calloc(1, sizeof *s, "glyph source", &s);

    *source = NULL;
    if (status == BNF_OK) {
        s->base.read = glyphs_read;
        s->base.locate = glyphs_locate;
        s->base.destroy = glyphs_destroy;
        status = glyphs_open(s, options);
    }
    status = bnf_comm_agree(comm, status);
    if (status == BNF_OK)
        *source = &s->base;
    else if (s)
        glyphs_destroy(&s->base);
    return status;
}

bnf_status bnf_synth_glyphs(const bnf_comm *comm, const bnf_synth_glyphs_options *options,
                            const bnf_import_output *output, bnf_import_summary *summary)
{
    bnf_source *source;
    BNF_TRY(bnf_source_glyphs(comm, options, &source));
    return bnf_import_run(comm, source, output, summary);
}
