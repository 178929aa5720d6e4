/* nn/hkr.c - hinge Kantorovich-Rubinstein losses (spec 05): binary, multiclass, soft and log-sum-exp forms.
 *
 * Notation: f[N,C] network outputs, o[N,C] one-hot labels, B samples in the global batch, n_k samples of class k in
 * it, h = min_margin / 2. */
#include <banff/nn.h>

#include "graph/graph_error.h"
#include "ops/op.h"

#include <math.h>
#include <stdio.h>

#define FAR 1e30 /* subtracted from a logit that a softmax must not see; finite in f32 */

/* Weighted mean of per-sample losses, and the two terms' combination. */
static bnf_hkr_terms combine(bnf_scope *s, const bnf_hkr *hkr, bnf_val kr, bnf_val hinge)
{
    bnf_builder *b = s->b;
    double kr_factor = -1, hinge_factor = hkr->alpha;
    if (hkr->form == BNF_HKR_CONVEX)
        kr_factor = -(1 - hkr->alpha);
    else if (hkr->kind == BNF_HKR_SOFT) {
        kr_factor = -1 / hkr->alpha;
        hinge_factor = 1;
    }
    bnf_val loss = bnf_add(b, bnf_affine(b, kr, kr_factor, 0), bnf_affine(b, hinge, hinge_factor, 0));
    return (bnf_hkr_terms){.loss = loss, .kr = kr, .hinge = hinge};
}

/* o with rows of padding samples zeroed. */
static bnf_val weighted(bnf_scope *s, bnf_val x)
{
    if (!bnf_val_ok(s->weight) || !bnf_val_ok(x))
        return x;
    return bnf_mul(s->b, x, bnf_reshape(s->b, s->weight, 2, (int64_t[]){bnf_val_desc(s->b, x)->dim[0], 1}));
}

/* x / max(n, 1): a count of zero has a sum of zero beside it. */
static bnf_val over_count(bnf_builder *b, bnf_val x, bnf_val n)
{
    return bnf_div(b, x, bnf_maximum(b, n, bnf_const(b, 1)));
}

/* mean over classes of E[f_k | k] - E[f_k | not k], batch-level. `o`, `rest`: weighted [N,C] membership. */
static bnf_val transport(bnf_builder *b, bnf_val f, bnf_val o, bnf_val rest)
{
    const bnf_desc classes = bnf_desc_1d(b->real, bnf_desc_cols(bnf_val_desc(b, f)));
    bnf_val n_pos = bnf_batch_sum(b, bnf_sum_to(b, o, &classes)),
            n_neg = bnf_batch_sum(b, bnf_sum_to(b, rest, &classes));
    bnf_val gain = bnf_sub(b, over_count(b, o, n_pos), over_count(b, rest, n_neg)); /* [N,C] */
    bnf_val kr = bnf_batch_sum(b, bnf_sum_all(b, bnf_mul(b, f, gain)));
    return bnf_affine(b, kr, 1 / (double)classes.dim[0], 0);
}

static bnf_hkr_terms multiclass(bnf_scope *s, bnf_val f, bnf_val one_hot, const bnf_hkr *hkr)
{
    bnf_builder *b = s->b;
    double classes = (double)bnf_desc_cols(bnf_val_desc(b, f)), h = hkr->min_margin / 2;
    bnf_val kr = transport(b, f, weighted(s, one_hot), weighted(s, bnf_affine(b, one_hot, -1, 1)));
    bnf_val sign = bnf_affine(b, one_hot, 2, -1); /* +1 at the label, -1 elsewhere */
    bnf_val margin = bnf_relu(b, bnf_affine(b, bnf_mul(b, sign, f), -1, h));
    bnf_val weight = bnf_affine(b, one_hot, classes - 2, 1); /* the label's hinge counts C - 1 times */
    bnf_val hinge = bnf_affine(b, bnf_sum_last(b, bnf_mul(b, margin, weight)), 1 / classes, 0);
    return combine(s, hkr, kr, bnf_nn_batch_mean(s, hinge));
}

/* f[N,1]: class 1 is positive. */
static bnf_hkr_terms binary(bnf_scope *s, bnf_val f, bnf_val labels, const bnf_hkr *hkr)
{
    bnf_builder *b = s->b;
    bnf_val positive = bnf_slice(b, bnf_one_hot(b, labels, 2), 1, 1); /* [N,1] */
    bnf_val kr = transport(b, f, weighted(s, positive), weighted(s, bnf_affine(b, positive, -1, 1)));
    bnf_val y = bnf_affine(b, positive, 2, -1);
    bnf_val hinge = bnf_relu(b, bnf_affine(b, bnf_mul(b, y, f), -1, hkr->min_margin / 2));
    return combine(s, hkr, kr, bnf_nn_batch_mean(s, hinge));
}

/* Softmax temperature from the moving mean of |f| over the whole batch; no gradient. */
static bnf_val soft_temperature(bnf_scope *s, const char *name, bnf_val f, const bnf_hkr *hkr)
{
    bnf_builder *b = s->b;
    char full[128];
    snprintf(full, sizeof full, "%s.mean_abs", name);
    bnf_val mu = bnf_nn_param(s, &(bnf_param_info){.name = full,
                                                   .desc = bnf_desc_1d(b->real, 1),
                                                   .init = {BNF_INIT_CONSTANT, hkr->min_margin, 0}});
    if (!bnf_val_ok(mu) || !bnf_val_ok(f))
        return BNF_NONE;
    if (s->training) {
        double classes = (double)bnf_desc_cols(bnf_val_desc(b, f));
        bnf_val size = bnf_sum_last(b, bnf_abs(b, bnf_stop_gradient(b, f)));
        bnf_val mean = bnf_affine(b, bnf_nn_batch_mean(s, size), 1 / classes, 0);
        bnf_val next = bnf_add(b, bnf_affine(b, mu, 0.99, 0), bnf_affine(b, mean, 0.01, 0));
        bnf_graph_assign(s->graph, bnf_graph_param_index(s->graph, mu), bnf_clip(b, next, 0.005, 1000));
        mu = next;
    }
    bnf_val scale = bnf_clip(b, mu, hkr->min_margin, 20000);
    bnf_val tau = bnf_div(b, bnf_const(b, hkr->temperature * hkr->min_margin), scale);
    return bnf_stop_gradient(b, bnf_clip(b, tau, 0.005, 250));
}

