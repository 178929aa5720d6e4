#include "base/arrays.h"

#include "base/mem.h"

#include <stdio.h>
#include <string.h>

void bnf_arrays_release(bnf_arrays *arrays)
{
    for (int64_t i = 0; i < arrays->count; i++) {
        bnf_free(arrays->item[i].name);
        bnf_free(arrays->item[i].unpacked);
    }
    bnf_free(arrays->item);
    bnf_buf_release(&arrays->content);
    *arrays = (bnf_arrays){0};
}

int64_t bnf_array_elements(const bnf_array *array)
{
    int64_t n = 1;
    for (int i = 0; i < array->ndim; i++)
        if (array->dim[i] < 0 || __builtin_mul_overflow(n, array->dim[i], &n))
            return -1;
    return n;
}

const bnf_array *bnf_arrays_find(const bnf_arrays *arrays, const char *name)
{
    for (int64_t i = 0; i < arrays->count; i++)
        if (strcmp(arrays->item[i].name, name) == 0)
            return &arrays->item[i];
    return NULL;
}

const char *bnf_array_shape_text(int ndim, const int64_t *dim, char *text, size_t size)
{
    size_t at = (size_t)snprintf(text, size, "[");
    for (int i = 0; i < ndim && at < size; i++)
        at += (size_t)snprintf(text + at, size - at, i ? ", %lld" : "%lld", (long long)dim[i]);
    if (at < size)
        snprintf(text + at, size - at, "]");
    return text;
}

static bnf_status append(bnf_arrays *arrays, const bnf_array *array, const char *name)
{
    if (bnf_arrays_find(arrays, name))
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

bnf_status bnf_arrays_add(bnf_arrays *arrays, const bnf_array *array, const char *name)
{
    bnf_status s = append(arrays, array, name);
    if (s != BNF_OK)
        bnf_free(array->unpacked);
    return s;
}
