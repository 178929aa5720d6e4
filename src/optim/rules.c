/* Update rules. The loops must round each element alike wherever it lies in the array: a compiler that fuses
 * multiply and add in the vector body but not in the remainder would break that, so fusing is off in this file. */
#include "optim/rules.h"

#include "base/assert.h"
#include "base/simd.h"

#include <math.h>
#include <string.h>

#ifdef __clang__
#pragma STDC FP_CONTRACT OFF
#pragma clang diagnostic ignored "-Wpass-failed" /* sanitizers keep the loops from being vectorised */
#else
#pragma GCC optimize("fp-contract=off")
#endif

BNF_SIMD_CLONES
static void update_sgd_plain(const bnf_optim_step *at, int64_t n, const float *restrict grad, float *restrict value)
{
    const float lr = (float)at->lr, decay = (float)at->weight_decay, scale = (float)at->grad_scale;
#pragma omp simd
    for (int64_t i = 0; i < n; i++) {
        const float g = scale * grad[i] + decay * value[i];
        value[i] = value[i] - lr * g;
    }
}

BNF_SIMD_CLONES
static void update_sgd(const bnf_optim_rule *rule, const bnf_optim_step *at, int64_t n, const float *restrict grad,
                       float *const *state, float *restrict value)
{
    if (rule->momentum == 0.0) {
        update_sgd_plain(at, n, grad, value);
        return;
    }
    const float lr = (float)at->lr, decay = (float)at->weight_decay, scale = (float)at->grad_scale;
    const float momentum = (float)rule->momentum;
    float *restrict buf = state[0];
    if (rule->nesterov) {
#pragma omp simd
        for (int64_t i = 0; i < n; i++) {
            const float g = scale * grad[i] + decay * value[i];
            const float b = momentum * buf[i] + g;
            buf[i] = b;
            value[i] = value[i] - lr * (g + momentum * b);
        }
    } else {
#pragma omp simd
        for (int64_t i = 0; i < n; i++) {
            const float g = scale * grad[i] + decay * value[i];
            const float b = momentum * buf[i] + g;
            buf[i] = b;
            value[i] = value[i] - lr * b;
        }
    }
}

/* Adam with both kinds of decay: `keep` multiplies the value before the step, `decay` * value is added to the
 * gradient. The one that a rule does not use is 1 or 0; neither changes a bit of a finite value then. */
BNF_SIMD_CLONES
static void update_adam_common(const bnf_optim_rule *rule, const bnf_optim_step *at, float keep, float decay, int64_t n,
                               const float *restrict grad, float *const *state, float *restrict value)
{
    const double correction1 = 1.0 - pow(rule->beta1, (double)at->step);
    const double correction2 = 1.0 - pow(rule->beta2, (double)at->step);
    const float scale = (float)at->grad_scale;
    const float take1 = (float)(1.0 - rule->beta1), keep2 = (float)rule->beta2, take2 = (float)(1.0 - rule->beta2);
    const float rate = (float)(at->lr / correction1), root2 = (float)sqrt(correction2), eps = (float)rule->eps;
    float *restrict m = state[0];
    float *restrict v = state[1];
#pragma omp simd
    for (int64_t i = 0; i < n; i++) {
        const float p = keep * value[i];
        const float g = scale * grad[i] + decay * p;
        const float mi = m[i] + take1 * (g - m[i]);
        const float vi = keep2 * v[i] + take2 * (g * g);
        m[i] = mi;
        v[i] = vi;
        value[i] = p - rate * (mi / (sqrtf(vi) / root2 + eps));
    }
}

static void update_adam(const bnf_optim_rule *rule, const bnf_optim_step *at, int64_t n, const float *restrict grad,
                        float *const *state, float *restrict value)
{
    update_adam_common(rule, at, 1.0f, (float)at->weight_decay, n, grad, state, value);
}

static void update_adamw(const bnf_optim_rule *rule, const bnf_optim_step *at, int64_t n, const float *restrict grad,
                         float *const *state, float *restrict value)
{
    const double shrink = rule->uncoupled ? at->weight_decay : at->lr * at->weight_decay;
    update_adam_common(rule, at, (float)(1.0 - shrink), 0.0f, n, grad, state, value);
}

static const bnf_optim_rule_info rule_table[BNF_OPTIM_KIND_COUNT] = {
    [BNF_OPTIM_SGD] = {"sgd", 1, {"momentum", NULL}, update_sgd, NULL, NULL},
    [BNF_OPTIM_ADAM] = {"adam", 2, {"moment1", "moment2"}, update_adam, NULL, NULL},
    [BNF_OPTIM_ADAMW] = {"adamw", 2, {"moment1", "moment2"}, update_adamw, NULL, NULL},
    [BNF_OPTIM_LARS] = {"lars", 1, {"momentum", NULL}, bnf_optim_lars, bnf_optim_lars_sums, bnf_optim_lars_ratio},
    [BNF_OPTIM_LAMB] = {"lamb", 2, {"moment1", "moment2"}, bnf_optim_lamb, bnf_optim_lamb_sums, bnf_optim_lamb_ratio},
};

const bnf_optim_rule_info *bnf_optim_rule_info_get(bnf_optim_kind kind)
{
    BNF_ASSERT((unsigned)kind < BNF_OPTIM_KIND_COUNT);
    return &rule_table[kind];
}

bnf_optim_rule bnf_optim_rule_default(bnf_optim_kind kind)
{
    BNF_ASSERT((unsigned)kind < BNF_OPTIM_KIND_COUNT);
    const double momentum = kind == BNF_OPTIM_LARS ? 0.9 : 0.0;
    return (bnf_optim_rule){
        .kind = kind, .momentum = momentum, .beta1 = 0.9, .beta2 = 0.999, .eps = 1e-8, .trust = 0.001};
}