static bnf_hkr_terms soft(bnf_scope *s, const char *name, bnf_val f, bnf_val one_hot, const bnf_hkr *hkr)
{
    bnf_builder *b = s->b;
    bnf_val others = bnf_affine(b, one_hot, -1, 1);
    bnf_val scaled = bnf_mul(b, f, soft_temperature(s, name, f, hkr));
    bnf_val w = bnf_softmax(b, bnf_sub(b, scaled, bnf_affine(b, one_hot, FAR, 0)));
    w = bnf_add(b, bnf_mul(b, w, others), one_hot);
    bnf_val side = bnf_affine(b, one_hot, -2, 1); /* -1 at the label, +1 elsewhere */
    bnf_val signed_f = bnf_mul(b, side, f);
    bnf_val cost = bnf_sum_last(b, bnf_mul(b, w, signed_f)); /* -KR per sample */
    bnf_val margin = bnf_relu(b, bnf_affine(b, signed_f, 1, hkr->min_margin / 2));
    bnf_val hinge = bnf_sum_last(b, bnf_mul(b, w, margin));
    return combine(s, hkr, bnf_affine(b, bnf_nn_batch_mean(s, cost), -1, 0), bnf_nn_batch_mean(s, hinge));
}

static bnf_hkr_terms log_sum_exp(bnf_scope *s, bnf_val f, bnf_val one_hot, const bnf_hkr *hkr)
{
    bnf_builder *b = s->b;
    double classes = (double)bnf_desc_cols(bnf_val_desc(b, f)), h = hkr->min_margin / 2;
    double t = log(classes - 1) / (hkr->min_margin * hkr->penalty / 2);
    f = bnf_affine(b, f, hkr->temperature, 0);
    bnf_val others = bnf_affine(b, one_hot, -1, 1);
    bnf_val x = bnf_sub(b, bnf_affine(b, f, t, 0), bnf_affine(b, one_hot, FAR, 0));
    /* log-sum-exp = x_k - log_softmax(x)_k for any k; averaged over the other classes, where it is finite */
    bnf_val each = bnf_mul(b, bnf_sub(b, x, bnf_log_softmax(b, x)), others);
    bnf_val largest = bnf_affine(b, bnf_sum_last(b, each), 1 / ((classes - 1) * t), 0);
    bnf_val label = bnf_sum_last(b, bnf_mul(b, f, one_hot));
    bnf_val kr = bnf_nn_batch_mean(s, bnf_sub(b, label, largest));
    bnf_val hinge = bnf_add(b, bnf_relu(b, bnf_affine(b, label, -1, h)), bnf_relu(b, bnf_affine(b, largest, 1, h)));
    return combine(s, hkr, kr, bnf_nn_batch_mean(s, hinge));
}

static bnf_status check(bnf_scope *s, bnf_val f, const bnf_hkr *hkr)
{
    int64_t classes = bnf_desc_cols(bnf_val_desc(s->b, f));
    if (hkr->kind == BNF_HKR_BINARY ? classes != 1 : classes < 2)
        return bnf_fail(BNF_ERR_ARG, "hKR: %lld network outputs; the binary form takes 1, the others at least 2",
                        (long long)classes);
    if (hkr->kind == BNF_HKR_LSE && classes < 3)
        return bnf_fail(
            BNF_ERR_ARG,
            "hKR: the log-sum-exp form divides by log(classes - 1) and needs 3 classes; use binary or soft");
    if (!(hkr->min_margin > 0) || !(hkr->alpha >= 0) || (hkr->form == BNF_HKR_CONVEX && hkr->alpha > 1) ||
        (hkr->kind == BNF_HKR_SOFT && hkr->form == BNF_HKR_SUM && !(hkr->alpha > 0)))
        return bnf_fail(BNF_ERR_ARG, "hKR: alpha %g or min_margin %g is outside its range", hkr->alpha,
                        hkr->min_margin);
    return BNF_OK;
}

bnf_hkr_terms bnf_loss_hkr(bnf_scope *s, const char *name, bnf_val f, bnf_val labels, const bnf_hkr *hkr)
{
    if (!bnf_val_ok(f))
        return (bnf_hkr_terms){BNF_NONE, BNF_NONE, BNF_NONE};
    bnf_graph_fail(s->graph, check(s, f, hkr));
    if (hkr->kind == BNF_HKR_BINARY)
        return binary(s, f, labels, hkr);
    bnf_val one_hot = bnf_one_hot(s->b, labels, bnf_desc_cols(bnf_val_desc(s->b, f)));
    switch (hkr->kind) {
    case BNF_HKR_SOFT:
        return soft(s, name, f, one_hot, hkr);
    case BNF_HKR_LSE:
        return log_sum_exp(s, f, one_hot, hkr);
    default:
        return multiclass(s, f, one_hot, hkr);
    }
}
