/* graph/params.c - the store of named parameters and states. */
#include <banff/graph.h>

#include "base/assert.h"
#include "base/mem.h"
#include "base/philox.h"
#include "base/simd.h"

#include <math.h>
#include <string.h>

typedef struct entry {
    bnf_param_info info;
    char *name;
    void *config, *value;
    void *raw; /* NULL where it is the value */
} entry;

struct bnf_params {
    bnf_dtype real;
    entry *entries;
    int count, capacity;
    uint64_t version;
};

bnf_status bnf_params_create(bnf_dtype real, bnf_params **params)
{
    BNF_ASSERT(real == BNF_F32 || real == BNF_F64);
    bnf_params *p;
    BNF_TRY(bnf_calloc(1, sizeof *p, "parameter store", &p));
    p->real = real;
    p->version = 1;
    *params = p;
    return BNF_OK;
}

void bnf_params_destroy(bnf_params *params)
{
    if (!params)
        return;
    for (int i = 0; i < params->count; i++) {
        bnf_free(params->entries[i].name);
        bnf_free(params->entries[i].config);
        bnf_free(params->entries[i].value);
        bnf_free(params->entries[i].raw);
    }
    bnf_free(params->entries);
    bnf_free(params);
}

static bnf_status entry_fill(entry *e, const bnf_param_info *info)
{
    e->info = *info;
    BNF_TRY(bnf_strdup(info->name, &e->name));
    e->info.name = e->name;
    if (info->reparam.make) {
        BNF_TRY(bnf_alloc(info->reparam.config_size, "reparametrisation settings", &e->config));
        if (info->reparam.config_size)
            memcpy(e->config, info->reparam.config, info->reparam.config_size);
        e->info.reparam.config = e->config;
    }
    const bnf_desc *raw = bnf_param_raw_desc(&e->info);
    if (raw != &e->info.desc)
        BNF_TRY(bnf_calloc((size_t)bnf_desc_count(raw), bnf_dtype_size(raw->dtype), info->name, &e->raw));
    return bnf_calloc((size_t)bnf_desc_count(&info->desc), bnf_dtype_size(info->desc.dtype), info->name, &e->value);
}

bnf_status bnf_params_add(bnf_params *params, const bnf_param_info *info, int *index)
{
    BNF_ASSERT(info->name && info->desc.dtype == params->real && bnf_param_raw_desc(info)->dtype == params->real);
    if (bnf_params_find(params, info->name) >= 0)
        return bnf_fail(BNF_ERR_ARG, "two parameters are named '%s'", info->name);
    if (params->count == params->capacity) {
        int grown = params->capacity ? 2 * params->capacity : 32;
        BNF_TRY(bnf_realloc((size_t)params->capacity * sizeof(entry), (size_t)grown * sizeof(entry), "parameter table",
                            &params->entries));
        params->capacity = grown;
    }
    entry *e = &params->entries[params->count];
    memset(e, 0, sizeof *e);
    bnf_status s = entry_fill(e, info);
    if (s != BNF_OK) {
        bnf_free(e->name);
        bnf_free(e->config);
        bnf_free(e->value);
        bnf_free(e->raw);
        return s;
    }
    *index = params->count++;
    return BNF_OK;
}

bnf_dtype bnf_params_real(const bnf_params *params)
{
    return params->real;
}

int bnf_params_count(const bnf_params *params)
{
    return params->count;
}

int bnf_params_find(const bnf_params *params, const char *name)
{
    for (int i = 0; i < params->count; i++)
        if (strcmp(params->entries[i].name, name) == 0)
            return i;
    return -1;
}

const bnf_param_info *bnf_params_info(const bnf_params *params, int index)
{
    BNF_ASSERT(index >= 0 && index < params->count);
    return &params->entries[index].info;
}

void *bnf_params_value(bnf_params *params, int index)
{
    BNF_ASSERT(index >= 0 && index < params->count);
    return params->entries[index].value;
}

bool bnf_params_raw_apart(const bnf_params *params, int index)
{
    BNF_ASSERT(index >= 0 && index < params->count);
    return params->entries[index].raw != NULL;
}

void *bnf_params_raw(bnf_params *params, int index)
{
    return bnf_params_raw_apart(params, index) ? params->entries[index].raw : params->entries[index].value;
}

void bnf_params_touch(bnf_params *params)
{
    params->version++;
}

uint64_t bnf_params_version(const bnf_params *params)
{
    return params->version;
}

int64_t bnf_params_elements(const bnf_params *params, bool trainable_only)
{
    int64_t n = 0;
    for (int i = 0; i < params->count; i++)
        if (params->entries[i].info.trainable || !trainable_only)
            n += bnf_desc_count(&params->entries[i].info.desc);
    return n;
}

int64_t bnf_params_raw_elements(const bnf_params *params, bool trainable_only)
{
    int64_t n = 0;
    for (int i = 0; i < params->count; i++)
        if (params->entries[i].info.trainable || !trainable_only)
            n += bnf_desc_count(bnf_param_raw_desc(&params->entries[i].info));
    return n;
}

