/* Learning-rate schedules. */
#include <banff/optim.h>

#include "base/assert.h"

#include <math.h>
#include <string.h>

static const char *const kind_names[BNF_SCHEDULE_KIND_COUNT] = {
    [BNF_SCHEDULE_CONSTANT] = "constant",
    [BNF_SCHEDULE_STEP] = "step",
    [BNF_SCHEDULE_COSINE] = "cosine",
    [BNF_SCHEDULE_POLYNOMIAL] = "polynomial",
};

bnf_schedule bnf_schedule_default(double lr)
{
    return (bnf_schedule){.kind = BNF_SCHEDULE_CONSTANT, .lr = lr, .gamma = 0.1, .power = 1.0};
}

const char *bnf_schedule_kind_name(bnf_schedule_kind kind)
{
    BNF_ASSERT((unsigned)kind < BNF_SCHEDULE_KIND_COUNT);
    return kind_names[kind];
}

bnf_status bnf_schedule_kind_parse(const char *name, bnf_schedule_kind *kind)
{
    for (int k = 0; k < BNF_SCHEDULE_KIND_COUNT; k++) {
        if (strcmp(name, kind_names[k]) == 0) {
            *kind = (bnf_schedule_kind)k;
            return BNF_OK;
        }
    }
    return bnf_fail(BNF_ERR_ARG,
                    "optim.schedule: there is no '%s'; the schedules are constant, step, cosine, polynomial", name);
}

static bnf_status check_milestones(const bnf_schedule *s)
{
    if (s->milestone_count < 0 || s->milestone_count > BNF_SCHEDULE_MAX_MILESTONES)
        return bnf_fail(BNF_ERR_ARG, "optim.milestones has %d entries, at most %d are possible", s->milestone_count,
                        BNF_SCHEDULE_MAX_MILESTONES);
    for (int i = 0; i < s->milestone_count; i++) {
        const double before = i > 0 ? s->milestones[i - 1] : 0.0;
        if (!(s->milestones[i] > before) || !isfinite(s->milestones[i]))
            return bnf_fail(BNF_ERR_ARG, "optim.milestones[%d] is %g, must be greater than %g", i, s->milestones[i],
                            before);
    }
    return BNF_OK;
}

bnf_status bnf_schedule_check(const bnf_schedule *s)
{
    if ((unsigned)s->kind >= BNF_SCHEDULE_KIND_COUNT)
        return bnf_fail(BNF_ERR_ARG, "optim.schedule: there is no schedule number %d", (int)s->kind);
    if (!(s->lr >= 0.0) || !isfinite(s->lr))
        return bnf_fail(BNF_ERR_ARG, "optim.lr is %g, must be finite and not negative", s->lr);
    if (!(s->warmup_epochs >= 0.0) || !isfinite(s->warmup_epochs))
        return bnf_fail(BNF_ERR_ARG, "optim.warmup_epochs is %g, must be finite and not negative", s->warmup_epochs);
    if (!(s->warmup_start >= 0.0 && s->warmup_start <= 1.0))
        return bnf_fail(BNF_ERR_ARG, "optim.warmup_start is %g, must be in [0, 1]", s->warmup_start);
    const bool decays = s->kind == BNF_SCHEDULE_COSINE || s->kind == BNF_SCHEDULE_POLYNOMIAL;
    if (decays && !(s->min_lr >= 0.0 && s->min_lr <= s->lr))
        return bnf_fail(BNF_ERR_ARG, "optim.min_lr is %g, must be in [0, optim.lr = %g]", s->min_lr, s->lr);
    if (s->kind == BNF_SCHEDULE_POLYNOMIAL && (!(s->power > 0.0) || !isfinite(s->power)))
        return bnf_fail(BNF_ERR_ARG, "optim.power is %g, must be positive", s->power);
    if (s->kind == BNF_SCHEDULE_STEP) {
        if (!(s->gamma > 0.0) || !isfinite(s->gamma))
            return bnf_fail(BNF_ERR_ARG, "optim.gamma is %g, must be positive", s->gamma);
        return check_milestones(s);
    }
    return BNF_OK;
}

static double step_lr(const bnf_schedule *s, int64_t step, int64_t steps_per_epoch)
{
    double lr = s->lr;
    for (int i = 0; i < s->milestone_count; i++) {
        if ((double)step >= s->milestones[i] * (double)steps_per_epoch)
            lr *= s->gamma;
    }
    return lr;
}

/* The rate without warm-up; t in [0, 1] is the part of the decay that is over. */
static double decayed_lr(const bnf_schedule *s, double t, int64_t step, int64_t steps_per_epoch)
{
    const double pi = 3.14159265358979323846;
    switch (s->kind) {
    case BNF_SCHEDULE_STEP:
        return step_lr(s, step, steps_per_epoch);
    case BNF_SCHEDULE_COSINE:
        return s->min_lr + 0.5 * (s->lr - s->min_lr) * (1.0 + cos(pi * t));
    case BNF_SCHEDULE_POLYNOMIAL:
        return s->min_lr + (s->lr - s->min_lr) * pow(1.0 - t, s->power);
    default:
        return s->lr;
    }
}

double bnf_schedule_lr(const bnf_schedule *s, int64_t step, int64_t steps_per_epoch, int64_t total_steps)
{
    BNF_ASSERT(step >= 0 && steps_per_epoch >= 0 && total_steps >= 0);
    const int64_t warmup = (int64_t)llround(s->warmup_epochs * (double)steps_per_epoch);
    const int64_t span = total_steps - warmup;
    double t = 0.0, ramp = 1.0;
    if (step < warmup)
        ramp = s->warmup_start + (1.0 - s->warmup_start) * (double)(step + 1) / (double)warmup;
    else if (step >= total_steps || span <= 0)
        t = 1.0;
    else
        t = (double)(step - warmup) / (double)span;
    return ramp * decayed_lr(s, t, step, steps_per_epoch);
}

double bnf_schedule_factor(const bnf_schedule *schedule, int64_t step, int64_t steps_per_epoch, int64_t total_steps)
{
    return bnf_schedule_lr(schedule, step, steps_per_epoch, total_steps) / schedule->lr;
}
