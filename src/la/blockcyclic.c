/* la/blockcyclic.c */
#include "la/blockcyclic_impl.h"

#include "base/assert.h"
#include "base/mem.h"
#include "comm/agree.h"
#include "comm/handle.h"
#include "la/single.h"
#include "la/vec.h"

#include <limits.h>
#include <string.h>

static const int one = 1; /* Fortran's first index, and "yes" */

bnf_status bnf_grid_create(const bnf_comm *comm, bnf_grid **out)
{
    int handle = bnf_comm_blacs_handle(comm), size = bnf_comm_size(comm);
    if (handle < 0)
        return bnf_fail(BNF_ERR_UNSUPPORTED, "a process grid needs MPI, which is not running");
    bnf_grid *g = NULL;
    bnf_status s = bnf_comm_agree(comm, bnf_calloc(1, sizeof *g, "process grid", &g));
    if (s != BNF_OK) {
        bnf_free(g);
        return s;
    }
    g->comm = comm;
    for (int p = 1; p * p <= size; p++)
        if (size % p == 0)
            g->rows = p;
    g->cols = size / g->rows;
    g->context = g->system = sys2blacs_handle_(&handle);
    blacs_gridinit_(&g->context, "R", &g->rows, &g->cols, 1);
    blacs_set_(&g->context, &(int){BNF_BLACS_REPEATABLE}, &one);
    int rows, cols;
    blacs_gridinfo_(&g->context, &rows, &cols, &g->my_row, &g->my_col);
    BNF_ASSERT(rows == g->rows && cols == g->cols);
    BNF_ASSERT(g->my_row * g->cols + g->my_col == bnf_comm_rank(comm));
    s = bnf_comm_agree(comm, bnf_comm_split(comm, g->my_row, g->my_col, &g->row_comm));
    if (s == BNF_OK)
        s = bnf_comm_agree(comm, bnf_comm_split(comm, g->my_col, g->my_row, &g->col_comm));
    if (s != BNF_OK)
        bnf_grid_destroy(g);
    else
        *out = g;
    return s;
}

void bnf_grid_destroy(bnf_grid *g)
{
    if (!g)
        return;
    bnf_comm_destroy(g->col_comm);
    bnf_comm_destroy(g->row_comm);
    blacs_gridexit_(&g->context);
    free_blacs_system_handle_(&g->system);
    bnf_free(g);
}

bnf_status bnf_blockcyclic_create(const bnf_grid *grid, int64_t rows, int64_t cols, int64_t block,
                                  bnf_blockcyclic **out)
{
    if (rows < 1 || cols < 1 || block < 1 || rows > INT_MAX || cols > INT_MAX || block > INT_MAX)
        return bnf_fail(BNF_ERR_ARG, "a block-cyclic %lld x %lld matrix in blocks of %lld is not possible",
                        (long long)rows, (long long)cols, (long long)block);
    bnf_blockcyclic *m = NULL;
    bnf_status s = bnf_calloc(1, sizeof *m, "block-cyclic matrix", &m);
    if (s == BNF_OK) {
        m->grid = grid;
        m->rows = rows;
        m->cols = cols;
        m->block = block;
        m->local_rows = bnf_local_extent(rows, block, grid->my_row, grid->rows);
        m->local_cols = bnf_local_extent(cols, block, grid->my_col, grid->cols);
        int leading = m->local_rows ? (int)m->local_rows : 1;
        const int d[BNF_DESCRIPTOR_LENGTH] = {1, grid->context, (int)rows, (int)cols, (int)block, (int)block, 0,
                                              0, leading};
        memcpy(m->descriptor, d, sizeof d);
        s = bnf_calloc((size_t)(m->local_rows * m->local_cols), sizeof(double), "block-cyclic matrix: local part",
                       &m->local);
    }
    s = bnf_comm_agree(grid->comm, s);
    if (s != BNF_OK)
        bnf_blockcyclic_destroy(m);
    else
        *out = m;
    return s;
}

void bnf_blockcyclic_destroy(bnf_blockcyclic *m)
{
    if (!m)
        return;
    bnf_free(m->local);
    bnf_free(m);
}

