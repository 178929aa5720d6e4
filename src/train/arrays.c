/* train/arrays.c - named arrays from a file, and a network's parameters from them. */
#include "train/arrays.h"

#include "base/fs.h"

#include <math.h>
#include <string.h>

bnf_status bnf_arrays_read(const char *path, bnf_arrays *arrays)
{
    BNF_TRY(bnf_fs_read(path, &arrays->content));
    const char *at = bnf_buf_text(&arrays->content);
    bnf_status s;
    if (arrays->content.size >= 4 && memcmp(at, "PK", 2) == 0)
        s = bnf_arrays_parse_npz(arrays);
    else if (arrays->content.size >= 6 && memcmp(at, "\x93NUMPY", 6) == 0)
        s = bnf_arrays_parse_npy(arrays);
    else if (arrays->content.size >= 9 && at[8] == '{')
        s = bnf_arrays_parse_safetensors(arrays);
    else
        s = bnf_fail(BNF_ERR_FORMAT, "this is neither an .npz, .npy nor a safetensors file, or it is cut off");
    return s == BNF_OK ? s : bnf_fail_context(s, "%s", path);
}

/* ---- parameters ---- */

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
                        bnf_array_shape_text(a->ndim, a->dim, has, sizeof has), raw == &info->desc ? "" : " raw weight",
                        bnf_array_shape_text(raw->ndim, raw->dim, wants, sizeof wants));
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
        const bnf_array *a = bnf_arrays_find(arrays, info->name);
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
        memcpy(bnf_params_raw(params, i), bnf_arrays_find(&arrays, info->name)->values,
               bnf_desc_bytes(bnf_param_raw_desc(info)));
    }
    if (s == BNF_OK)
        bnf_params_touch(params);
    bnf_arrays_release(&arrays);
    return s;
}
