/* train/safetensors.c - weights in the safetensors format. */
#include "train/arrays.h"

#include "base/fs.h"
#include "base/json.h"

#include <stdio.h>
#include <string.h>

#define MAX_HEADER (INT64_C(100) << 20) /* bytes, as in the format's own library */

/* ---- writing ---- */

/* Shape that is written. */
static const bnf_desc *shape_of(const bnf_params *params, bool raw, int i)
{
    const bnf_param_info *info = bnf_params_info(params, i);
    return raw ? bnf_param_raw_desc(info) : &info->desc;
}

static bnf_status put_header(bnf_params *params, bool raw, bnf_buf *out)
{
    bnf_buf text = {0};
    bnf_json json = bnf_json_start(&text, 0);
    int64_t at = 0;
    bnf_json_begin_object(&json, NULL);
    for (int i = 0; i < bnf_params_count(params); i++) {
        const bnf_desc *shape = shape_of(params, raw, i);
        bnf_json_begin_object(&json, bnf_params_info(params, i)->name);
        bnf_json_string(&json, "dtype", "F32");
        bnf_json_begin_array(&json, "shape");
        for (int k = 0; k < shape->ndim; k++)
            bnf_json_int(&json, NULL, shape->dim[k]);
        bnf_json_end_array(&json);
        bnf_json_begin_array(&json, "data_offsets");
        bnf_json_int(&json, NULL, at);
        at += (int64_t)bnf_desc_bytes(shape);
        bnf_json_int(&json, NULL, at);
        bnf_json_end_array(&json);
        bnf_json_end_object(&json);
    }
    bnf_json_end_object(&json);
    while (text.size % 8 != 0 && text.status == BNF_OK) /* values begin at a multiple of 8 bytes */
        bnf_buf_putc(&text, ' ');
    for (int i = 0; i < 8; i++)
        bnf_buf_putc(out, (char)((uint64_t)text.size >> (8 * i) & 0xff));
    bnf_buf_append(out, bnf_buf_text(&text), text.size);
    bnf_status s = text.status != BNF_OK ? text.status : out->status;
    bnf_buf_release(&text);
    return s;
}

bnf_status bnf_safetensors_write_params(bnf_params *params, bool raw, const char *path)
{
    bnf_buf out = {0};
    bnf_status s = bnf_params_real(params) == BNF_F32
                       ? put_header(params, raw, &out)
                       : bnf_fail(BNF_ERR_UNSUPPORTED, "weights in safetensors files are f32");
    for (int i = 0; i < bnf_params_count(params) && s == BNF_OK; i++)
        s = bnf_buf_append(&out, raw ? bnf_params_raw(params, i) : bnf_params_value(params, i),
                           bnf_desc_bytes(shape_of(params, raw, i)));
    if (s == BNF_OK)
        s = bnf_fs_write_atomic(path, out.data, out.size);
    bnf_buf_release(&out);
    return s;
}

/* ---- reading ---- */

static size_t space(const char *p, size_t size, size_t at)
{
    while (at < size && (p[at] == ' ' || p[at] == '\t' || p[at] == '\n' || p[at] == '\r'))
        at++;
    return at;
}

/* Behind the string that begins at `at`; size if there is none or it does not end. */
static size_t skip_string(const char *p, size_t size, size_t at)
{
    if (at >= size || p[at] != '"')
        return size;
    for (at++; at < size && p[at] != '"'; at++)
        at += p[at] == '\\';
    return at < size ? at + 1 : size;
}

/* Behind the flat object that begins at `at`, likewise. */
static size_t skip_object(const char *p, size_t size, size_t at)
{
    if (at >= size || p[at] != '{')
        return size;
    for (at++; at < size && p[at] != '}';)
        at = p[at] == '"' ? skip_string(p, size, at) : at + 1;
    return at < size ? at + 1 : size;
}

static bool whole(double v)
{
    return v >= 0 && v <= 9e15 && v == (double)(int64_t)v;
}

