/* la/tiles.c - products and sums of block-cyclic matrices in an order that no grid changes. */
#include "la/tiles.h"

#include "base/assert.h"
#include "base/mem.h"
#include "comm/agree.h"
#include "la/blas.h"
#include "la/blockcyclic_impl.h"
#include "la/vec.h"

#include <string.h>

#define DEPTH 4 /* tiles of the inner extent that are sent at a time */

struct bnf_tiles {
    const bnf_grid *grid;
    int64_t extent, block, tiles; /* tiles: of the extent */
    bnf_product by;
    int threads, ranks;
    double *send;     /* panels of tiles on their way */
    double *panel[2]; /* of op(a) and op(b) */
    double **slot[2]; /* [tiles * DEPTH] tile (outer, k) of the panel */
    int64_t *counts;  /* [4 ranks] the arrays below */
    int64_t *send_bytes, *send_at, *recv_bytes, *recv_at;
    double *part, *parts; /* per-tile sums: of this process, of its process row or column */
    double *piece;        /* sums of this process row or column */
    double *whole;        /* in order of processes */
    double *tile_sums;    /* [tiles * tiles] */
};

static int64_t larger(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static bnf_status allocate(bnf_tiles *t)
{
    const bnf_grid *g = t->grid;
    int64_t longest = bnf_local_blocks(t->tiles, 0, g->rows), tile = t->block * t->block; /* rows <= cols of the grid */
    size_t panel = (size_t)(longest * DEPTH * tile) * sizeof(double);
    size_t slots = (size_t)(t->tiles * DEPTH) * sizeof(double *);
    size_t vector = (size_t)(longest * t->block) * sizeof(double);
    BNF_TRY(bnf_calloc(1, panel, "panels of tiles", &t->send));
    for (int i = 0; i < 2; i++) {
        BNF_TRY(bnf_alloc(panel, "panels of tiles", &t->panel[i]));
        BNF_TRY(bnf_alloc(slots, "panels of tiles", &t->slot[i]));
    }
    BNF_TRY(bnf_calloc(4 * (size_t)t->ranks, sizeof(int64_t), "panels of tiles", &t->counts));
    BNF_TRY(bnf_alloc(vector * (size_t)longest, "sums over tiles", &t->part));
    BNF_TRY(bnf_alloc(vector * (size_t)t->tiles, "sums over tiles", &t->parts));
    BNF_TRY(bnf_alloc(vector, "sums over tiles", &t->piece));
    BNF_TRY(bnf_alloc((size_t)t->extent * sizeof(double), "sums over tiles", &t->whole));
    return bnf_alloc((size_t)(t->tiles * t->tiles) * sizeof(double), "sums over tiles", &t->tile_sums);
}

bnf_status bnf_tiles_create(const bnf_grid *grid, int64_t extent, int64_t block, bnf_product by, int threads,
                            bnf_tiles **out)
{
    BNF_ASSERT(extent >= 1 && block >= 1 && threads >= 1 && grid->rows <= grid->cols);
    bnf_tiles *t = NULL;
    bnf_status s = bnf_calloc(1, sizeof *t, "tiles", &t);
    if (s == BNF_OK) {
        t->grid = grid;
        t->extent = extent;
        t->block = block;
        t->tiles = bnf_block_count(extent, block);
        t->by = by;
        t->threads = threads;
        t->ranks = bnf_comm_size(grid->comm);
        s = allocate(t);
    }
    s = bnf_comm_agree(grid->comm, s);
    if (s != BNF_OK) {
        bnf_tiles_destroy(t);
        return s;
    }
    t->send_bytes = t->counts;
    t->send_at = t->counts + t->ranks;
    t->recv_bytes = t->counts + 2 * t->ranks;
    t->recv_at = t->counts + 3 * t->ranks;
    *out = t;
    return BNF_OK;
}

void bnf_tiles_destroy(bnf_tiles *t)
{
    if (!t)
        return;
    bnf_free(t->tile_sums);
    bnf_free(t->whole);
    bnf_free(t->piece);
    bnf_free(t->parts);
    bnf_free(t->part);
    bnf_free(t->counts);
    for (int i = 0; i < 2; i++) {
        bnf_free(t->slot[i]);
        bnf_free(t->panel[i]);
    }
    bnf_free(t->send);
    bnf_free(t);
}

static double *tile_at(const bnf_blockcyclic *m, int64_t i, int64_t j)
{
    const bnf_grid *g = m->grid;
    return m->local + j / g->cols * m->block * m->local_rows + i / g->rows * m->block;
}

/* ---- products ---------------------------------------------------------------------------------------------------- */

/* A factor: tile (o, k) is stored as tile (o, k) of m, or as (k, o) where the outer extent is that of m's columns. It
 * is wanted on process row o mod P (left factor) or process column o mod Q (right factor). */
typedef struct factor {
    const bnf_blockcyclic *m;
    bool outer_rows, left;
    int64_t outer; /* tiles */
} factor;

static int holder(const bnf_grid *g, const factor *f, int64_t o, int64_t k)
{
    int64_t i = f->outer_rows ? o : k, j = f->outer_rows ? k : o;
    return (int)(i % g->rows * g->cols + j % g->cols);
}

static void pack_tile(const factor *f, int64_t o, int64_t k, double *to)
{
    const bnf_blockcyclic *m = f->m;
    int64_t i = f->outer_rows ? o : k, j = f->outer_rows ? k : o;
    int64_t rows = bnf_block_length(m->rows, m->block, i), cols = bnf_block_length(m->cols, m->block, j);
    const double *from = tile_at(m, i, j);
    for (int64_t c = 0; c < cols; c++)
        memcpy(to + c * m->block, from + c * m->local_rows, (size_t)rows * sizeof(double));
}

/* Own tiles of the panel [k0, k1) into t->send, once per process row or column that wants them. */
static void pack(bnf_tiles *t, const factor *f, int64_t k0, int64_t k1)
{
    const bnf_grid *g = t->grid;
    int me = g->my_row * g->cols + g->my_col, lines = f->left ? g->rows : g->cols;
    int64_t tile = t->block * t->block, at = 0;
    for (int line = 0; line < lines; line++) {
        int64_t from = at;
        for (int64_t k = k0; k < k1; k++)
            for (int64_t o = line; o < f->outer; o += lines)
                if (holder(g, f, o, k) == me)
                    pack_tile(f, o, k, t->send + at++ * tile);
        for (int r = 0; r < t->ranks; r++)
            if ((f->left ? r / g->cols : r % g->cols) == line) {
                t->send_at[r] = from * tile * (int64_t)sizeof(double);
                t->send_bytes[r] = (at - from) * tile * (int64_t)sizeof(double);
            }
    }
}

/* Brings the tiles (o, k), k in [k0, k1), that this process needs: slot[o' * DEPTH + k - k0], o' counting own ones. */
static bnf_status fetch(bnf_tiles *t, const factor *f, int64_t k0, int64_t k1)
{
    const bnf_grid *g = t->grid;
    int lines = f->left ? g->rows : g->cols, line = f->left ? g->my_row : g->my_col;
    int64_t bytes = t->block * t->block * (int64_t)sizeof(double);
    double *panel = t->panel[!f->left], **slot = t->slot[!f->left];
    pack(t, f, k0, k1);
    memset(t->recv_bytes, 0, (size_t)t->ranks * sizeof *t->recv_bytes);
    for (int64_t k = k0; k < k1; k++)
        for (int64_t o = line; o < f->outer; o += lines)
            t->recv_bytes[holder(g, f, o, k)] += bytes;
    t->recv_at[0] = 0;
    for (int r = 1; r < t->ranks; r++)
        t->recv_at[r] = t->recv_at[r - 1] + t->recv_bytes[r - 1];
    BNF_TRY(bnf_comm_exchange(g->comm, t->send, t->send_bytes, t->send_at, panel, t->recv_bytes, t->recv_at));
    for (int64_t k = k0; k < k1; k++)
        for (int64_t o = line; o < f->outer; o += lines) {
            int64_t *at = &t->recv_at[holder(g, f, o, k)];
            slot[o / lines * DEPTH + k - k0] = panel + *at / (int64_t)sizeof(double);
            *at += bytes;
        }
    return BNF_OK;
}

/* Adds the panel's products to one own tile of c. The local matrices are column-major: as row-major ones they are the
 * transposes, hence c' = op(b)' op(a)'. */
static void multiply(const bnf_tiles *t, const factor *a, const factor *b, int64_t inner, int64_t k0, int64_t k1,
                     double alpha, double beta, bnf_blockcyclic *c, int64_t i, int64_t j)
{
    const bnf_grid *g = t->grid;
    int64_t gi = i * g->rows + g->my_row, gj = j * g->cols + g->my_col;
    int64_t m = bnf_block_length(c->rows, c->block, gi), n = bnf_block_length(c->cols, c->block, gj);
    for (int64_t k = k0; k < k1; k++)
        bnf_la_gemm(BNF_F64, b->outer_rows, !a->outer_rows, n, m, bnf_block_length(inner, t->block, k), alpha,
                    t->slot[1][j * DEPTH + k - k0], t->block, t->slot[0][i * DEPTH + k - k0], t->block, k ? 1.0 : beta,
                    tile_at(c, gi, gj), c->local_rows);
}

bnf_status bnf_tiles_product(bnf_tiles *t, bool ta, bool tb, double alpha, const bnf_blockcyclic *a,
                             const bnf_blockcyclic *b, double beta, bnf_blockcyclic *c)
{
    const bnf_grid *g = t->grid;
    int64_t inner = ta ? a->rows : a->cols, block = t->block;
    BNF_ASSERT(a->grid == g && b->grid == g && c->grid == g);
    BNF_ASSERT(a->block == block && b->block == block && c->block == block);
    BNF_ASSERT((ta ? a->cols : a->rows) == c->rows && (tb ? b->rows : b->cols) == c->cols);
    BNF_ASSERT((tb ? b->cols : b->rows) == inner && larger(larger(c->rows, c->cols), inner) <= t->extent);
    if (t->by == BNF_PRODUCT_PBLAS) {
        bnf_blockcyclic_gemm(ta, tb, alpha, a, b, beta, c);
        return BNF_OK;
    }
    factor left = {a, !ta, true, bnf_block_count(c->rows, block)},
           right = {b, tb, false, bnf_block_count(c->cols, block)};
    int64_t ni = bnf_local_blocks(left.outer, g->my_row, g->rows),
            nj = bnf_local_blocks(right.outer, g->my_col, g->cols);
    int64_t depth = bnf_block_count(inner, block);
    for (int64_t k0 = 0; k0 < depth; k0 += DEPTH) {
        int64_t k1 = k0 + DEPTH < depth ? k0 + DEPTH : depth;
        BNF_TRY(fetch(t, &left, k0, k1));
        BNF_TRY(fetch(t, &right, k0, k1));
#pragma omp parallel for num_threads(t->threads) collapse(2) schedule(static)
        for (int64_t j = 0; j < nj; j++)
            for (int64_t i = 0; i < ni; i++)
                multiply(t, &left, &right, inner, k0, k1, alpha, beta, c, i, j);
    }
    return BNF_OK;
}

/* ---- sums -------------------------------------------------------------------------------------------------------- */

/* One direction of a matrix: the extent whose elements are kept, the tiles that are summed over. */
typedef struct direction {
    const bnf_comm *across, *along; /* processes that hold the other tiles; the other elements */
    int64_t extent, tiles;
    int my_place, places; /* along */
    int parts;            /* processes across */
} direction;

static direction direction_of(const bnf_blockcyclic *m, bool keep_rows)
{
    const bnf_grid *g = m->grid;
    int64_t rows = bnf_block_count(m->rows, m->block), cols = bnf_block_count(m->cols, m->block);
    return keep_rows ? (direction){g->row_comm, g->col_comm, m->rows, cols, g->my_row, g->rows, g->cols}
                     : (direction){g->col_comm, g->row_comm, m->cols, rows, g->my_col, g->cols, g->rows};
}

/* t->part[own tiles across][own elements along] -> y[extent] on every rank, tiles added in their order. */
static bnf_status add_parts(bnf_tiles *t, const direction *d, double *y)
{
    int64_t block = t->block, n = bnf_local_extent(d->extent, block, d->my_place, d->places);
    for (int q = 0; q < d->parts; q++)
        t->counts[q] = bnf_local_blocks(d->tiles, q, d->parts) * n * (int64_t)sizeof(double);
    BNF_TRY(bnf_comm_allgatherv(d->across, t->part, t->counts, t->parts));
    for (int64_t k = 0; k < d->tiles; k++) {
        int64_t at = k / d->parts; /* before it in the array: the tiles of processes below, then own earlier ones */
        for (int q = 0; q < k % d->parts; q++)
            at += bnf_local_blocks(d->tiles, q, d->parts);
        bnf_la_axpby(BNF_F64, n, 1.0, t->parts + at * n, k ? 1.0 : 0.0, t->piece);
    }
    for (int p = 0; p < d->places; p++)
        t->counts[p] = bnf_local_extent(d->extent, block, p, d->places) * (int64_t)sizeof(double);
    BNF_TRY(bnf_comm_allgatherv(d->along, t->piece, t->counts, t->whole));
    const double *from = t->whole;
    for (int p = 0; p < d->places; p++)
        for (int64_t i = 0, m = bnf_local_extent(d->extent, block, p, d->places); i < m; i++)
            y[bnf_global_index(i, block, p, d->places)] = *from++;
    return BNF_OK;
}

/* out[rows of the tile] = tile x, column after column; out[columns] = tile' x, by dot products. */
static void tile_gemv(const bnf_blockcyclic *m, bool trans, int64_t i, int64_t j, const double *x, double *out)
{
    int64_t rows = bnf_block_length(m->rows, m->block, i), cols = bnf_block_length(m->cols, m->block, j);
    const double *a = tile_at(m, i, j);
    x += (trans ? i : j) * m->block;
    for (int64_t c = 0; c < cols; c++) {
        if (trans)
            out[c] = bnf_la_dot(BNF_F64, rows, a + c * m->local_rows, x);
        else
            bnf_la_axpby(BNF_F64, rows, x[c], a + c * m->local_rows, c ? 1.0 : 0.0, out);
    }
}

bnf_status bnf_tiles_gemv(bnf_tiles *t, bool trans, const bnf_blockcyclic *m, const double *x, double *y)
{
    const bnf_grid *g = t->grid;
    BNF_ASSERT(m->grid == g && m->block == t->block && larger(m->rows, m->cols) <= t->extent);
    direction d = direction_of(m, !trans);
    int64_t rows = bnf_block_count(m->rows, m->block), cols = bnf_block_count(m->cols, m->block);
    int64_t ni = bnf_local_blocks(rows, g->my_row, g->rows), nj = bnf_local_blocks(cols, g->my_col, g->cols);
#pragma omp parallel for num_threads(t->threads) collapse(2) schedule(static)
    for (int64_t j = 0; j < nj; j++)
        for (int64_t i = 0; i < ni; i++)
            tile_gemv(m, trans, i * g->rows + g->my_row, j * g->cols + g->my_col, x,
                      t->part + (trans ? i * m->local_cols + j * t->block : j * m->local_rows + i * t->block));
    return add_parts(t, &d, y);
}

static void tile_row_dots(const bnf_blockcyclic *a, const bnf_blockcyclic *b, int64_t i, int64_t j, double *out)
{
    int64_t rows = bnf_block_length(a->rows, a->block, i), cols = bnf_block_length(a->cols, a->block, j);
    const double *x = tile_at(a, i, j), *y = tile_at(b, i, j);
    memset(out, 0, (size_t)rows * sizeof *out);
    for (int64_t c = 0; c < cols; c++)
        for (int64_t r = 0; r < rows; r++)
            out[r] += x[c * a->local_rows + r] * y[c * b->local_rows + r];
}

bnf_status bnf_tiles_row_dots(bnf_tiles *t, const bnf_blockcyclic *a, const bnf_blockcyclic *b, double *sums)
{
    const bnf_grid *g = t->grid;
    BNF_ASSERT(a->rows == b->rows && a->cols == b->cols && a->block == t->block && b->block == t->block);
    direction d = direction_of(a, true);
    int64_t rows = bnf_block_count(a->rows, a->block), cols = bnf_block_count(a->cols, a->block);
    int64_t ni = bnf_local_blocks(rows, g->my_row, g->rows), nj = bnf_local_blocks(cols, g->my_col, g->cols);
    for (int64_t j = 0; j < nj; j++)
        for (int64_t i = 0; i < ni; i++)
            tile_row_dots(a, b, i * g->rows + g->my_row, j * g->cols + g->my_col,
                          t->part + j * a->local_rows + i * t->block);
    return add_parts(t, &d, sums);
}

static double tile_sum(const bnf_blockcyclic *a, const bnf_blockcyclic *b, int64_t i, int64_t j, bool distance)
{
    int64_t rows = bnf_block_length(a->rows, a->block, i), cols = bnf_block_length(a->cols, a->block, j);
    double sum = 0.0;
    for (int64_t c = 0; c < cols; c++) {
        const double *x = tile_at(a, i, j) + c * a->local_rows, *y = tile_at(b, i, j) + c * b->local_rows;
        double part = distance ? bnf_la_dist2(BNF_F64, rows, x, y) : bnf_la_dot(BNF_F64, rows, x, y);
        sum += distance ? part * part : part;
    }
    return sum;
}

static bnf_status sum_of_tiles(bnf_tiles *t, const bnf_blockcyclic *a, const bnf_blockcyclic *b, bool distance,
                               double *sum)
{
    const bnf_grid *g = t->grid;
    BNF_ASSERT(a->rows == b->rows && a->cols == b->cols && a->block == t->block && b->block == t->block);
    int64_t rows = bnf_block_count(a->rows, a->block), cols = bnf_block_count(a->cols, a->block);
    for (int64_t i = 0; i < rows; i++)
        for (int64_t j = 0; j < cols; j++)
            t->tile_sums[i * cols + j] =
                i % g->rows == g->my_row && j % g->cols == g->my_col ? tile_sum(a, b, i, j, distance) : 0.0;
    /* one process's number plus zeros: exact */
    BNF_TRY(bnf_comm_allreduce_f64(g->comm, BNF_COMM_SUM, t->tile_sums, rows * cols));
    *sum = 0.0;
    for (int64_t i = 0; i < rows * cols; i++)
        *sum += t->tile_sums[i];
    return BNF_OK;
}

bnf_status bnf_tiles_dot(bnf_tiles *t, const bnf_blockcyclic *a, const bnf_blockcyclic *b, double *sum)
{
    return sum_of_tiles(t, a, b, false, sum);
}

bnf_status bnf_tiles_distance2(bnf_tiles *t, const bnf_blockcyclic *a, const bnf_blockcyclic *b, double *sum)
{
    return sum_of_tiles(t, a, b, true, sum);
}

/* ---- local ------------------------------------------------------------------------------------------------------- */

void bnf_tiles_axpby(double a, const bnf_blockcyclic *x, double b, bnf_blockcyclic *y)
{
    BNF_ASSERT(x->local_rows == y->local_rows && x->local_cols == y->local_cols);
    bnf_la_axpby(BNF_F64, x->local_rows * x->local_cols, a, x->local, b, y->local);
}

void bnf_tiles_ger(double alpha, const double *x, const double *y, bnf_blockcyclic *m)
{
    const bnf_grid *g = m->grid;
    for (int64_t j = 0; j < m->local_cols; j++) {
        double by = alpha * y[bnf_global_index(j, m->block, g->my_col, g->cols)];
        for (int64_t i = 0; i < m->local_rows; i++)
            m->local[j * m->local_rows + i] += by * x[bnf_global_index(i, m->block, g->my_row, g->rows)];
    }
}

void bnf_tiles_scale_rows(const double *s, const bnf_blockcyclic *x, double b, bnf_blockcyclic *y)
{
    const bnf_grid *g = x->grid;
    BNF_ASSERT(x->local_rows == y->local_rows && x->local_cols == y->local_cols);
    for (int64_t j = 0; j < x->local_cols; j++)
        for (int64_t i = 0; i < x->local_rows; i++) {
            int64_t at = j * x->local_rows + i;
            double was = b != 0.0 ? b * y->local[at] : 0.0;
            y->local[at] = s[bnf_global_index(i, x->block, g->my_row, g->rows)] * x->local[at] + was;
        }
}
