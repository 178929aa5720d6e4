/* The sources of generated sets for optimal transport, whose answers are known: two classes at a known Wasserstein
 * distance, and points on two Koch snowflakes. Integers, the four basic operations and square roots of double alone
 * enter, so a sample is the same on every machine. */
#include "base/mem.h"
#include "data/synth_parts.h"

#include <math.h>
#include <string.h>

#define MAX_ORDER 8

/* ---- Two classes at a known distance ---- */

struct wasserstein_source {
    bnf_source base; /* first: a bnf_source pointer is a wasserstein_source pointer */
    int64_t side;
};

static bnf_status wasserstein_read(bnf_source *source, bnf_split split, int64_t first, int64_t count, float *images,
                                   int32_t *labels)
{
    int64_t n = source->h, side = ((struct wasserstein_source *)source)->side, from = (n - side) / 2;

    (void)split;
    memset(images, 0, (size_t)(count * n * n) * sizeof *images);
    for (int64_t i = 0; i < count; i++) {
        labels[i] = (int32_t)((first + i) % 2);
        for (int64_t y = from; y < from + side && labels[i]; y++)
            for (int64_t x = from; x < from + side; x++)
                images[(i * n + y) * n + x] = (first + i) % 4 == 1 ? 1 : -1;
    }
    return BNF_OK;
}

static bnf_status wasserstein_open(struct wasserstein_source *s, const bnf_synth_wasserstein_options *o)
{
    static const char *const names[] = {"zero", "square"};

    BNF_TRY(bnf_synth_set_counts(&s->base, o->count));
    if (o->size < 1 || o->size > 4096 || o->side < 1 || o->side > o->size)
        return bnf_fail(BNF_ERR_ARG,
                        "squares of side %lld in images of side %lld: images have 1 to 4096, and the squares fit in",
                        (long long)o->side, (long long)o->size);
    s->base.h = s->base.w = o->size;
    s->base.c = 1;
    s->side = o->side;
    BNF_TRY(bnf_source_set_names(&s->base, 2, names));
    return bnf_source_describe(&s->base, "generated classes at the Wasserstein-1 distance %lld", (long long)o->side);
}

bnf_status bnf_source_wasserstein(const bnf_comm *comm, const bnf_synth_wasserstein_options *options,
                                  bnf_source **source)
{
    struct wasserstein_source *s = NULL;
    bnf_status status = bnf_calloc(1, sizeof *s, "generated set", &s);

    if (status == BNF_OK) {
        s->base.read_f32 = wasserstein_read;
        s->base.locate = bnf_synth_locate;
        s->base.destroy = bnf_source_free;
        status = wasserstein_open(s, options);
    }
    return bnf_source_settle(comm, status, s ? &s->base : NULL, source);
}

bnf_status bnf_synth_wasserstein(const bnf_comm *comm, const bnf_synth_wasserstein_options *options,
                                 const bnf_import_output *output, bnf_import_summary *summary)
{
    bnf_source *source;
    BNF_TRY(bnf_source_wasserstein(comm, options, &source));
    return bnf_import_run(comm, source, output, summary);
}

/* ---- Koch snowflakes ---- */

struct point {
    double x, y;
};

struct koch_source {
    bnf_source base; /* first: a bnf_source pointer is a koch_source pointer */
    bnf_philox_key key;
    double radius[2];
    int64_t segments;
    struct point *corner; /* [segments + 1] of the snowflake of radius 1, counterclockwise; the last is the first */
};

/* Replaces every segment by four: from[n + 1] -> to[4 n + 1]. The two in the middle stand outward on the middle third,
 * that is to the right of the direction in which the curve runs. */
static void refine(const struct point *from, int64_t n, struct point *to)
{
    const double half = 0.5, root = sqrt(3.0) / 2; /* cosine and sine of 60 degrees */

    for (int64_t i = 0; i < n; i++) {
        struct point a = from[i], third = {(from[i + 1].x - a.x) / 3, (from[i + 1].y - a.y) / 3};
        struct point b = {a.x + third.x, a.y + third.y};
        to[4 * i] = a;
        to[4 * i + 1] = b;
        to[4 * i + 2] = (struct point){b.x + half * third.x + root * third.y, b.y - root * third.x + half * third.y};
        to[4 * i + 3] = (struct point){a.x + 2 * third.x, a.y + 2 * third.y};
    }
    to[4 * n] = from[n];
}

