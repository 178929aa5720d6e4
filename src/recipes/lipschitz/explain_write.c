/* recipes/lipschitz/explain_write.c - maps.h5 and pictures. */
#include "recipes/lipschitz/explain_write.h"

#include "base/fs.h"
#include "base/mem.h"
#include "comm/agree.h"
#include "h5/attr.h"
#include "h5/dataset.h"
#include "report/colormap.h"
#include "report/image.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* "RUN/explain" or "RUN/explain/name". [out] path owned by the caller. */
static bnf_status path_of(const bnf_run *run, const char *name, char **path)
{
    bnf_buf folder = {0}, whole = {0};
    bnf_status s = bnf_fs_join(&folder, run->folder, "explain");
    if (s == BNF_OK)
        s = name ? bnf_fs_join(&whole, bnf_buf_text(&folder), name) : bnf_buf_puts(&whole, bnf_buf_text(&folder));
    if (s == BNF_OK)
        s = bnf_buf_take(&whole, path);
    bnf_buf_release(&folder);
    bnf_buf_release(&whole);
    return s;
}

/* ---- maps.h5 ---- */

enum { STEP = BNF_LIPSCHITZ_METHODS, IMAGES, STRIP, TURNED, ARRAYS };

struct bnf_lipschitz_explain_file {
    bnf_run *run;
    const bnf_lipschitz_net *net;
    const bnf_lipschitz_explain_settings *set;
    char *path, *temporary;
    bnf_h5_file *h5;
    bnf_h5_dataset *array[ARRAYS]; /* maps by method, then the others; NULL: not written */
};

/* Extents of an array; returns how many. */
static int extents(const bnf_lipschitz_explain_file *f, int array, int64_t *dim)
{
    const bnf_lipschitz_shape *in = &f->net->in;
    int n = 0;
    dim[n++] = f->set->samples;
    if (array == STRIP)
        dim[n++] = f->set->t.count;
    dim[n++] = in->h;
    dim[n++] = in->w;
    if (array > STEP)
        dim[n++] = in->c;
    return n;
}

static const float *values(const bnf_lipschitz_explained *e, int array)
{
    return array == IMAGES ? e->pixels : array == STRIP ? e->strip : array == TURNED ? e->turned : e->map[array];
}

static bnf_status create_arrays(bnf_lipschitz_explain_file *f)
{
    static const char *const others[ARRAYS] = {[IMAGES] = "/images", [STRIP] = "/strip", [TURNED] = "/turned"};
    char name[64];
    int64_t dim[BNF_H5_MAX_DIMS];
    for (int a = 0; a < ARRAYS; a++) {
        if (a == STEP || (a < STEP && !f->set->method[a]))
            continue;
        snprintf(name, sizeof name, "/maps/%s", a < STEP ? bnf_lipschitz_method_names[a] : "");
        int n = extents(f, a, dim);
        BNF_TRY(bnf_h5_dataset_create(f->h5, a < STEP ? name : others[a], BNF_F32, n, dim, NULL, &f->array[a]));
    }
    return BNF_OK;
}

static bnf_status describe_maps(bnf_lipschitz_explain_file *f)
{
    const bnf_lipschitz_maps_settings *m = &f->set->maps;
    if (f->set->method[BNF_LIPSCHITZ_SMOOTHGRAD]) {
        BNF_TRY(bnf_h5_attr_set_int(f->h5, "/maps/smoothgrad", "draws", m->draws));
        BNF_TRY(bnf_h5_attr_set_real(f->h5, "/maps/smoothgrad", "sigma", m->sigma));
        BNF_TRY(bnf_h5_attr_set_int(f->h5, "/maps/smoothgrad", "seed", (int64_t)m->seed));
    }
    if (f->set->method[BNF_LIPSCHITZ_INTEGRATED]) {
        BNF_TRY(bnf_h5_attr_set_int(f->h5, "/maps/integrated", "steps", m->steps));
        BNF_TRY(bnf_h5_attr_set_real(f->h5, "/maps/integrated", "baseline", m->baseline));
    }
    return BNF_OK;
}

