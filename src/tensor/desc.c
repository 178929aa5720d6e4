/* tensor/desc.c - shapes. */
#include <banff/tensor.h>

#include "base/assert.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

bnf_desc bnf_desc_make(bnf_dtype dtype, int ndim, const int64_t *dim)
{
    BNF_ASSERT(ndim >= 1 && ndim <= BNF_MAX_DIMS);
    bnf_desc d = {.dtype = dtype, .ndim = ndim};
    for (int i = 0; i < ndim; i++)
        d.dim[i] = dim[i];
    return d;
}

bnf_desc bnf_desc_1d(bnf_dtype dtype, int64_t n)
{
    return bnf_desc_make(dtype, 1, (int64_t[]){n});
}

bnf_desc bnf_desc_2d(bnf_dtype dtype, int64_t n, int64_t c)
{
    return bnf_desc_make(dtype, 2, (int64_t[]){n, c});
}

bnf_desc bnf_desc_4d(bnf_dtype dtype, int64_t n, int64_t h, int64_t w, int64_t c)
{
    return bnf_desc_make(dtype, 4, (int64_t[]){n, h, w, c});
}

int64_t bnf_desc_count(const bnf_desc *d)
{
    int64_t n = 1;
    for (int i = 0; i < d->ndim; i++)
        n *= d->dim[i];
    return n;
}

size_t bnf_desc_bytes(const bnf_desc *d)
{
    return (size_t)bnf_desc_count(d) * bnf_dtype_size(d->dtype);
}

bool bnf_desc_same_shape(const bnf_desc *a, const bnf_desc *b)
{
    return a->ndim == b->ndim && memcmp(a->dim, b->dim, (size_t)a->ndim * sizeof a->dim[0]) == 0;
}

bool bnf_desc_equal(const bnf_desc *a, const bnf_desc *b)
{
    return a->dtype == b->dtype && bnf_desc_same_shape(a, b);
}

int64_t bnf_desc_cols(const bnf_desc *d)
{
    return d->dim[d->ndim - 1];
}

int64_t bnf_desc_rows(const bnf_desc *d)
{
    return bnf_desc_count(d) / bnf_desc_cols(d);
}

const char *bnf_desc_format(const bnf_desc *d, char *text, size_t size)
{
    size_t n = (size_t)snprintf(text, size, "%s[", bnf_dtype_name(d->dtype));
    for (int i = 0; i < d->ndim && n < size; i++)
        n += (size_t)snprintf(text + n, size - n, "%s%" PRId64, i ? "," : "", d->dim[i]);
    if (n < size)
        snprintf(text + n, size - n, "]");
    return text;
}

bnf_status bnf_desc_broadcast(const bnf_desc *a, const bnf_desc *b, bnf_desc *out)
{
    bnf_desc r = {.dtype = a->dtype, .ndim = a->ndim > b->ndim ? a->ndim : b->ndim};
    for (int i = 0; i < r.ndim; i++) {
        int ia = a->ndim - 1 - i, ib = b->ndim - 1 - i;
        int64_t da = ia >= 0 ? a->dim[ia] : 1, db = ib >= 0 ? b->dim[ib] : 1;
        if (da != db && da != 1 && db != 1) {
            char ta[96], tb[96];
            return bnf_fail(BNF_ERR_ARG, "shapes %s and %s do not broadcast", bnf_desc_format(a, ta, sizeof ta),
                            bnf_desc_format(b, tb, sizeof tb));
        }
        r.dim[r.ndim - 1 - i] = da > db ? da : db;
    }
    *out = r;
    return BNF_OK;
}
