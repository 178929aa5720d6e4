/* la/slices.c - between slices of elements and block-cyclic matrices.
 *
 * A process's elements of the matrix, taken in row-major order, are cut by the slices into one run per rank: so that is
 * the order of messages. On the other side, a slice is cut into segments, parts of rows that lie in one tile. */
#include "la/slices.h"

#include "base/assert.h"
#include "base/mem.h"
#include "comm/agree.h"
#include "la/blockcyclic_impl.h"
#include "la/vec.h"

#include <string.h>

struct bnf_slices {
    const bnf_blockcyclic *like;
    bnf_dtype t;
    int ranks;
    int64_t lo, hi;                        /* own slice */
    int64_t *slice_bytes, *slice_at, *at;  /* [ranks] of the own slice, by process that holds the elements in m */
    int64_t *matrix_bytes, *matrix_offset; /* [ranks] of the own part of m, by rank that holds the slice */
    char *by_process;                      /* the own slice, ordered by process */
    char *by_row;                          /* the own part of m, row-major */
};

/* The segment of the slice that begins at element `at`: its process; returns its length. */
static int64_t segment(const bnf_slices *s, int64_t at, int *process)
{
    const bnf_blockcyclic *m = s->like;
    const bnf_grid *g = m->grid;
    int64_t row = at / m->cols, col = at % m->cols, end = (col / m->block + 1) * m->block;
    *process = (int)(row / m->block % g->rows * g->cols + col / m->block % g->cols);
    end = (end < m->cols ? end : m->cols) - col;
    return end < s->hi - at ? end : s->hi - at;
}

/* Elements of the own part of m that come before element `at` of the matrix in row-major order. */
static int64_t own_before(const bnf_blockcyclic *m, int64_t at)
{
    const bnf_grid *g = m->grid;
    int64_t row = at / m->cols, col = at % m->cols;
    int64_t n = bnf_local_extent(row, m->block, g->my_row, g->rows) * m->local_cols;
    if (row < m->rows && row / m->block % g->rows == g->my_row)
        n += bnf_local_extent(col, m->block, g->my_col, g->cols);
    return n;
}

static void count(bnf_slices *s, const int64_t *offset)
{
    int64_t size = (int64_t)bnf_dtype_size(s->t);
    int process;
    for (int64_t at = s->lo, n; at < s->hi; at += n) {
        n = segment(s, at, &process);
        s->slice_bytes[process] += n * size;
    }
    for (int r = 0; r < s->ranks; r++) {
        int64_t before = own_before(s->like, offset[r]);
        s->slice_at[r] = r ? s->slice_at[r - 1] + s->slice_bytes[r - 1] : 0;
        s->matrix_offset[r] = before * size;
        s->matrix_bytes[r] = (own_before(s->like, offset[r + 1]) - before) * size;
    }
}

bnf_status bnf_slices_create(const bnf_blockcyclic *like, const int64_t *offset, bnf_dtype t, bnf_slices **out)
{
    BNF_ASSERT(t == BNF_F32 || t == BNF_F64);
    const bnf_comm *comm = like->grid->comm;
    int ranks = bnf_comm_size(comm), rank = bnf_comm_rank(comm);
    BNF_ASSERT(offset[0] == 0 && offset[ranks] == like->rows * like->cols);
    bnf_slices *s = NULL;
    size_t n = (size_t)ranks, size = bnf_dtype_size(t);
    bnf_status status = bnf_calloc(1, sizeof *s, "slices", &s);
    if (status == BNF_OK)
        status = bnf_calloc(5 * n, sizeof(int64_t), "slices", &s->slice_bytes);
    if (status == BNF_OK)
        status = bnf_alloc((size_t)(offset[rank + 1] - offset[rank]) * size, "slices", &s->by_process);
    if (status == BNF_OK)
        status = bnf_alloc((size_t)(like->local_rows * like->local_cols) * size, "slices", &s->by_row);
    status = bnf_comm_agree(comm, status);
    if (status != BNF_OK) {
        bnf_slices_destroy(s);
        return status;
    }
    s->like = like;
    s->t = t;
    s->ranks = ranks;
    s->lo = offset[rank];
    s->hi = offset[rank + 1];
    s->slice_at = s->slice_bytes + n;
    s->at = s->slice_bytes + 2 * n;
    s->matrix_bytes = s->slice_bytes + 3 * n;
    s->matrix_offset = s->slice_bytes + 4 * n;
    count(s, offset);
    *out = s;
    return BNF_OK;
}

void bnf_slices_destroy(bnf_slices *s)
{
    if (!s)
        return;
    bnf_free(s->by_row);
    bnf_free(s->by_process);
    bnf_free(s->slice_bytes);
    bnf_free(s);
}

/* Between the own slice and the same ordered by process; the other side of the copy is `slice`. */
static void sort_slice(bnf_slices *s, char *slice, bool pack)
{
    int64_t size = (int64_t)bnf_dtype_size(s->t);
    int process;
    memcpy(s->at, s->slice_at, (size_t)s->ranks * sizeof *s->at);
    for (int64_t at = s->lo, n; at < s->hi; at += n) {
        n = segment(s, at, &process);
        char *sorted = s->by_process + s->at[process], *plain = slice + (at - s->lo) * size;
        memcpy(pack ? sorted : plain, pack ? plain : sorted, (size_t)(n * size));
        s->at[process] += n * size;
    }
}

bnf_status bnf_slices_to_matrix(bnf_slices *s, const void *slice, bnf_blockcyclic *m)
{
    BNF_ASSERT(m->grid == s->like->grid && m->rows == s->like->rows && m->cols == s->like->cols);
    sort_slice(s, (char *)(uintptr_t)slice, true); /* packing only reads it */
    BNF_TRY(bnf_comm_exchange(m->grid->comm, s->by_process, s->slice_bytes, s->slice_at, s->by_row, s->matrix_bytes,
                              s->matrix_offset));
    const float *f = (const float *)(const void *)s->by_row;
    const double *d = (const double *)(const void *)s->by_row;
    for (int64_t i = 0; i < m->local_rows; i++)
        for (int64_t j = 0, at = i * m->local_cols; j < m->local_cols; j++, at++)
            m->local[j * m->local_rows + i] = s->t == BNF_F32 ? (double)f[at] : d[at];
    return BNF_OK;
}

bnf_status bnf_slices_from_matrix(bnf_slices *s, const bnf_blockcyclic *m, void *slice)
{
    BNF_ASSERT(m->grid == s->like->grid && m->rows == s->like->rows && m->cols == s->like->cols);
    float *f = (float *)(void *)s->by_row;
    double *d = (double *)(void *)s->by_row;
    for (int64_t i = 0; i < m->local_rows; i++)
        for (int64_t j = 0, at = i * m->local_cols; j < m->local_cols; j++, at++) {
            double x = m->local[j * m->local_rows + i];
            if (s->t == BNF_F32)
                f[at] = (float)x;
            else
                d[at] = x;
        }
    BNF_TRY(bnf_comm_exchange(m->grid->comm, s->by_row, s->matrix_bytes, s->matrix_offset, s->by_process,
                              s->slice_bytes, s->slice_at));
    sort_slice(s, slice, false);
    return BNF_OK;
}