/* Copies between full[rows,cols] (row-major) and the packed column-major part of rank r; returns the part's elements.
 * */
static int64_t copy_part(const bnf_blockcyclic *m, int r, bool pack, double *full, double *part)
{
    const bnf_grid *g = m->grid;
    int p = r / g->cols, q = r % g->cols;
    int64_t rows = bnf_local_extent(m->rows, m->block, p, g->rows),
            cols = bnf_local_extent(m->cols, m->block, q, g->cols);
    for (int64_t j = 0; full && j < cols; j++)
        for (int64_t i = 0; i < rows; i++) {
            double *x =
                full + bnf_global_index(i, m->block, p, g->rows) * m->cols + bnf_global_index(j, m->block, q, g->cols);
            if (pack)
                part[j * rows + i] = *x;
            else
                *x = part[j * rows + i];
        }
    return rows * cols;
}

/* Sizes and offsets of the messages between rank 0, which holds all parts one behind the other, and the others. */
typedef struct part_messages {
    int64_t *bytes; /* [4 size] the arrays below */
    int64_t *root_bytes, *root_offset, *part_bytes, *zeros;
    double *parts; /* on rank 0: rows * cols */
} part_messages;

static void messages_free(part_messages *x)
{
    bnf_free(x->parts);
    bnf_free(x->bytes);
}

static bnf_status messages_make(const bnf_blockcyclic *m, part_messages *x)
{
    const bnf_comm *comm = m->grid->comm;
    int size = bnf_comm_size(comm), rank = bnf_comm_rank(comm);
    *x = (part_messages){0};
    bnf_status s = bnf_calloc(4 * (size_t)size, sizeof(int64_t), "block-cyclic matrix: message sizes", &x->bytes);
    if (s == BNF_OK && rank == 0)
        s = bnf_alloc((size_t)(m->rows * m->cols) * sizeof(double), "block-cyclic matrix: messages", &x->parts);
    s = bnf_comm_agree(comm, s);
    if (s != BNF_OK) {
        messages_free(x);
        return s;
    }
    x->root_bytes = x->bytes;
    x->root_offset = x->bytes + size;
    x->part_bytes = x->bytes + 2 * size;
    x->zeros = x->bytes + 3 * size;
    x->part_bytes[0] = m->local_rows * m->local_cols * (int64_t)sizeof(double);
    for (int64_t r = 0, offset = 0; rank == 0 && r < size; r++) {
        x->root_offset[r] = offset;
        x->root_bytes[r] = copy_part(m, (int)r, true, NULL, NULL) * (int64_t)sizeof(double);
        offset += x->root_bytes[r];
    }
    return BNF_OK;
}

bnf_status bnf_blockcyclic_scatter(bnf_blockcyclic *m, const double *full)
{
    const bnf_comm *comm = m->grid->comm;
    part_messages x;
    BNF_TRY(messages_make(m, &x));
    if (bnf_comm_rank(comm) == 0)
        for (int r = 0; r < bnf_comm_size(comm); r++) /* packing only reads full */
            copy_part(m, r, true, (double *)(uintptr_t)full, x.parts + x.root_offset[r] / (int64_t)sizeof(double));
    bnf_status s = bnf_comm_exchange(comm, x.parts, x.root_bytes, x.root_offset, m->local, x.part_bytes, x.zeros);
    messages_free(&x);
    return s;
}

bnf_status bnf_blockcyclic_gather(const bnf_blockcyclic *m, double *full)
{
    const bnf_comm *comm = m->grid->comm;
    part_messages x;
    BNF_TRY(messages_make(m, &x));
    bnf_status s = bnf_comm_exchange(comm, m->local, x.part_bytes, x.zeros, x.parts, x.root_bytes, x.root_offset);
    if (s == BNF_OK && bnf_comm_rank(comm) == 0)
        for (int r = 0; r < bnf_comm_size(comm); r++)
            copy_part(m, r, false, full, x.parts + x.root_offset[r] / (int64_t)sizeof(double));
    messages_free(&x);
    return s;
}

