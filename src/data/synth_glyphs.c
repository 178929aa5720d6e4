/* The source of glyphs: digits of random place, turn, slant, size and strength on a canvas of noise. Only integers and
 * the four basic operations of double enter, so a picture is the same on every machine. */
#include "base/mem.h"
#include "data/synth_parts.h"

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

    bnf_synth_units(s->key, split, index, GEOMETRY_BLOCKS, unit);
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
        image[i] = bnf_synth_pixel(v);
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

static bnf_status glyphs_open(struct glyph_source *s, const bnf_synth_glyphs_options *o)
{
    BNF_TRY(bnf_synth_set_counts(&s->base, o->count));
    BNF_TRY(bnf_synth_set_canvas(&s->base, o->height, o->width, o->noise, &s->noise));
    s->base.c = 1;
    s->key = bnf_philox_key_make(o->seed, BNF_STREAM_SYNTH);
    BNF_TRY(bnf_source_set_names(&s->base, GLYPHS, NULL));
    return bnf_source_describe(&s->base, "generated glyphs, seed %llu, noise %g", (unsigned long long)o->seed,
                               o->noise);
}

bnf_status bnf_source_glyphs(const bnf_comm *comm, const bnf_synth_glyphs_options *options, bnf_source **source)
{
    struct glyph_source *s = NULL;
    bnf_status status = bnf_calloc(1, sizeof *s, "glyph source", &s);

    if (status == BNF_OK) {
        s->base.read = glyphs_read;
        s->base.locate = bnf_synth_locate;
        s->base.destroy = bnf_source_free;
        status = glyphs_open(s, options);
    }
    return bnf_source_settle(comm, status, s ? &s->base : NULL, source);
}

bnf_status bnf_synth_glyphs(const bnf_comm *comm, const bnf_synth_glyphs_options *options,
                            const bnf_import_output *output, bnf_import_summary *summary)
{
    bnf_source *source;
    BNF_TRY(bnf_source_glyphs(comm, options, &source));
    return bnf_import_run(comm, source, output, summary);
}
