/* la/blockcyclic_impl.h - private to src/la: what a grid and a block-cyclic matrix are made of. */
#ifndef BNF_LA_BLOCKCYCLIC_IMPL_H
#define BNF_LA_BLOCKCYCLIC_IMPL_H

#include "la/blockcyclic.h"
#include "la/scalapack.h"

struct bnf_grid {
    const bnf_comm *comm;
    bnf_comm *row_comm; /* processes of this process row, ordered by column */
    bnf_comm *col_comm; /* processes of this process column, ordered by row */
    int system;         /* BLACS' name of the communicator */
    int context;        /* BLACS' name of the grid */
    int rows, cols;     /* rank r is process (r / cols, r % cols) */
    int my_row, my_col;
};

struct bnf_blockcyclic {
    const bnf_grid *grid;
    int64_t rows, cols, block;
    int64_t local_rows, local_cols; /* of this process's part, column-major in local */
    double *local;
    int descriptor[BNF_DESCRIPTOR_LENGTH];
};

/* Elements of an extent that process p of n holds. */
static inline int64_t bnf_local_extent(int64_t extent, int64_t block, int p, int n)
{
    int64_t cycle = block * n, rest = extent % cycle - p * block;
    return extent / cycle * block + (rest < 0 ? 0 : rest < block ? rest : block);
}

/* Where the i-th local element of process p of n lies in the whole extent. */
static inline int64_t bnf_global_index(int64_t i, int64_t block, int p, int n)
{
    return (i / block * n + p) * block + i % block;
}

/* Blocks of an extent, and elements in block i. */
static inline int64_t bnf_block_count(int64_t extent, int64_t block)
{
    return (extent + block - 1) / block;
}

static inline int64_t bnf_block_length(int64_t extent, int64_t block, int64_t i)
{
    return extent - i * block < block ? extent - i * block : block;
}

/* Blocks below `count` that process p of n holds. */
static inline int64_t bnf_local_blocks(int64_t count, int p, int n)
{
    return count > p ? (count - p + n - 1) / n : 0;
}

#endif