static bnf_status check_lars(const bnf_optim_rule *rule)
{
    if (rule->nesterov)
        return bnf_fail(BNF_ERR_ARG, "optim.nesterov is for sgd; lars has none");
    if (!(rule->trust > 0.0) || !isfinite(rule->trust))
        return bnf_fail(BNF_ERR_ARG, "optim.trust is %g, must be positive", rule->trust);
    if (!(rule->eps >= 0.0) || !isfinite(rule->eps))
        return bnf_fail(BNF_ERR_ARG, "optim.eps is %g, must be finite and not negative", rule->eps);
    return BNF_OK;
}

bnf_status bnf_optim_rule_check(const bnf_optim_rule *rule)
{
    if ((unsigned)rule->kind >= BNF_OPTIM_KIND_COUNT)
        return bnf_fail(BNF_ERR_ARG, "optim.rule: there is no rule number %d", (int)rule->kind);
    if (rule->uncoupled && rule->kind != BNF_OPTIM_ADAMW)
        return bnf_fail(BNF_ERR_ARG, "optim.decay: uncoupled is for adamw; the rule is %s",
                        bnf_optim_kind_name(rule->kind));
    if (rule->kind == BNF_OPTIM_SGD || rule->kind == BNF_OPTIM_LARS) {
        if (!(rule->momentum >= 0.0 && rule->momentum < 1.0))
            return bnf_fail(BNF_ERR_ARG, "optim.momentum is %g, must be in [0, 1)", rule->momentum);
        if (rule->kind == BNF_OPTIM_LARS)
            return check_lars(rule);
        if (rule->nesterov && rule->momentum == 0.0)
            return bnf_fail(BNF_ERR_ARG, "optim.nesterov needs optim.momentum > 0");
        return BNF_OK;
    }
    if (!(rule->beta1 >= 0.0 && rule->beta1 < 1.0))
        return bnf_fail(BNF_ERR_ARG, "optim.beta1 is %g, must be in [0, 1)", rule->beta1);
    if (!(rule->beta2 >= 0.0 && rule->beta2 < 1.0))
        return bnf_fail(BNF_ERR_ARG, "optim.beta2 is %g, must be in [0, 1)", rule->beta2);
    if (!((float)rule->eps > 0.0f) || !isfinite(rule->eps))
        return bnf_fail(BNF_ERR_ARG, "optim.eps is %g, must be positive in f32", rule->eps);
    return BNF_OK;
}

const char *bnf_optim_kind_name(bnf_optim_kind kind)
{
    return bnf_optim_rule_info_get(kind)->name;
}

bnf_status bnf_optim_kind_parse(const char *name, bnf_optim_kind *kind)
{
    for (int k = 0; k < BNF_OPTIM_KIND_COUNT; k++) {
        if (strcmp(name, rule_table[k].name) == 0) {
            *kind = (bnf_optim_kind)k;
            return BNF_OK;
        }
    }
    return bnf_fail(BNF_ERR_ARG, "optim.rule: there is no '%s'; the rules are sgd, adam, adamw, lars, lamb", name);
}

int bnf_optim_state_count(const bnf_optim_rule *rule)
{
    if (rule->kind == BNF_OPTIM_SGD && rule->momentum == 0.0)
        return 0;
    return bnf_optim_rule_info_get(rule->kind)->state_count;
}

const char *bnf_optim_state_name(const bnf_optim_rule *rule, int i)
{
    BNF_ASSERT(i >= 0 && i < bnf_optim_state_count(rule));
    return bnf_optim_rule_info_get(rule->kind)->state_names[i];
}

void bnf_optim_update(const bnf_optim_rule *rule, float *value, const float *grad, float *const *state, int64_t n,
                      double lr, double weight_decay, double grad_scale, int64_t step)
{
    BNF_ASSERT(n >= 0 && step >= 1);
    const bnf_optim_step at = {.lr = lr, .weight_decay = weight_decay, .grad_scale = grad_scale, .step = step};
    bnf_optim_rule_info_get(rule->kind)->update(rule, &at, n, grad, state, value);
}

bool bnf_optim_measures(const bnf_optim_rule *rule)
{
    return bnf_optim_rule_info_get(rule->kind)->sums != NULL;
}

void bnf_optim_measure(const bnf_optim_rule *rule, const float *value, const float *grad, float *const *state,
                       int64_t n, double weight_decay, double grad_scale, int64_t step, double sums[2])
{
    BNF_ASSERT(bnf_optim_measures(rule) && n >= 0 && step >= 1);
    const bnf_optim_step at = {.weight_decay = weight_decay, .grad_scale = grad_scale, .step = step};
    const int states = bnf_optim_state_count(rule);
    sums[0] = sums[1] = 0.0;
    for (int64_t i = 0; i < n; i += BNF_OPTIM_BLOCK) {
        float *part[BNF_OPTIM_MAX_STATE] = {0};
        double block[2];
        for (int s = 0; s < states; s++)
            part[s] = state[s] + i;
        bnf_optim_rule_info_get(rule->kind)
            ->sums(rule, &at, n - i < BNF_OPTIM_BLOCK ? n - i : BNF_OPTIM_BLOCK, grad + i, part, value + i, block);
        sums[0] += block[0];
        sums[1] += block[1];
    }
}

double bnf_optim_ratio(const bnf_optim_rule *rule, double weight_decay, const double sums[2])
{
    return bnf_optim_rule_info_get(rule->kind)->ratio(rule, weight_decay, sums);
}
