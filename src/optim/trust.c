/* LARS and LAMB: the learning rate of a whole tensor follows the norms of its weights and of its gradient or step. As
 * in rules.c, each element is rounded alike wherever it lies. */
#include "optim/rules.h"

#include "base/simd.h"

#include <math.h>

#ifdef __clang__
#pragma STDC FP_CONTRACT OFF
#pragma clang diagnostic ignored "-Wpass-failed" /* sanitizers keep the loops from being vectorised */
#else
#pragma GCC optimize("fp-contract=off")
#endif

#define LAMB_LARGEST_NORM 10.0 /* phi of the paper: norms of weights count as this at most */

BNF_SIMD_CLONES
void bnf_optim_lars(const bnf_optim_rule *rule, const bnf_optim_step *at, int64_t n, const float *restrict grad,
                    float *const *state, float *restrict value)
{
    const float lr = (float)at->lr, decay = (float)at->weight_decay, scale = (float)at->grad_scale;
    const float momentum = (float)rule->momentum;
    float *restrict buf = state[0];
#pragma omp simd
    for (int64_t i = 0; i < n; i++) {
        const float g = scale * grad[i] + decay * value[i];
        const float b = momentum * buf[i] + lr * g;
        buf[i] = b;
        value[i] = value[i] - b;
    }
}

void bnf_optim_lars_sums(const bnf_optim_rule *rule, const bnf_optim_step *at, int64_t n, const float *grad,
                         float *const *state, const float *value, double sums[2])
{
    (void)rule;
    (void)state;
    sums[0] = bnf_optim_sumsq(value, n);
    sums[1] = at->grad_scale * at->grad_scale * bnf_optim_sumsq(grad, n);
}

double bnf_optim_lars_ratio(const bnf_optim_rule *rule, double weight_decay, const double sums[2])
{
    const double weight = sqrt(sums[0]), grad = sqrt(sums[1]);
    if (!(weight > 0.0 && grad > 0.0))
        return 1.0;
    return rule->trust * weight / (grad + weight_decay * weight + rule->eps);
}

/* What is the same for all elements of a step of LAMB. */
typedef struct lamb {
    float scale, decay, take1, keep2, take2, inverse1, root2, eps;
} lamb;

static lamb lamb_numbers(const bnf_optim_rule *rule, const bnf_optim_step *at)
{
    const double correction1 = 1.0 - pow(rule->beta1, (double)at->step);
    const double correction2 = 1.0 - pow(rule->beta2, (double)at->step);
    return (lamb){.scale = (float)at->grad_scale,
                  .decay = (float)at->weight_decay,
                  .take1 = (float)(1.0 - rule->beta1),
                  .keep2 = (float)rule->beta2,
                  .take2 = (float)(1.0 - rule->beta2),
                  .inverse1 = (float)(1.0 / correction1),
                  .root2 = (float)sqrt(correction2),
                  .eps = (float)rule->eps};
}

BNF_SIMD_CLONES
void bnf_optim_lamb(const bnf_optim_rule *rule, const bnf_optim_step *at, int64_t n, const float *restrict grad,
                    float *const *state, float *restrict value)
{
    const lamb c = lamb_numbers(rule, at);
    const float lr = (float)at->lr;
    float *restrict m = state[0];
    float *restrict v = state[1];
#pragma omp simd
    for (int64_t i = 0; i < n; i++) {
        const float g = c.scale * grad[i];
        const float mi = m[i] + c.take1 * (g - m[i]);
        const float vi = c.keep2 * v[i] + c.take2 * (g * g);
        m[i] = mi;
        v[i] = vi;
        value[i] = value[i] - lr * (c.inverse1 * mi / (sqrtf(vi) / c.root2 + c.eps) + c.decay * value[i]);
    }
}

/* The step that bnf_optim_lamb will take at rate 1. */
BNF_SIMD_CLONES
static void lamb_direction(const lamb *numbers, int64_t n, const float *restrict grad, const float *restrict m,
                           const float *restrict v, const float *restrict value, float *restrict out)
{
    const lamb c = *numbers;
#pragma omp simd
    for (int64_t i = 0; i < n; i++) {
        const float g = c.scale * grad[i];
        const float mi = m[i] + c.take1 * (g - m[i]);
        const float vi = c.keep2 * v[i] + c.take2 * (g * g);
        out[i] = c.inverse1 * mi / (sqrtf(vi) / c.root2 + c.eps) + c.decay * value[i];
    }
}

void bnf_optim_lamb_sums(const bnf_optim_rule *rule, const bnf_optim_step *at, int64_t n, const float *grad,
                         float *const *state, const float *value, double sums[2])
{
    float direction[BNF_OPTIM_BLOCK];
    const lamb c = lamb_numbers(rule, at);
    lamb_direction(&c, n, grad, state[0], state[1], value, direction);
    sums[0] = bnf_optim_sumsq(value, n);
    sums[1] = bnf_optim_sumsq(direction, n);
}

double bnf_optim_lamb_ratio(const bnf_optim_rule *rule, double weight_decay, const double sums[2])
{
    (void)rule;
    (void)weight_decay;
    const double weight = sqrt(sums[0]), step = sqrt(sums[1]);
    if (!(weight > 0.0 && step > 0.0))
        return 1.0;
    return (weight < LAMB_LARGEST_NORM ? weight : LAMB_LARGEST_NORM) / step;
}
