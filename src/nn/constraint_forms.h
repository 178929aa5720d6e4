/* nn/constraint_forms.h - private: the two ways to compute spectral normalisation with Bjorck steps (nn/constraint.h).
 * */
#ifndef BNF_NN_CONSTRAINT_FORMS_H
#define BNF_NN_CONSTRAINT_FORMS_H

#include "la/power.h"
#include "nn/constraint.h"
#include "nn/constraint_side.h"

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
