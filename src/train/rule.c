/* train/rule.c - an optimiser with schedule and groups as the updater's rule. */
#include "train/rule.h"

#include "base/mem.h"

#include <math.h>

static const char *state_name(void *self, int i)
{
    const bnf_rule *r = self;
    return bnf_optim_state_name(&r->settings.rule, i);
}

static void measure(void *self, int param, const float *value, const float *grad, float *const *state, int64_t n,
                    double grad_scale, int64_t step, double sums[2])
{
    const bnf_rule *r = self;
    sums[0] = sums[1] = 0;
    if (r->scaled[param])
        bnf_optim_measure(&r->settings.rule, value, grad, state, n, r->params[param].weight_decay, grad_scale, step + 1,
                          sums);
}

static void update(void *self, int param, float *value, const float *grad, float *const *state, int64_t n,
                   double grad_scale, int64_t step, const double *sums)
{
    const bnf_rule *r = self;
    const bnf_param_setting *p = &r->params[param];
    double lr = bnf_rule_lr(r, step) * p->lr_scale, decay = p->weight_decay;
    if (r->settings.rule.uncoupled)
        decay *= bnf_schedule_factor(&r->settings.schedule, step, r->per_epoch, r->total);
    if (sums && r->scaled[param])
        lr *= bnf_optim_ratio(&r->settings.rule, p->weight_decay, sums);
    bnf_optim_update(&r->settings.rule, value, grad, state, n, lr, decay, grad_scale, step + 1);
}

/* Weights are, biases and parameters of normalisations are not; a group that sets weight_decay decides for its own. */
static bool scaled(const bnf_rule *rule, const bnf_param_info *info, const bnf_param_setting *p)
{
    if (p->group >= 0 && !isnan(rule->settings.groups[p->group].weight_decay))
        return p->weight_decay > 0;
    return info->decay;
}

static double clip(void *self, double total_sumsq)
{
    const bnf_rule *r = self;
    return bnf_optim_clip_scale(total_sumsq, r->settings.clip_norm);
}

static double clip_variable(void *self, double sumsq)
{
    const bnf_rule *r = self;
    return bnf_optim_clip_variable(sumsq, r->settings.clip_variable);
}

bnf_status bnf_rule_create(const bnf_optim_config *config, const bnf_params *params, int64_t per_epoch, int64_t total,
                           bnf_rule *rule)
{
    *rule = (bnf_rule){.per_epoch = per_epoch, .total = total};
    BNF_TRY(bnf_optim_config_settings(config, &rule->settings));
    int n = bnf_params_count(params);
    BNF_TRY(bnf_calloc((size_t)n + 1, sizeof *rule->params, "optimiser settings", &rule->params));
    BNF_TRY(bnf_calloc((size_t)n + 1, sizeof *rule->scaled, "optimiser settings", &rule->scaled));
    for (int i = 0; i < n; i++) {
        const bnf_param_info *info = bnf_params_info(params, i);
        double decay = info->decay ? rule->settings.weight_decay : 0;
        BNF_TRY(bnf_param_group_resolve(rule->settings.groups, rule->settings.group_count, info->name,
                                        rule->settings.schedule.lr, decay, &rule->params[i]));
        rule->scaled[i] = scaled(rule, info, &rule->params[i]);
    }
    rule->rule = (bnf_update_rule){.self = rule,
                                   .n_states = bnf_optim_state_count(&rule->settings.rule),
                                   .state_name = state_name,
                                   .measure = bnf_optim_measures(&rule->settings.rule) ? measure : NULL,
                                   .update = update,
                                   .sumsq = bnf_optim_sumsq,
                                   .clip = clip,
                                   .clip_variable = rule->settings.clip_variable > 0 ? clip_variable : NULL};
    return BNF_OK;
}

void bnf_rule_release(bnf_rule *rule)
{
    bnf_free(rule->params);
    bnf_free(rule->scaled);
    *rule = (bnf_rule){0};
}

double bnf_rule_lr(const bnf_rule *rule, int64_t step)
{
    return bnf_schedule_lr(&rule->settings.schedule, step < 0 ? 0 : step, rule->per_epoch, rule->total);
}