static bnf_status describe(bnf_lipschitz_explain_file *f)
{
    bnf_dataset *dataset;
    BNF_TRY(bnf_run_dataset(f->run, f->set->split, &dataset));
    const bnf_dataset_info *info = bnf_dataset_get_info(dataset);
    BNF_TRY(bnf_h5_attr_set_int(f->h5, "/", "format_version", 1));
    BNF_TRY(bnf_h5_attr_set_str(f->h5, "/", "weights", f->run->weights));
    BNF_TRY(bnf_h5_attr_set_int(f->h5, "/", "step", f->run->step));
    BNF_TRY(bnf_h5_attr_set_str(f->h5, "/", "split", bnf_split_name(f->set->split)));
    BNF_TRY(bnf_h5_attr_set_str(f->h5, "/", "data_checksum", info->checksum));
    BNF_TRY(bnf_h5_attr_set_strs(f->h5, "/", "classes", info->classes, info->class_names));
    BNF_TRY(bnf_h5_attr_set_int(f->h5, "/", "of_label", f->set->of_label != 0));
    BNF_TRY(bnf_h5_attr_set_int(f->h5, "/", "scaled", f->set->scaled != 0));
    BNF_TRY(bnf_h5_attr_set_reals(f->h5, "/", "t", f->set->t.count, f->set->t.value));
    return describe_maps(f);
}

static void release(bnf_lipschitz_explain_file *f)
{
    if (!f)
        return;
    bnf_free(f->path);
    bnf_free(f->temporary);
    bnf_free(f);
}

/* Closes and, after success, gives the file its name; else removes what there is. */
static bnf_status leave(bnf_lipschitz_explain_file *f, bnf_status s)
{
    bool first = bnf_comm_rank(f->run->comm) == 0;
    for (int a = 0; a < ARRAYS; a++) {
        bnf_status closed = bnf_h5_dataset_close(f->array[a]);
        s = s == BNF_OK ? closed : s;
    }
    bnf_status closed = bnf_h5_file_close(f->h5);
    s = s == BNF_OK ? closed : s;
    if (first && s == BNF_OK)
        s = bnf_fs_rename(f->temporary, f->path);
    else if (first)
        bnf_fs_remove(f->temporary);
    s = bnf_comm_agree(f->run->comm, s);
    release(f);
    return s;
}

bnf_status bnf_lipschitz_explain_file_create(bnf_run *run, const bnf_lipschitz_net *net,
                                             const bnf_lipschitz_explain_settings *settings,
                                             bnf_lipschitz_explain_file **file)
{
    bnf_lipschitz_explain_file *f = NULL;
    *file = NULL;
    bnf_status s = bnf_calloc(1, sizeof *f, "file of maps", &f);
    if (s == BNF_OK) {
        *f = (bnf_lipschitz_explain_file){.run = run, .net = net, .set = settings};
        s = path_of(run, "maps.h5", &f->path);
    }
    if (s == BNF_OK)
        s = path_of(run, "maps.h5.tmp", &f->temporary);
    s = bnf_comm_agree(run->comm, s);
    if (s == BNF_OK)
        s = bnf_h5_file_create_parallel(f->temporary, run->comm, &f->h5);
    if (s != BNF_OK) {
        release(f);
        return s;
    }
    s = create_arrays(f);
    if (s == BNF_OK)
        s = describe(f);
    if (s != BNF_OK)
        return leave(f, s);
    *file = f;
    return BNF_OK;
}

bnf_status bnf_lipschitz_explain_file_put(bnf_lipschitz_explain_file *f, int64_t first,
                                          const bnf_lipschitz_explained *e, bnf_status local)
{
    int64_t start[BNF_H5_MAX_DIMS] = {first}, count[BNF_H5_MAX_DIMS];
    for (int a = 0; a < ARRAYS; a++) {
        if (!f->array[a])
            continue;
        extents(f, a, count);
        count[0] = e->n;
        BNF_TRY(bnf_h5_dataset_write_slab_all(f->array[a], BNF_F32, start, count, values(e, a), local));
    }
    return BNF_OK;
}

