/* nn/reparam.c - a weight constraint as the parameter store and the updater see it. */
#include "nn/reparam.h"

#include "nn/constraint_shared.h"

static bnf_status forward(void *self, const void *raw, void *effective)
{
    return bnf_constraint_forward(self, raw, effective);
}

static bnf_status backward(void *self, const void *raw, const void *d_effective, void *d_raw)
{
    bnf_constraint_backward(self, raw, d_effective, d_raw);
    return BNF_OK;
}

static void state_get(void *self, double *state)
{
    bnf_constraint_state_get(self, BNF_CONSTRAINT_BEFORE, state);
}

static bnf_status state_set(void *self, const double *state)
{
    return bnf_constraint_state_set(self, state);
}

static void destroy(void *self)
{
    bnf_constraint_destroy(self);
}

static bnf_status make(const void *config, const bnf_desc *desc, bnf_reparam *made)
{
    bnf_constraint *c;
    int64_t rows = desc->dim[0];
    BNF_TRY(bnf_constraint_create(config, desc->dtype, rows, bnf_desc_count(desc) / rows, &c));
    *made = (bnf_reparam){.self = c,
                          .forward = forward,
                          .backward = backward,
                          .state_count = bnf_constraint_state_size(c),
                          .state_get = state_get,
                          .state_set = state_set,
                          .destroy = destroy};
    return BNF_OK;
}

/* ---- all ranks together ---- */

#define SHARED_BLOCK 128 /* side of a tile: results depend on it */

static bnf_status shared_forward(void *self, const void *raw, void *effective)
{
    return bnf_constraint_shared_forward(self, raw, effective);
}

static bnf_status shared_backward(void *self, const void *raw, const void *d_effective, void *d_raw)
{
    (void)raw;
    return bnf_constraint_shared_backward(self, d_effective, d_raw);
}

static void shared_state_get(void *self, double *state)
{
    bnf_constraint_shared_state_get(self, BNF_CONSTRAINT_BEFORE, state);
}

static bnf_status shared_state_set(void *self, const double *state)
{
    return bnf_constraint_shared_state_set(self, state);
}

static void shared_destroy(void *self)
{
    bnf_constraint_shared_destroy(self);
}

static bnf_status make_shared(const void *config, const bnf_desc *desc, const bnf_comm *comm, const int64_t *offset,
                              int threads, bnf_reparam *made)
{
    bnf_constraint_shared *c;
    int64_t rows = desc->dim[0];
    bnf_constraint_spread spread = {comm, offset, SHARED_BLOCK, BNF_PRODUCT_TILES, threads};
    BNF_TRY(bnf_constraint_shared_create(config, desc->dtype, rows, bnf_desc_count(desc) / rows, &spread, &c));
    *made = (bnf_reparam){.self = c,
                          .forward = shared_forward,
                          .backward = shared_backward,
                          .state_count = bnf_constraint_shared_state_size(c),
                          .state_get = shared_state_get,
                          .state_set = shared_state_set,
                          .destroy = shared_destroy};
    return BNF_OK;
}

static bnf_constraint_kind kind_of(bnf_lip_kind kind)
{
    switch (kind) {
    case BNF_LIP_SPECTRAL:
        return BNF_CONSTRAINT_SPECTRAL;
    case BNF_LIP_BJORCK:
    case BNF_LIP_ORTHOGONAL:
        return BNF_CONSTRAINT_BJORCK;
    case BNF_LIP_FROBENIUS_ROWS:
        return BNF_CONSTRAINT_FROBENIUS_ROWS;
    case BNF_LIP_FROBENIUS:
        return BNF_CONSTRAINT_FROBENIUS;
    case BNF_LIP_NONE:
        break;
    }
    return BNF_CONSTRAINT_NONE;
}

void bnf_reparam_describe(const bnf_lip *lip, double factor, const bnf_desc *desc, bnf_constraint_config *config,
                          bnf_reparam_factory *factory)
{
    *factory = (bnf_reparam_factory){0};
    if (lip->kind == BNF_LIP_NONE)
        return;
    bnf_constraint_kind kind = kind_of(lip->kind);
    *config = bnf_constraint_config_default(kind);
    config->form = lip->direct ? BNF_BJORCK_DIRECT : BNF_BJORCK_EIGEN;
    config->power_iterations = (int)lip->power_iterations;
    config->power_tolerance = lip->power_tolerance;
    config->eps = lip->eps;
    config->bjorck_iterations = (int)lip->bjorck_iterations;
    config->bjorck_beta = lip->bjorck_beta;
    config->bjorck_tolerance = lip->bjorck_tolerance;
    config->factor = factor;
    int64_t rows = desc->dim[0];
    *factory = (bnf_reparam_factory){.name = bnf_constraint_kind_name(kind),
                                     .config = config,
                                     .config_size = sizeof *config,
                                     .cost = bnf_constraint_cost(config, rows, bnf_desc_count(desc) / rows),
                                     .make = make,
                                     .make_shared = make_shared};
}