/* Sum of x[i] y[i] in eight interleaved partial sums: one order of additions on every machine. */
BNF_SIMD_CLONES
static double dot(int64_t n, const double *restrict x, const double *restrict y)
{
    double part[8] = {0};
    int64_t i = 0;
    for (; i + 8 <= n; i += 8)
        for (int k = 0; k < 8; k++)
            part[k] += x[i + k] * y[i + k];
    for (; i < n; i++)
        part[i % 8] += x[i] * y[i];
    return ((part[0] + part[4]) + (part[1] + part[5])) + ((part[2] + part[6]) + (part[3] + part[7]));
}

/* y += a x */
BNF_SIMD_CLONES
static void axpy(int64_t n, double a, const double *restrict x, double *restrict y)
{
    for (int64_t i = 0; i < n; i++)
        y[i] += a * x[i];
}

/* Rows of v[count, length], count <= length, made orthonormal by modified Gram-Schmidt, twice over. */
static void orthonormalise(double *v, int64_t count, int64_t length)
{
    for (int64_t i = 0; i < count; i++) {
        double *vi = v + i * length;
        for (int pass = 0; pass < 2; pass++)
            for (int64_t j = 0; j < i; j++)
                axpy(length, -dot(length, vi, v + j * length), v + j * length, vi);
        double norm = sqrt(dot(length, vi, vi));
        for (int64_t k = 0; k < length; k++)
            vi[k] = norm > 0 ? vi[k] / norm : 0;
    }
}

/* The f64 initial raw value of every element; draws are keyed by (seed, parameter, element). */
static void draw(const entry *e, uint64_t seed, int index, double *w)
{
    const bnf_init *init = &e->info.init;
    int64_t n = bnf_desc_count(bnf_param_raw_desc(&e->info));
    bnf_philox_key key = bnf_philox_key_make(seed, BNF_STREAM_INIT);
    for (int64_t i = 0; i < n; i++) {
        if (init->kind == BNF_INIT_CONSTANT) {
            w[i] = init->a;
            continue;
        }
        bnf_philox_block r = bnf_philox(key, bnf_philox_counter(0, (uint64_t)(i / 2), (uint32_t)index));
        double pair[2];
        if (init->kind == BNF_INIT_UNIFORM) {
            pair[0] = bnf_philox_unit_f64(r.v[0], r.v[1]);
            pair[1] = bnf_philox_unit_f64(r.v[2], r.v[3]);
            w[i] = init->a + (init->b - init->a) * pair[i % 2];
        } else {
            bnf_philox_normal2(r, &pair[0], &pair[1]);
            w[i] = init->kind == BNF_INIT_NORMAL ? init->a + init->b * pair[i % 2] : pair[i % 2];
        }
    }
}

/* The matrix w[rows, cols] gets orthonormal rows, or columns if those are fewer, times `scale`. */
static bnf_status make_orthogonal(double *w, int64_t rows, int64_t cols, double scale)
{
    double *v = w;
    if (rows > cols) { /* work on the transposed matrix */
        BNF_TRY(bnf_alloc((size_t)(rows * cols) * sizeof *v, "initial values", &v));
        for (int64_t i = 0; i < rows * cols; i++)
            v[i % cols * rows + i / cols] = w[i];
    }
    orthonormalise(v, rows > cols ? cols : rows, rows > cols ? rows : cols);
    for (int64_t i = 0; i < rows * cols; i++)
        w[i] = scale * v[rows > cols ? i % cols * rows + i / cols : i];
    if (v != w)
        bnf_free(v);
    return BNF_OK;
}

/* Initial raw values in f64. */
static bnf_status initial(const entry *e, uint64_t seed, int index, double *w)
{
    const bnf_desc *raw = bnf_param_raw_desc(&e->info);
    draw(e, seed, index, w);
    if (e->info.init.kind == BNF_INIT_ORTHOGONAL)
        BNF_TRY(make_orthogonal(w, raw->dim[0], bnf_desc_count(raw) / raw->dim[0], e->info.init.a));
    return e->info.reparam.make && e->info.reparam.init ? e->info.reparam.init(e->config, raw, w) : BNF_OK;
}

bnf_status bnf_params_init(bnf_params *params, uint64_t seed)
{
    for (int i = 0; i < params->count; i++) {
        entry *e = &params->entries[i];
        int64_t n = bnf_desc_count(bnf_param_raw_desc(&e->info));
        void *to = e->raw ? e->raw : e->value;
        double *w;
        BNF_TRY(bnf_alloc((size_t)n * sizeof *w, "initial values", &w));
        bnf_status s = initial(e, seed, i, w);
        for (int64_t k = 0; k < n && s == BNF_OK; k++) {
            if (params->real == BNF_F32)
                ((float *)to)[k] = (float)w[k];
            else
                ((double *)to)[k] = w[k];
        }
        bnf_free(w);
        if (s != BNF_OK)
            return bnf_fail_context(s, "parameter '%s'", e->name);
    }
    bnf_params_touch(params);
    return BNF_OK;
}