/* columns 0: one number per sample, [n]; else [n, columns]. */
static bnf_status put(bnf_lipschitz_explain_file *f, const char *name, bnf_dtype dtype, int64_t columns,
                      const void *data)
{
    bnf_h5_dataset *d;
    const int64_t dim[] = {f->set->samples, columns};
    BNF_TRY(bnf_h5_dataset_create(f->h5, name, dtype, columns > 0 ? 2 : 1, dim, NULL, &d));
    bnf_status s = bnf_h5_dataset_write(d, dtype, data), closed = bnf_h5_dataset_close(d);
    return s == BNF_OK ? closed : s;
}

/* Columns of the facts, one behind the other, through `space`. */
static bnf_status put_facts(bnf_lipschitz_explain_file *f, const bnf_lipschitz_facts *facts, void *space)
{
    int64_t n = f->set->samples, t = f->set->t.count;
    int64_t *i64 = space;
    int32_t *i32 = space;
    double *f64 = space;
#define COLUMN(name, type, target, field)      \
    do {                                       \
        for (int64_t i = 0; i < n; i++)        \
            (target)[i] = facts[i].field;      \
        BNF_TRY(put(f, name, type, 0, space)); \
    } while (0)
    COLUMN("/samples", BNF_I64, i64, sample);
    COLUMN("/labels", BNF_I32, i32, label);
    COLUMN("/predicted", BNF_I32, i32, predicted);
    COLUMN("/explained", BNF_I32, i32, explained);
    COLUMN("/lead", BNF_F64, f64, lead);
    COLUMN("/slope", BNF_F64, f64, slope);
    COLUMN("/turned_class", BNF_I32, i32, turned);
    COLUMN("/turned_distance", BNF_F64, f64, distance);
#undef COLUMN
    for (int64_t i = 0; i < n * t; i++)
        f64[i] = facts[i / t].lead_at[i % t];
    BNF_TRY(put(f, "/strip_lead", BNF_F64, t, f64));
    for (int64_t i = 0; i < n * t; i++)
        i32[i] = facts[i / t].class_at[i % t];
    return put(f, "/strip_class", BNF_I32, t, i32);
}

bnf_status bnf_lipschitz_explain_file_finish(bnf_lipschitz_explain_file *f, const bnf_lipschitz_facts *facts,
                                             bnf_status s)
{
    void *space = NULL;
    if (s == BNF_OK)
        s = bnf_alloc((size_t)(f->set->samples * (f->set->t.count + 1)) * sizeof(double), "columns of a file", &space);
    s = bnf_comm_agree(f->run->comm, s);
    if (s == BNF_OK)
        s = put_facts(f, facts, space);
    bnf_free(space);
    return leave(f, s);
}

/* ---- pictures ---- */

enum { ACROSS = 112, GAP = 8 }; /* pixels of a small picture, at least; between two */

typedef struct canvas {
    uint8_t *rgb; /* [height, width, 3] */
    int64_t height, width, factor;
} canvas;

/* rgb[h,w,3] at (top, left), enlarged. */
static void paste(canvas *c, const uint8_t *rgb, int64_t h, int64_t w, int64_t top, int64_t left)
{
    for (int64_t y = 0; y < h * c->factor; y++)
        for (int64_t x = 0; x < w * c->factor; x++)
            memcpy(c->rgb + 3 * ((top + y) * c->width + left + x), rgb + 3 * (y / c->factor * w + x / c->factor), 3);
}

/* Pixels in [0,1] to colours: three channels as they are, of another number the first as grey. */
static void photo(const bnf_lipschitz_net *net, const float *x, uint8_t *rgb)
{
    int64_t area = net->in.h * net->in.w, c = net->in.c;
    for (int64_t i = 0; i < area; i++) {
        bnf_colormap_gray(x + i * c, c == 3 ? 3 : 1, 0, 1, rgb + 3 * i);
        if (c != 3)
            rgb[3 * i + 1] = rgb[3 * i + 2] = rgb[3 * i];
    }
}

static bnf_status colours(const bnf_lipschitz_net *net, int method, const float *map, uint8_t *rgb)
{
    double limit;
    int64_t area = net->in.h * net->in.w;
    BNF_TRY(bnf_colormap_limit(map, area, 0.99, &limit));
    bnf_colormap_apply(bnf_lipschitz_method_signed((bnf_lipschitz_method)method) ? BNF_COLORMAP_SIGNED
                                                                                 : BNF_COLORMAP_MAGNITUDE,
                       map, area, limit, rgb);
    return BNF_OK;
}

