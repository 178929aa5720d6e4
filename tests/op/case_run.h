/* op/case_run.h - builds the instance of a case, fills its inputs, runs one kernel under watch. */
#ifndef BNF_TESTS_OP_CASE_RUN_H
#define BNF_TESTS_OP_CASE_RUN_H

#include "op/op_case.h"

/* Arrays of f64 of one instance: whatever the element type, values are handed around as doubles. */
typedef struct bnf_case_values {
    int n;
    double *v[BNF_OP_MAX_IN];
} bnf_case_values;

/* How to run a kernel. */
typedef struct bnf_case_mode {
    bool packed; /* parameters and gradients in the kernel's layout where the case and the kernel want it */
    int inplace; /* input whose buffer output 0 takes, -1: none */
    bool once;   /* a single run, for differences: nothing to compare with */
} bnf_case_mode;

/* Instance of the case in the given real type, two threads, shapes inferred. Returns infer's status. */
bnf_status bnf_case_inst(const bnf_op *op, const bnf_op_case *c, bnf_dtype real, bnf_op_inst *inst);

/* Deterministic inputs that f32 holds exactly; release with bnf_case_values_free. */
void bnf_case_fill(const bnf_op *op, const bnf_op_case *c, bnf_case_values *in);
/* Rounds the inputs to bf16, but for integers. */
void bnf_case_round(const bnf_op_case *c, bnf_case_values *in);
void bnf_case_values_free(bnf_case_values *values);

/* Runs `kernel` three times (unless mode.once), each with other bytes in its scratch memory and two of them at once as
 * threads 0 and 1, and asserts (cmocka) that all give the same bits, write all of their outputs and nothing beside
 * them, and leave inputs alone. out->v[i] are the outputs. Returns false if the kernel refuses the use. */
bool bnf_case_run(const bnf_op_inst *inst, const bnf_kernel *kernel, bnf_case_mode mode, const bnf_case_values *in,
                  bnf_case_values *out);

/* The last kernel in the operation's list. NULL if it has none. */
const bnf_kernel *bnf_case_reference(const bnf_op *op);

/* Uniform in [0, 1), a function of the four numbers. */
double bnf_case_random(uint64_t seed, uint32_t a, uint64_t b, uint32_t c);

#endif