static bnf_status fill_array(const bnf_json_object *o, const char *data, uint64_t bytes, const char *name, bnf_array *a)
{
    const bnf_json_field *type = bnf_json_object_find(o, "dtype"), *shape = bnf_json_object_find(o, "shape"),
                         *place = bnf_json_object_find(o, "data_offsets");
    *a = (bnf_array){0};
    bool ok = type && type->type == BNF_JSON_STRING && shape && shape->type == BNF_JSON_NUMBERS && place &&
              place->type == BNF_JSON_NUMBERS && place->count == 2 && shape->count <= BNF_ARRAY_MAX_DIMS;
    for (int64_t i = 0; ok && i < shape->count; i++) {
        ok = whole(shape->numbers[i]);
        a->dim[a->ndim++] = ok ? (int64_t)shape->numbers[i] : 0;
    }
    if (!ok || !whole(place->numbers[0]) || !whole(place->numbers[1]) || place->numbers[0] > place->numbers[1])
        return bnf_fail(BNF_ERR_FORMAT, "'%s': the header does not give its type, shape and place", name);
    if ((uint64_t)place->numbers[1] > bytes)
        return bnf_fail(BNF_ERR_FORMAT, "'%s' is cut off", name);
    snprintf(a->dtype, sizeof a->dtype, "%s", type->string);
    a->f32 = strcmp(type->string, "F32") == 0;
    a->values = data + (int64_t)place->numbers[0];
    int64_t n = bnf_array_elements(a);
    if (a->f32 && (n < 0 || 4.0 * (double)n != place->numbers[1] - place->numbers[0]))
        return bnf_fail(BNF_ERR_FORMAT, "'%s': its shape and its size do not agree", name);
    return BNF_OK;
}

/* One member of the header: key[key_size] with its quotes, value[value_size] with its braces. */
static bnf_status add_member(bnf_arrays *arrays, const char *key, size_t key_size, const char *value, size_t value_size,
                             const char *data, uint64_t bytes)
{
    bnf_json_object *named = NULL, *described = NULL;
    bnf_buf text = {0};
    bnf_array a;
    bnf_buf_puts(&text, "{\"name\":");
    bnf_buf_append(&text, key, key_size);
    bnf_buf_puts(&text, "}");
    bnf_status s = text.status;
    if (s == BNF_OK)
        s = bnf_json_object_parse(bnf_buf_text(&text), text.size, &named);
    const char *name = s == BNF_OK ? bnf_json_object_find(named, "name")->string : NULL;
    if (s == BNF_OK && strcmp(name, "__metadata__") != 0) {
        s = bnf_json_object_parse(value, value_size, &described);
        if (s == BNF_OK)
            s = fill_array(described, data, bytes, name, &a);
        if (s == BNF_OK)
            s = bnf_arrays_add(arrays, &a, name);
    }
    bnf_json_object_destroy(described);
    bnf_json_object_destroy(named);
    bnf_buf_release(&text);
    return s;
}

bnf_status bnf_arrays_parse_safetensors(bnf_arrays *arrays)
{
    const unsigned char *p = (const unsigned char *)arrays->content.data;
    uint64_t size = 0, file = arrays->content.size;
    for (int i = 7; i >= 0; i--)
        size = size << 8 | p[i];
    if (size > MAX_HEADER || size > file - 8)
        return bnf_fail(BNF_ERR_FORMAT, "the header of the safetensors file is cut off");
    const char *h = (const char *)p + 8, *data = h + size;
    size_t at = space(h, size, 1);
    while (at < size && h[at] == '"') {
        size_t key = at, end = skip_string(h, size, at), colon = space(h, size, end);
        size_t value = space(h, size, colon + 1), next = skip_object(h, size, value);
        if (colon >= size || h[colon] != ':' || next >= size)
            break;
        BNF_TRY(add_member(arrays, h + key, end - key, h + value, next - value, data, file - 8 - size));
        at = space(h, size, next);
        if (at < size && h[at] == '}')
            return BNF_OK;
        if (at >= size || h[at] != ',')
            break;
        at = space(h, size, at + 1);
    }
    if (at < size && h[at] == '}' && arrays->count == 0)
        return BNF_OK;
    return bnf_fail(BNF_ERR_FORMAT, "the header of the safetensors file is damaged");
}