/* Draws the curve: order times a refinement, back and forth between two arrays. */
static bnf_status trace(struct koch_source *s, int64_t order)
{
    const double root = sqrt(3.0) / 2;
    const struct point triangle[4] = {{0, 1}, {-root, -0.5}, {root, -0.5}, {0, 1}};
    struct point *other;

    s->segments = 3;
    for (int64_t k = 0; k < order; k++)
        s->segments *= 4;
    BNF_TRY(bnf_alloc((size_t)(s->segments + 1) * sizeof *other, "corners of a curve", &s->corner));
    BNF_TRY(bnf_alloc((size_t)(s->segments + 1) * sizeof *other, "corners of a curve", &other));
    memcpy(s->corner, triangle, sizeof triangle);
    for (int64_t k = 0, n = 3; k < order; k++, n *= 4) {
        refine(s->corner, n, other);
        memcpy(s->corner, other, (size_t)(4 * n + 1) * sizeof *other);
    }
    bnf_free(other);
    return BNF_OK;
}

/* All segments are of the same length, so one of them and a place on it are uniform by arc length. */
static bnf_status koch_read(bnf_source *source, bnf_split split, int64_t first, int64_t count, float *images,
                            int32_t *labels)
{
    const struct koch_source *s = (const struct koch_source *)source;

    for (int64_t i = 0; i < count; i++) {
        bnf_philox_block b = bnf_philox(s->key, bnf_philox_counter((uint32_t)split, (uint64_t)(first + i), 0));
        double u = bnf_philox_unit_f64(b.v[0], b.v[1]), t = bnf_philox_unit_f64(b.v[2], b.v[3]);
        const struct point *at = s->corner + (int64_t)(u * (double)s->segments);
        labels[i] = (int32_t)((first + i) % 2);
        images[2 * i] = (float)(s->radius[labels[i]] * (at[0].x + t * (at[1].x - at[0].x)));
        images[2 * i + 1] = (float)(s->radius[labels[i]] * (at[0].y + t * (at[1].y - at[0].y)));
    }
    return BNF_OK;
}

static void koch_destroy(bnf_source *source)
{
    bnf_free(((struct koch_source *)source)->corner);
    bnf_source_free(source);
}

static bnf_status koch_open(struct koch_source *s, const bnf_synth_koch_options *o)
{
    static const char *const names[] = {"outer", "inner"};

    BNF_TRY(bnf_synth_set_counts(&s->base, o->count));
    if (o->order < 0 || o->order > MAX_ORDER)
        return bnf_fail(BNF_ERR_ARG, "snowflakes of order %lld: it must be 0 to %d", (long long)o->order, MAX_ORDER);
    if (!(o->radius[1] > 0 && o->radius[0] > o->radius[1] && o->radius[0] <= 1e6))
        return bnf_fail(BNF_ERR_ARG, "snowflakes of the radii %g and %g: the first must be larger, the second positive",
                        o->radius[0], o->radius[1]);
    s->base.h = s->base.w = 1;
    s->base.c = 2;
    memcpy(s->radius, o->radius, sizeof s->radius);
    s->key = bnf_philox_key_make(o->seed, BNF_STREAM_SYNTH);
    BNF_TRY(trace(s, o->order));
    BNF_TRY(bnf_source_set_names(&s->base, 2, names));
    return bnf_source_describe(&s->base, "points on Koch snowflakes of order %lld, radii %g and %g, seed %llu",
                               (long long)o->order, o->radius[0], o->radius[1], (unsigned long long)o->seed);
}

bnf_status bnf_source_koch(const bnf_comm *comm, const bnf_synth_koch_options *options, bnf_source **source)
{
    struct koch_source *s = NULL;
    bnf_status status = bnf_calloc(1, sizeof *s, "generated set", &s);

    if (status == BNF_OK) {
        s->base.read_f32 = koch_read;
        s->base.locate = bnf_synth_locate;
        s->base.destroy = koch_destroy;
        status = koch_open(s, options);
    }
    return bnf_source_settle(comm, status, s ? &s->base : NULL, source);
}

bnf_status bnf_synth_koch(const bnf_comm *comm, const bnf_synth_koch_options *options, const bnf_import_output *output,
                          bnf_import_summary *summary)
{
    bnf_source *source;
    BNF_TRY(bnf_source_koch(comm, options, &source));
    return bnf_import_run(comm, source, output, summary);
}