void bnf_blockcyclic_gemm(bool ta, bool tb, double alpha, const bnf_blockcyclic *a, const bnf_blockcyclic *b,
                          double beta, bnf_blockcyclic *c)
{
    int m = (int)c->rows, n = (int)c->cols, k = (int)(ta ? a->rows : a->cols);
    BNF_ASSERT(a->grid == c->grid && b->grid == c->grid && a->block == c->block && b->block == c->block);
    BNF_ASSERT((ta ? a->cols : a->rows) == m && (tb ? b->rows : b->cols) == n && (tb ? b->cols : b->rows) == k);
    int threads = bnf_la_single_begin();
    pdgemm_(ta ? "T" : "N", tb ? "T" : "N", &m, &n, &k, &alpha, a->local, &one, &one, a->descriptor, b->local, &one,
            &one, b->descriptor, &beta, c->local, &one, &one, c->descriptor, 1, 1);
    bnf_la_single_end(threads);
}

/* work[lwork] and a copy of the matrix, which pdgesvd destroys; the same outcome on every rank. */
static bnf_status svd_workspace(const bnf_blockcyclic *m, double *sigma, double **copy, double **work, int *lwork)
{
    int rows = (int)m->rows, cols = (int)m->cols, info = 0, query = -1;
    size_t bytes = (size_t)(m->local_rows * m->local_cols) * sizeof(double);
    double length = 0.0;
    bnf_status s = BNF_OK;
    if (!bnf_la_finite(BNF_F64, m->local_rows * m->local_cols, m->local))
        s = bnf_fail(BNF_ERR_NUMERIC, "singular values of a block-cyclic %d x %d matrix: it holds a NaN or infinity",
                     rows, cols);
    BNF_TRY(bnf_comm_agree(m->grid->comm, s));
    pdgesvd_("N", "N", &rows, &cols, m->local, &one, &one, m->descriptor, sigma, NULL, &one, &one, m->descriptor, NULL,
             &one, &one, m->descriptor, &length, &query, &info, 1, 1);
    BNF_ASSERT(info == 0 && length < (double)INT_MAX);
    *lwork = (int)length;
    s = bnf_alloc((size_t)*lwork * sizeof(double), "singular values: workspace", work);
    if (s == BNF_OK)
        s = bnf_alloc(bytes, "singular values: copy", copy);
    if (s == BNF_OK)
        memcpy(*copy, m->local, bytes);
    return bnf_comm_agree(m->grid->comm, s);
}

bnf_status bnf_blockcyclic_singular_values(const bnf_blockcyclic *m, double *sigma)
{
    int rows = (int)m->rows, cols = (int)m->cols, info = 0, lwork = 0;
    double *copy = NULL, *work = NULL;
    int threads = bnf_la_single_begin();
    bnf_status s = svd_workspace(m, sigma, &copy, &work, &lwork);
    if (s == BNF_OK) {
        pdgesvd_("N", "N", &rows, &cols, copy, &one, &one, m->descriptor, sigma, NULL, &one, &one, m->descriptor, NULL,
                 &one, &one, m->descriptor, work, &lwork, &info, 1, 1);
        BNF_ASSERT(info >= 0);
        if (info > 0)
            s = bnf_fail(BNF_ERR_NUMERIC, "singular values of a block-cyclic %d x %d matrix did not converge (info %d)",
                         rows, cols, info);
        s = bnf_comm_agree(m->grid->comm, s);
    }
    bnf_la_single_end(threads);
    bnf_free(work);
    bnf_free(copy);
    return s;
}

bnf_status bnf_blockcyclic_norm2(const bnf_blockcyclic *m, double *norm)
{
    const bnf_comm *comm = m->grid->comm;
    double *sigma = NULL;
    int64_t n = m->rows < m->cols ? m->rows : m->cols;
    bnf_status s = bnf_comm_agree(comm, bnf_alloc((size_t)n * sizeof(double), "singular values", &sigma));
    if (s == BNF_OK)
        s = bnf_blockcyclic_singular_values(m, sigma);
    if (s == BNF_OK)
        *norm = sigma[0];
    bnf_free(sigma);
    return s;
}
