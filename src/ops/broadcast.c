/* ops/broadcast.c - loops over arrays of which some are stretched. */
#include "ops/broadcast.h"

#include "base/assert.h"

void bnf_bcast_make(const bnf_desc *full, int n, const bnf_desc *const *shape, bnf_bcast *b)
{
    BNF_ASSERT(n <= BNF_BCAST_MAX);
    *b = (bnf_bcast){.n = n};
    int64_t step[BNF_BCAST_MAX] = {1, 1, 1, 1}; /* elements of array k inside the dimensions seen so far */
    /* From the innermost dimension outwards; merged loops are collected in reverse order first. */
    int64_t dim[BNF_MAX_DIMS], stride[BNF_BCAST_MAX][BNF_MAX_DIMS];
    int m = 0;
    for (int i = 0; i < full->ndim; i++) {
        int64_t extent = full->dim[full->ndim - 1 - i], s[BNF_BCAST_MAX];
        if (extent == 1)
            continue;
        bool merge = m > 0;
        for (int k = 0; k < n; k++) {
            int j = shape[k]->ndim - 1 - i;
            int64_t own = j >= 0 ? shape[k]->dim[j] : 1;
            BNF_ASSERT(own == extent || own == 1);
            s[k] = own == 1 ? 0 : step[k];
            step[k] *= own;
            merge = merge && s[k] == stride[k][m - 1] * dim[m - 1];
        }
        if (merge) {
            dim[m - 1] *= extent;
            continue;
        }
        dim[m] = extent;
        for (int k = 0; k < n; k++)
            stride[k][m] = s[k];
        m++;
    }
    if (m == 0) {
        dim[m++] = 1;
        for (int k = 0; k < n; k++)
            stride[k][0] = 0;
    }
    b->ndim = m;
    for (int d = 0; d < m; d++) {
        b->dim[d] = dim[m - 1 - d];
        for (int k = 0; k < n; k++)
            b->stride[k][d] = stride[k][m - 1 - d];
    }
}

bool bnf_bcast_next(const bnf_bcast *b, int inner, int64_t *index, int64_t *offset)
{
    for (int d = b->ndim - 1 - inner; d >= 0; d--) {
        index[d]++;
        for (int k = 0; k < b->n; k++)
            offset[k] += b->stride[k][d];
        if (index[d] < b->dim[d])
            return true;
        for (int k = 0; k < b->n; k++)
            offset[k] -= b->stride[k][d] * b->dim[d];
        index[d] = 0;
    }
    return false;
}
