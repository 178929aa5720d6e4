/* la/slices.h - a matrix that ranks hold by slices of its elements, to and from a block-cyclic one.
 *
 * Rank r holds elements [offset[r], offset[r+1]) of the row-major matrix. Every element goes straight from the rank
 * that has it to the rank that wants it; nobody holds more than its own parts. Collective over the grid's
 * communicator; nothing is allocated after creation. */
#ifndef BNF_LA_SLICES_H
#define BNF_LA_SLICES_H

#include "la/blockcyclic.h"

typedef struct bnf_slices bnf_slices;

/* For matrices with grid, extents and block of `like` (borrowed).
 *   offset[size+1]  the same on every rank, from 0 to rows * cols; a rank may hold nothing
 *   t               type of slices, BNF_F32 or BNF_F64
 * [out] s  owned, release with bnf_slices_destroy. Errors: BNF_ERR_MEMORY, the same on every rank. */
bnf_status bnf_slices_create(const bnf_blockcyclic *like, const int64_t *offset, bnf_dtype t, bnf_slices **s);
void bnf_slices_destroy(bnf_slices *s); /* NULL is legal; local */

/* m := the slices; f32 to f64 is exact. And back, rounded to the type of slices. Errors: BNF_ERR_COMM. */
bnf_status bnf_slices_to_matrix(bnf_slices *s, const void *slice, bnf_blockcyclic *m);
bnf_status bnf_slices_from_matrix(bnf_slices *s, const bnf_blockcyclic *m, void *slice);

#endif