static bnf_status draw(const bnf_lipschitz_explained *e, int64_t i, uint8_t *rgb, canvas *c)
{
    int64_t h = e->net->in.h, w = e->net->in.w, size = bnf_lipschitz_size(&e->net->in), area = h * w;
    int64_t across = w * c->factor + GAP, left = GAP, below = h * c->factor + 2 * GAP;
    photo(e->net, e->pixels + i * size, rgb);
    paste(c, rgb, h, w, GAP, left);
    for (int m = 0; m < BNF_LIPSCHITZ_METHODS; m++)
        if (e->map[m]) {
            BNF_TRY(colours(e->net, m, e->map[m] + i * area, rgb));
            paste(c, rgb, h, w, GAP, left += across);
        }
    photo(e->net, e->turned + i * size, rgb);
    paste(c, rgb, h, w, GAP, left + across);
    left = GAP;
    for (int64_t t = 0; t < e->t.count; t++, left += across) {
        photo(e->net, e->strip + (i * e->t.count + t) * size, rgb);
        paste(c, rgb, h, w, below, left);
    }
    return BNF_OK;
}

static bnf_status save(const bnf_run *run, const canvas *c, int64_t sample)
{
    char name[48];
    char *path = NULL;
    uint8_t *png = NULL;
    size_t bytes;
    snprintf(name, sizeof name, "sample-%06lld.png", (long long)sample);
    bnf_status s = bnf_png_encode(c->rgb, c->height, c->width, 3, &png, &bytes);
    if (s == BNF_OK)
        s = path_of(run, name, &path);
    if (s == BNF_OK)
        s = bnf_fs_write_atomic(path, png, bytes);
    bnf_free(path);
    bnf_free(png);
    return s;
}

bnf_status bnf_lipschitz_explain_picture(const bnf_run *run, const bnf_lipschitz_explained *e, int64_t i)
{
    int64_t h = e->net->in.h, w = e->net->in.w, most = h > w ? h : w, above = 2;
    canvas c = {.factor = most < ACROSS ? (ACROSS + most - 1) / most : 1};
    uint8_t *rgb = NULL;
    for (int m = 0; m < BNF_LIPSCHITZ_METHODS; m++)
        above += e->map[m] != NULL;
    c.width = (above > e->t.count ? above : e->t.count) * (w * c.factor + GAP) + GAP;
    c.height = (e->t.count > 0 ? 2 : 1) * (h * c.factor + GAP) + GAP;
    BNF_TRY(bnf_alloc((size_t)(c.width * c.height * 3), "a picture", &c.rgb));
    memset(c.rgb, 255, (size_t)(c.width * c.height * 3));
    bnf_status s = bnf_alloc((size_t)(h * w * 3), "a picture", &rgb);
    if (s == BNF_OK)
        s = draw(e, i, rgb, &c);
    if (s == BNF_OK)
        s = save(run, &c, e->facts[i].sample);
    bnf_free(rgb);
    bnf_free(c.rgb);
    return s;
}

bnf_status bnf_lipschitz_explain_clear(const bnf_run *run)
{
    char *folder = NULL;
    bnf_fs_names names = {0};
    bnf_buf path = {0};
    bnf_status s = path_of(run, NULL, &folder);
    if (s == BNF_OK)
        s = bnf_fs_make_folders(folder);
    if (s == BNF_OK)
        s = bnf_fs_list(folder, &names);
    for (int64_t i = 0; i < names.count && s == BNF_OK; i++)
        if (bnf_glob_match("sample-*.png", names.name[i]) || strcmp(names.name[i], "maps.h5") == 0) {
            s = bnf_fs_join(&path, folder, names.name[i]);
            if (s == BNF_OK)
                s = bnf_fs_remove(bnf_buf_text(&path));
        }
    bnf_fs_names_release(&names);
    bnf_buf_release(&path);
    bnf_free(folder);
    return s;
}
