/* The source of generated pictures: shapes and gratings. Only integers and the four basic operations of double
 * enter, so a picture is the same on every machine. */
#include "base/mem.h"
#include "data/synth_parts.h"

#define GEOMETRY_BLOCKS 16 /* random blocks of a sample that come before those of the noise */

/* Whether the point (u, v), in units of the shape's radius about its centre, v downward, belongs to the shape. */
typedef bool (*inside_fn)(double u, double v);

static double magnitude(double x)
{
    return x < 0.0 ? -x : x;
}

/* Which cell of a period of one radius the point lies in: even or odd. */
static bool odd_cell(double x)
{
    int64_t cell = (int64_t)(2.0 * x + 1024.0); /* points lie within a few radii: no negative numbers to round */
    return cell & 1;
}

static bool in_disc(double u, double v)
{
    return u * u + v * v <= 1.0;
}

static bool in_ring(double u, double v)
{
    double r = u * u + v * v;
    return r <= 1.0 && r >= 0.36;
}

static bool in_square(double u, double v)
{
    return magnitude(u) <= 0.85 && magnitude(v) <= 0.85;
}

static bool in_frame(double u, double v)
{
    return in_square(u, v) && (magnitude(u) >= 0.5 || magnitude(v) >= 0.5);
}

static bool in_triangle(double u, double v)
{
    return v <= 0.8 && v >= -0.9 && magnitude(u) <= (v + 0.9) / 1.7;
}

static bool in_plus(double u, double v)
{
    return (magnitude(u) <= 0.25 && magnitude(v) <= 1.0) || (magnitude(v) <= 0.25 && magnitude(u) <= 1.0);
}

static bool in_cross(double u, double v)
{
    return magnitude(u) <= 0.9 && magnitude(v) <= 0.9 && (magnitude(u - v) <= 0.35 || magnitude(u + v) <= 0.35);
}

static bool in_rows(double u, double v)
{
    (void)u;
    return odd_cell(v);
}

static bool in_columns(double u, double v)
{
    (void)v;
    return odd_cell(u);
}

static bool in_checker(double u, double v)
{
    return odd_cell(u) != odd_cell(v);
}

static const struct shape {
    const char *name;
    inside_fn inside;
} shapes[] = {
    {"disc", in_disc}, {"ring", in_ring},   {"square", in_square}, {"frame", in_frame},     {"triangle", in_triangle},
    {"plus", in_plus}, {"cross", in_cross}, {"rows", in_rows},     {"columns", in_columns}, {"checker", in_checker},
};
#define SHAPE_COUNT ((int64_t)(sizeof shapes / sizeof shapes[0]))

struct shape_source {
    bnf_source base; /* first: a bnf_source pointer is a shape_source pointer */
    bnf_philox_key key;
    double noise; /* grey levels per unit of the sum of four bytes */
};

/* Where a shape lies and how it is coloured. */
struct scene {
    double cy, cx, radius;
    double front[3], back[3]; /* grey levels */
};

static struct scene draw_scene(const struct shape_source *s, bnf_split split, int64_t index)
{
    double unit[8], side = (double)(s->base.h < s->base.w ? s->base.h : s->base.w);
    struct scene scene;

    bnf_synth_units(s->key, split, index, 4, unit);
    scene.radius = side * (0.22 + 0.18 * unit[0]);
    scene.cy = (double)s->base.h * 0.5 + (unit[1] - 0.5) * 0.3 * side;
    scene.cx = (double)s->base.w * 0.5 + (unit[2] - 0.5) * 0.3 * side;
    double low = 20.0 + 70.0 * unit[3], high = 150.0 + 85.0 * unit[4];
    bool bright = unit[5] < 0.5;
    for (int c = 0; c < 3; c++) {
        double tint = s->base.c == 3 ? 40.0 * (unit[6] - 0.5) * (c - 1) : 0.0;
        scene.front[c] = (bright ? high : low) + tint;
        scene.back[c] = (bright ? low : high) - tint * (unit[7] < 0.5 ? 1.0 : 0.5);
    }
    return scene;
}

