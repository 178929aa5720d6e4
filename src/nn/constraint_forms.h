/* nn/constraint_forms.h - private: what the constraints of nn/constraint.h and nn/constraint_shared.h have in common,
 * and the two ways in which a single owner computes spectral normalisation with Bjorck steps. */
#ifndef BNF_NN_CONSTRAINT_FORMS_H
#define BNF_NN_CONSTRAINT_FORMS_H

#include "la/power.h"
#include "nn/constraint.h"
#include "nn/constraint_side.h"

/* Ok, or the errors of bnf_constraint_create for settings, type and extents. */
bnf_status bnf_constraint_check(const bnf_constraint_config *config, bnf_dtype t, int64_t rows, int64_t cols);
/* Whether the kind has a vector u: state[1 + m] is the count of calls in its history, then u. Unpacking errors:
 * BNF_ERR_FORMAT, and nothing is changed. */
bool bnf_constraint_has_state(bnf_constraint_kind kind);
void bnf_constraint_state_pack(int64_t m, int64_t forwards, const double *u, double *state);
bnf_status bnf_constraint_state_unpack(bnf_side side, const double *state, int64_t *forwards, double *u);

/* Settings of one forward. */
typedef struct bnf_bjorck_rule {
    bnf_la_power_rule power;
    double eps, beta, tolerance, factor;
} bnf_bjorck_rule;

/* Products as written. max_steps 0 is spectral normalisation alone. u[m] f64: in and out. Contracts as in
 * nn/constraint.h. */
typedef struct bnf_bjorck_direct bnf_bjorck_direct;
bnf_status bnf_bjorck_direct_create(bnf_side side, int max_steps, bnf_bjorck_direct **d);
void bnf_bjorck_direct_destroy(bnf_bjorck_direct *d);
bnf_status bnf_bjorck_direct_forward(bnf_bjorck_direct *d, const bnf_bjorck_rule *rule, const void *raw, double *u,
                                     void *eff, bnf_constraint_stats *stats);
void bnf_bjorck_direct_backward(bnf_bjorck_direct *d, const void *raw, const void *grad_eff, void *grad_raw);

/* Through the eigendecomposition of the smaller Gram matrix. max_steps >= 1. */
typedef struct bnf_bjorck_eigen bnf_bjorck_eigen;
bnf_status bnf_bjorck_eigen_create(bnf_side side, int max_steps, bnf_bjorck_eigen **e);
void bnf_bjorck_eigen_destroy(bnf_bjorck_eigen *e);
bnf_status bnf_bjorck_eigen_forward(bnf_bjorck_eigen *e, const bnf_bjorck_rule *rule, const void *raw, double *u,
                                    void *eff, bnf_constraint_stats *stats);
void bnf_bjorck_eigen_backward(bnf_bjorck_eigen *e, const void *raw, const void *grad_eff, void *grad_raw);

#endif
