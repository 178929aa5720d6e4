/* op/immediate.h - a builder that computes an operation as soon as it is emitted, with the reference kernel and one
 * leaf.
 *
 * Values are arrays in memory; batch sums are copies, since there is one leaf. It tests shape rules, emit functions
 * and vjps without a graph. */
#ifndef BNF_TESTS_OP_IMMEDIATE_H
#define BNF_TESTS_OP_IMMEDIATE_H

#include "ops/op.h"

typedef struct bnf_immediate bnf_immediate;

/* Owned, release with bnf_immediate_destroy. training is off, leaves 1. Errors: BNF_ERR_MEMORY. */
bnf_status bnf_immediate_create(bnf_dtype real, bnf_immediate **im);
void bnf_immediate_destroy(bnf_immediate *im);

/* The face that operations see; borrowed. `training` and `leaves` may be set by the test. */
bnf_builder *bnf_immediate_builder(bnf_immediate *im);

/* A value with a copy of `data` (bnf_desc_bytes). */
bnf_val bnf_immediate_value(bnf_immediate *im, const bnf_desc *desc, const void *data, bool needs_grad);

/* The content of a valid value; borrowed. */
const void *bnf_immediate_data(const bnf_immediate *im, bnf_val v);

/* Status of the first operation that failed. */
bnf_status bnf_immediate_status(const bnf_immediate *im);

/* Where the leaf stands: seed, step and first sample of the runs from now on (start: 0, 0, 0). */
void bnf_immediate_locate(bnf_immediate *im, uint64_t seed, int64_t step, int64_t first_sample);

/* Layer key that the next emitted operation gets; counts up from there. */
void bnf_immediate_set_layer(bnf_immediate *im, uint32_t layer);

/* The instance of the operation that computed v; NULL for values of bnf_immediate_value. Borrowed. */
const bnf_op_inst *bnf_immediate_inst(const bnf_immediate *im, bnf_val v);

#endif