/* The part of a pixel that the shape covers, from 2 x 2 points. */
static double coverage(const struct scene *scene, inside_fn inside, int64_t y, int64_t x)
{
    int hits = 0;
    for (int k = 0; k < 4; k++) {
        double v = ((double)y + 0.25 + 0.5 * (k >> 1) - scene->cy) / scene->radius;
        double u = ((double)x + 0.25 + 0.5 * (k & 1) - scene->cx) / scene->radius;
        hits += inside(u, v);
    }
    return hits * 0.25;
}

static void draw_image(const struct shape_source *s, bnf_split split, int64_t index, uint8_t *image)
{
    struct scene scene = draw_scene(s, split, index);
    inside_fn inside = shapes[index % SHAPE_COUNT].inside;
    int64_t pixel = 0;
    bnf_philox_block bits = {{0}};

    for (int64_t y = 0; y < s->base.h; y++) {
        for (int64_t x = 0; x < s->base.w; x++) {
            double part = coverage(&scene, inside, y, x);
            for (int64_t c = 0; c < s->base.c; c++, pixel++) {
                if (pixel % 4 == 0)
                    bits = bnf_philox(s->key, bnf_philox_counter((uint32_t)split, (uint64_t)index,
                                                                 (uint32_t)(GEOMETRY_BLOCKS + pixel / 4)));
                double v = scene.back[c] + part * (scene.front[c] - scene.back[c]) +
                           s->noise * bnf_synth_noise(bits.v[pixel % 4]);
                *image++ = bnf_synth_pixel(v);
            }
        }
    }
}

static bnf_status shapes_read(bnf_source *source, bnf_split split, int64_t first, int64_t count, uint8_t *images,
                              int32_t *labels)
{
    const struct shape_source *s = (const struct shape_source *)source;
    for (int64_t i = 0; i < count; i++) {
        draw_image(s, split, first + i, images + i * source->h * source->w * source->c);
        labels[i] = (int32_t)((first + i) % SHAPE_COUNT);
    }
    return BNF_OK;
}

static bnf_status shapes_open(struct shape_source *s, const bnf_synth_shapes_options *o)
{
    const char *names[SHAPE_COUNT];

    BNF_TRY(bnf_synth_set_counts(&s->base, o->count));
    BNF_TRY(bnf_synth_set_canvas(&s->base, o->height, o->width, o->noise, &s->noise));
    if (o->channels != 1 && o->channels != 3)
        return bnf_fail(BNF_ERR_ARG, "%lld channels: it must be 1 or 3", (long long)o->channels);
    s->base.c = o->channels;
    s->key = bnf_philox_key_make(o->seed, BNF_STREAM_SYNTH);
    for (int64_t i = 0; i < SHAPE_COUNT; i++)
        names[i] = shapes[i].name;
    BNF_TRY(bnf_source_set_names(&s->base, SHAPE_COUNT, names));
    return bnf_source_describe(&s->base, "generated shapes, seed %llu, noise %g", (unsigned long long)o->seed,
                               o->noise);
}

bnf_status bnf_source_shapes(const bnf_comm *comm, const bnf_synth_shapes_options *options, bnf_source **source)
{
    struct shape_source *s = NULL;
    bnf_status status = bnf_calloc(1, sizeof *s, "shape source", &s);

    if (status == BNF_OK) {
        s->base.read = shapes_read;
        s->base.locate = bnf_synth_locate;
        s->base.destroy = bnf_source_free;
        status = shapes_open(s, options);
    }
    return bnf_source_settle(comm, status, s ? &s->base : NULL, source);
}

bnf_status bnf_synth_shapes(const bnf_comm *comm, const bnf_synth_shapes_options *options,
                            const bnf_import_output *output, bnf_import_summary *summary)
{
    bnf_source *source;
    BNF_TRY(bnf_source_shapes(comm, options, &source));
    return bnf_import_run(comm, source, output, summary);
}
