/* graph/params.c - the store of named parameters and states. */
#include <banff/graph.h>

#include "base/assert.h"
#include "base/mem.h"
#include "base/philox.h"

#include <math.h>
#include <string.h>

typedef struct entry {
    bnf_param_info info;
    char *name;
    void *config, *value;
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
    return bnf_calloc((size_t)bnf_desc_count(&info->desc), bnf_dtype_size(info->desc.dtype), info->name, &e->value);
}

bnf_status bnf_params_add(bnf_params *params, const bnf_param_info *info, int *index)
{
    BNF_ASSERT(info->name && info->desc.dtype == params->real);
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

/* Modified Gram-Schmidt, twice, over the rows (or columns, if there are fewer) of the matrix [dim0, rest] in f64. */
static void orthonormalise(double *w, int64_t count, int64_t length, int64_t vector_step, int64_t element_step)
{
    for (int64_t i = 0; i < count; i++) {
        double *wi = w + i * vector_step;
        for (int pass = 0; pass < 2; pass++)
            for (int64_t j = 0; j < i; j++) {
                const double *wj = w + j * vector_step;
                double dot = 0;
                for (int64_t k = 0; k < length; k++)
                    dot += wi[k * element_step] * wj[k * element_step];
                for (int64_t k = 0; k < length; k++)
                    wi[k * element_step] -= dot * wj[k * element_step];
            }
        double norm = 0;
        for (int64_t k = 0; k < length; k++)
            norm += wi[k * element_step] * wi[k * element_step];
        norm = norm > 0 ? 1 / sqrt(norm) : 0;
        for (int64_t k = 0; k < length; k++)
            wi[k * element_step] *= norm;
    }
}

/* The f64 initial value of every element; draws are keyed by (seed, parameter, element). */
static void draw(const entry *e, uint64_t seed, int index, double *w)
{
    const bnf_init *init = &e->info.init;
    int64_t n = bnf_desc_count(&e->info.desc), rows = e->info.desc.dim[0], cols = n / rows;
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
    if (init->kind == BNF_INIT_ORTHOGONAL) {
        if (rows <= cols)
            orthonormalise(w, rows, cols, cols, 1);
        else
            orthonormalise(w, cols, rows, 1, cols);
        for (int64_t i = 0; i < n; i++)
            w[i] *= init->a;
    }
}

bnf_status bnf_params_init(bnf_params *params, uint64_t seed)
{
    for (int i = 0; i < params->count; i++) {
        entry *e = &params->entries[i];
        int64_t n = bnf_desc_count(&e->info.desc);
        double *w;
        BNF_TRY(bnf_alloc((size_t)n * sizeof *w, "initial values", &w));
        draw(e, seed, i, w);
        for (int64_t k = 0; k < n; k++) {
            if (params->real == BNF_F32)
                ((float *)e->value)[k] = (float)w[k];
            else
                ((double *)e->value)[k] = w[k];
        }
        bnf_free(w);
    }
    bnf_params_touch(params);
    return BNF_OK;
}
