/* train/arrays.c - named arrays from a file, and a network's parameters from them. */
#include "train/arrays.h"

#include "base/fs.h"
#include "base/mem.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

int64_t bnf_array_elements(const bnf_array *array)
{
    int64_t n = 1;
    for (int i = 0; i < array->ndim; i++)
        if (array->dim[i] < 0 || __builtin_mul_overflow(n, array->dim[i], &n))
            return -1;
    return n;
}

bnf_status bnf_arrays_add(bnf_arrays *arrays, const bnf_array *array, const char *name)
{
    for (int64_t i = 0; i < arrays->count; i++)
        if (strcmp(arrays->item[i].name, name) == 0)
            return bnf_fail(BNF_ERR_FORMAT, "two arrays are called '%s'", name);
    if (arrays->count == arrays->room) {
        int64_t room = arrays->room ? 2 * arrays->room : 64;
        BNF_TRY(
            bnf_realloc((size_t)arrays->room * sizeof *array, (size_t)room * sizeof *array, "arrays", &arrays->item));
        arrays->room = room;
    }
    bnf_array *to = &arrays->item[arrays->count];
    *to = *array;
    to->name = NULL;
    BNF_TRY(bnf_strdup(name, &to->name));
    arrays->count++;
    return BNF_OK;
}

bnf_status bnf_arrays_read(const char *path, bnf_arrays *arrays)
{
    BNF_TRY(bnf_fs_read(path, &arrays->content));
    const char *at = bnf_buf_text(&arrays->content);
    bnf_status s;
    if (arrays->content.size >= 4 && memcmp(at, "PK", 2) == 0)
        s = bnf_arrays_parse_npz(arrays);
    else if (arrays->content.size >= 9 && at[8] == '{')
        s = bnf_arrays_parse_safetensors(arrays);
    else
        s = bnf_fail(BNF_ERR_FORMAT, "this is neither an .npz nor a safetensors file, or it is cut off");
    return s == BNF_OK ? s : bnf_fail_context(s, "%s", path);
}

void bnf_arrays_release(bnf_arrays *arrays)
{
    for (int64_t i = 0; i < arrays->count; i++)
        bnf_free(arrays->item[i].name);
    bnf_free(arrays->item);
    bnf_buf_release(&arrays->content);
    *arrays = (bnf_arrays){0};
}

/* ---- parameters ---- */

static const bnf_array *find(const bnf_arrays *arrays, const char *name)
{
    for (int64_t i = 0; i < arrays->count; i++)
        if (strcmp(arrays->item[i].name, name) == 0)
            return &arrays->item[i];
    return NULL;
}

/* "[64, 3, 7, 7]" */
static const char *shape_text(int ndim, const int64_t *dim, char *text, size_t size)
{
    size_t at = (size_t)snprintf(text, size, "[");
    for (int i = 0; i < ndim && at < size; i++)
        at += (size_t)snprintf(text + at, size - at, i ? ", %lld" : "%lld", (long long)dim[i]);
    if (at < size)
        snprintf(text + at, size - at, "]");
    return text;
}

static bnf_status check_array(const bnf_array *a, const bnf_param_info *info)
{
    char has[256], wants[256];
    if (!a->f32)
        return bnf_fail(BNF_ERR_CONFIG, "'%s' has elements of type %s, must be f32", a->name, a->dtype);
    const bnf_desc *raw = bnf_param_raw_desc(info);
    bool same = a->ndim == raw->ndim;
    for (int i = 0; same && i < a->ndim; i++)
        same = a->dim[i] == raw->dim[i];
    if (!same)
        return bnf_fail(BNF_ERR_CONFIG, "'%s' has the shape %s, the network's%s is %s", a->name,
                        shape_text(a->ndim, a->dim, has, sizeof has), raw == &info->desc ? "" : " raw weight",
                        shape_text(raw->ndim, raw->dim, wants, sizeof wants));
    for (int64_t i = 0, n = bnf_array_elements(a); i < n; i++) {
        float v;
        memcpy(&v, (const char *)a->values + i * (int64_t)sizeof v, sizeof v);
        if (!isfinite(v))
            return bnf_fail(BNF_ERR_CONFIG, "'%s': element %lld is not finite", a->name, (long long)i);
    }
    return BNF_OK;
}

static bnf_status check_names(const bnf_params *params, const bnf_arrays *arrays)
{
    for (int i = 0; i < bnf_params_count(params); i++) {
        const bnf_param_info *info = bnf_params_info(params, i);
        const bnf_array *a = find(arrays, info->name);
        if (!a)
            return bnf_fail(BNF_ERR_CONFIG,
                            "there is no array '%s', which the network needs (%d names: banff export "
                            "CONFIG --initial writes them all)",
                            info->name, bnf_params_count(params));
        BNF_TRY(check_array(a, info));
    }
    for (int64_t i = 0; i < arrays->count; i++)
        if (bnf_params_find(params, arrays->item[i].name) < 0)
            return bnf_fail(BNF_ERR_CONFIG, "the network has no parameter '%s'", arrays->item[i].name);
    return BNF_OK;
}

bnf_status bnf_params_read(bnf_params *params, const char *path)
{
    bnf_arrays arrays = {0};
    bnf_status s = bnf_arrays_read(path, &arrays);
    if (s == BNF_OK) {
        s = check_names(params, &arrays);
        if (s != BNF_OK)
            bnf_fail_context(s, "%s", path);
    }
    for (int i = 0; i < bnf_params_count(params) && s == BNF_OK; i++) {
        const bnf_param_info *info = bnf_params_info(params, i);
        memcpy(bnf_params_raw(params, i), find(&arrays, info->name)->values, bnf_desc_bytes(bnf_param_raw_desc(info)));
    }
    if (s == BNF_OK)
        bnf_params_touch(params);
    bnf_arrays_release(&arrays);
    return s;
}
