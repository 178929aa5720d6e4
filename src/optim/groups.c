/* Parameter groups and the check of a run's settings. */
#include <banff/optim.h>

#include "base/str.h"

#include <math.h>

bnf_param_group bnf_param_group_default(const char *match)
{
    return (bnf_param_group){.match = match, .lr_scale = NAN, .lr = NAN, .weight_decay = NAN};
}

/* NaN means "not set" and passes. */
static bnf_status check_number(int index, const bnf_param_group *group, const char *key, double value)
{
    if (isnan(value) || (isfinite(value) && value >= 0.0))
        return BNF_OK;
    return bnf_fail(BNF_ERR_ARG, "optim.groups[%d] ('%s'): %s is %g, must be finite and not negative", index,
                    group->match, key, value);
}

static bnf_status check_group(int index, const bnf_param_group *group, double base_lr)
{
    if (group->match == NULL || group->match[0] == '\0')
        return bnf_fail(BNF_ERR_ARG, "optim.groups[%d]: match is empty", index);
    BNF_TRY(check_number(index, group, "lr_scale", group->lr_scale));
    BNF_TRY(check_number(index, group, "lr", group->lr));
    BNF_TRY(check_number(index, group, "weight_decay", group->weight_decay));
    if (!isnan(group->lr) && !isnan(group->lr_scale))
        return bnf_fail(BNF_ERR_ARG, "optim.groups[%d] ('%s'): set lr or lr_scale, not both", index, group->match);
    if (!isnan(group->lr) && base_lr == 0.0)
        return bnf_fail(BNF_ERR_ARG, "optim.groups[%d] ('%s'): lr needs optim.lr > 0", index, group->match);
    return BNF_OK;
}

bnf_status bnf_param_group_resolve(const bnf_param_group *groups, int count, const char *name, double base_lr,
                                   double weight_decay, bnf_param_setting *setting)
{
    bnf_param_setting found = {.group = -1, .lr_scale = 1.0, .weight_decay = weight_decay};
    for (int i = 0; i < count && found.group < 0; i++) {
        const bnf_param_group *g = &groups[i];
        BNF_TRY(check_group(i, g, base_lr));
        if (!bnf_glob_match(g->match, name))
            continue;
        found.group = i;
        if (!isnan(g->lr_scale))
            found.lr_scale = g->lr_scale;
        if (!isnan(g->lr))
            found.lr_scale = g->lr / base_lr;
        if (!isnan(g->weight_decay))
            found.weight_decay = g->weight_decay;
    }
    *setting = found;
    return BNF_OK;
}

bnf_optim_settings bnf_optim_settings_default(void)
{
    return (bnf_optim_settings){.rule = bnf_optim_rule_default(BNF_OPTIM_ADAM), .schedule = bnf_schedule_default(1e-3)};
}

static bnf_status check_clipping(const bnf_optim_settings *s)
{
    if (!(s->clip_norm >= 0.0) || !isfinite(s->clip_norm))
        return bnf_fail(BNF_ERR_ARG, "optim.clip_norm is %g, must be finite and not negative", s->clip_norm);
    if (!(s->clip_variable >= 0.0) || !isfinite(s->clip_variable))
        return bnf_fail(BNF_ERR_ARG, "optim.clip_variable is %g, must be finite and not negative", s->clip_variable);
    if (s->clip_norm > 0.0 && s->clip_variable > 0.0)
        return bnf_fail(BNF_ERR_ARG, "optim.clip_variable and optim.clip_norm: set one of them, not both");
    return BNF_OK;
}

/* An uncoupled decay is the part of a weight that a step takes away, and follows the schedule's multiplier. */
static bnf_status check_uncoupled(const bnf_optim_settings *s)
{
    if (s->schedule.lr == 0.0)
        return bnf_fail(BNF_ERR_ARG,
                        "optim.decay: uncoupled needs optim.lr > 0: it follows the schedule over optim.lr");
    if (s->weight_decay >= 1.0)
        return bnf_fail(BNF_ERR_ARG, "optim.weight_decay is %g; with optim.decay: uncoupled it must be below 1",
                        s->weight_decay);
    for (int i = 0; i < s->group_count; i++)
        if (s->groups[i].weight_decay >= 1.0)
            return bnf_fail(
                BNF_ERR_ARG,
                "optim.groups[%d] ('%s'): weight_decay is %g; with optim.decay: uncoupled it must be below 1", i,
                s->groups[i].match, s->groups[i].weight_decay);
    return BNF_OK;
}

bnf_status bnf_optim_settings_check(const bnf_optim_settings *s)
{
    BNF_TRY(bnf_optim_rule_check(&s->rule));
    BNF_TRY(bnf_schedule_check(&s->schedule));
    if (!(s->weight_decay >= 0.0) || !isfinite(s->weight_decay))
        return bnf_fail(BNF_ERR_ARG, "optim.weight_decay is %g, must be finite and not negative", s->weight_decay);
    BNF_TRY(check_clipping(s));
    if (s->group_count < 0 || s->group_count > BNF_OPTIM_MAX_GROUPS)
        return bnf_fail(BNF_ERR_ARG, "optim.groups has %d entries, at most %d are possible", s->group_count,
                        BNF_OPTIM_MAX_GROUPS);
    for (int i = 0; i < s->group_count; i++)
        BNF_TRY(check_group(i, &s->groups[i], s->schedule.lr));
    return s->rule.uncoupled ? check_uncoupled(s) : BNF_OK;
}
