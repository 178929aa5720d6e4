/* banff/optim.h - update rules, learning-rate schedules, parameter groups and gradient clipping.
 *
 * The owner of a parameter updates it. Everything here works on plain f32 arrays and numbers: it knows no graph and
 * no rank. Nothing here is collective, allocates or keeps hidden state, and every result is a function of the
 * arguments alone, whatever the number of ranks and threads. */
#ifndef BANFF_OPTIM_H
#define BANFF_OPTIM_H

#include <banff/base.h>
#include <stdbool.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- update rules ---------------------------------------------------------------------------------------------- */

typedef enum bnf_optim_kind {
    BNF_OPTIM_SGD = 0,
    BNF_OPTIM_ADAM,
    BNF_OPTIM_ADAMW,
    BNF_OPTIM_LARS,
    BNF_OPTIM_LAMB,
    BNF_OPTIM_KIND_COUNT
} bnf_optim_kind;

#define BNF_OPTIM_MAX_STATE 2 /* no rule keeps more arrays per parameter */

/* A rule and its constants. bnf_optim_rule_default fills in those that are in common use. */
typedef struct bnf_optim_rule {
    bnf_optim_kind kind;
    double momentum; /* sgd, lars: in [0, 1); 0 in sgd keeps no state */
    bool nesterov;   /* sgd: needs momentum > 0 */
    double beta1;    /* adam, adamw, lamb: decay of the mean of the gradient, in [0, 1) */
    double beta2;    /* adam, adamw, lamb: decay of the mean of its square, in [0, 1) */
    double eps;      /* adam, adamw, lamb: added to the root of the corrected second moment, > 0; lars: to the norm of
                        the gradient, 0 is legal */
    double trust;    /* lars: the trust coefficient, > 0 */
    bool uncoupled;  /* adamw: weights shrink by weight_decay itself, not by lr * weight_decay */
} bnf_optim_rule;

/* sgd: momentum 0; lars: momentum 0.9, trust 0.001; all others: beta 0.9 and 0.999; eps 1e-8. */
bnf_optim_rule bnf_optim_rule_default(bnf_optim_kind kind);

/* Ok, or BNF_ERR_ARG with a message that names the constant outside its range. */
bnf_status bnf_optim_rule_check(const bnf_optim_rule *rule);

/* "sgd", "adam", "adamw", "lars", "lamb". */
const char *bnf_optim_kind_name(bnf_optim_kind kind);

/* [out] kind of that name. Errors: BNF_ERR_ARG with a message that lists the names. */
bnf_status bnf_optim_kind_parse(const char *name, bnf_optim_kind *kind);

/* How many f32 arrays of the parameter's size the rule keeps (they start as zeros), and what the i-th is called in a
 * checkpoint ("momentum"; "moment1", "moment2"). */
int bnf_optim_state_count(const bnf_optim_rule *rule);
const char *bnf_optim_state_name(const bnf_optim_rule *rule, int i);

/* One update of `n` elements, in f32, with g = grad_scale * grad:
 *   sgd    g += weight_decay * value;  b = momentum * b + g;  value -= lr * b     (nesterov: lr * (g + momentum * b))
 *   adam   g += weight_decay * value;  m += (1 - beta1)(g - m);  v = beta2 v + (1 - beta2) g^2;
 *          value -= lr / (1 - beta1^step) * m / (sqrt(v) / sqrt(1 - beta2^step) + eps)
 *   adamw  value *= 1 - lr * weight_decay, uncoupled 1 - weight_decay;  then as adam without the decay in g (Loshchilov
 *          and Hutter 2019, alg. 2)
 *   lars   g += weight_decay * value;  b = momentum * b + lr * g;  value -= b
 *   lamb   m, v as in adam;  u = m / (1 - beta1^step) / (sqrt(v) / sqrt(1 - beta2^step) + eps) + weight_decay * value;
 *          value -= lr * u
 * The first three are the forms that PyTorch documents (sgd: dampening 0). lars (You, Gitman and Ginsburg 2017, alg. 1)
 * and lamb (You et al. 2020, alg. 2) expect lr times bnf_optim_ratio.
 *   value[n]     [in,out]
 *   grad[n]      [in] may not overlap value
 *   state[i][n]  [in,out] i < bnf_optim_state_count(rule), zeros before the first step; NULL if the count is 0
 *   lr           the learning rate of this step and parameter, > 0 or 0
 *   grad_scale   1, or bnf_optim_clip_scale
 *   step         number of this update, from 1
 * Determinism: each element is computed by the same sequence of roundings wherever it lies in the array, so any
 * split of the array into ranges gives the same bits. Thread-safe on disjoint ranges. */
void bnf_optim_update(const bnf_optim_rule *rule, float *value, const float *grad, float *const *state, int64_t n,
                      double lr, double weight_decay, double grad_scale, int64_t step);

/* Whether the rule scales its rate by norms of whole tensors: lars and lamb. */
bool bnf_optim_measures(const bnf_optim_rule *rule);

#define BNF_OPTIM_BLOCK 4096

/* For a rule that measures, before the update and with its arguments: [out] sums[2], sums of squares in f64
 *   lars   of value and of grad_scale * grad            lamb   of value and of u
 * over blocks of BNF_OPTIM_BLOCK elements, added in their order; so the sums of single blocks, added in order to zeros,
 * give the same bits. Thread-safe, changes nothing else. */
void bnf_optim_measure(const bnf_optim_rule *rule, const float *value, const float *grad, float *const *state,
                       int64_t n, double weight_decay, double grad_scale, int64_t step, double sums[2]);

/* The factor of the learning rate of a tensor with these sums; 1 if one of them is 0 (a tensor of zeros shall be able
 * to move):
 *   lars   trust * |value| / (|grad| + weight_decay * |value| + eps)
 *   lamb   min(|value|, 10) / |u|: the paper's phi, with 0 and 10 as its bounds */
double bnf_optim_ratio(const bnf_optim_rule *rule, double weight_decay, const double sums[2]);

/* ---- schedules ------------------------------------------------------------------------------------------------- */

typedef enum bnf_schedule_kind {
    BNF_SCHEDULE_CONSTANT = 0,
    BNF_SCHEDULE_STEP,       /* times gamma at every milestone */
    BNF_SCHEDULE_COSINE,     /* half a cosine from lr to min_lr */
    BNF_SCHEDULE_POLYNOMIAL, /* min_lr + (lr - min_lr) (1 - t)^power */
    BNF_SCHEDULE_KIND_COUNT
} bnf_schedule_kind;

#define BNF_SCHEDULE_MAX_MILESTONES 16

typedef struct bnf_schedule {
    bnf_schedule_kind kind;
    double lr;            /* the rate after the warm-up */
    double min_lr;        /* cosine, polynomial: the rate at the end */
    double gamma;         /* step: factor at each milestone */
    double power;         /* polynomial */
    double warmup_epochs; /* linear warm-up over so many epochs (fractions are legal); 0 is none */
    double warmup_start;  /* the warm-up begins at this part of the rate, in [0, 1] */
    int milestone_count;  /* step: how many entries of milestones are set */
    double milestones[BNF_SCHEDULE_MAX_MILESTONES]; /* step: epochs from the start of training, ascending */
} bnf_schedule;

/* Constant at `lr`, min_lr 0, gamma 0.1, power 1, no warm-up. */
bnf_schedule bnf_schedule_default(double lr);

/* Ok, or BNF_ERR_ARG with a message that names the setting outside its range. */
bnf_status bnf_schedule_check(const bnf_schedule *schedule);

/* "constant", "step", "cosine", "polynomial". */
const char *bnf_schedule_kind_name(bnf_schedule_kind kind);
bnf_status bnf_schedule_kind_parse(const char *name, bnf_schedule_kind *kind);

/* The learning rate of update number `step`, counted from 0 (so bnf_optim_update gets step + 1). The warm-up of
 * W = round(warmup_epochs * steps_per_epoch) steps rises linearly and reaches the full rate in its last step, number
 * W - 1; cosine and polynomial run over t = (step - W) / (total_steps - W) and would reach min_lr at step ==
 * total_steps; later steps stay there. Milestones count from step 0. A pure function: resuming needs the step alone. */
double bnf_schedule_lr(const bnf_schedule *schedule, int64_t step, int64_t steps_per_epoch, int64_t total_steps);

/* The same over schedule->lr, which must be > 0: exactly 1 where the schedule is constant. It is the multiplier of
 * Loshchilov and Hutter 2019 (alg. 2), which scales an uncoupled decay. */
double bnf_schedule_factor(const bnf_schedule *schedule, int64_t step, int64_t steps_per_epoch, int64_t total_steps);

/* ---- parameter groups ------------------------------------------------------------------------------------------ */

/* Settings for the parameters whose name matches. A field that is not set (NaN) leaves the common setting as it is. */
typedef struct bnf_param_group {
    const char *match;   /* shell pattern on the whole name: * ? [a-z]; borrowed */
    double lr_scale;     /* times the schedule's rate; NaN: 1 */
    double lr;           /* instead of lr_scale: the base rate, so lr_scale = lr / schedule.lr; NaN: not set */
    double weight_decay; /* NaN: the common one */
} bnf_param_group;

/* What holds for one parameter. */
typedef struct bnf_param_setting {
    int group;       /* index of the group that matched, -1 if none did */
    double lr_scale; /* multiply bnf_schedule_lr by it */
    double weight_decay;
} bnf_param_setting;

/* A group that matches `match` and sets nothing. */
bnf_param_group bnf_param_group_default(const char *match);

/* Finds the settings of parameter `name`: the first group that matches wins.
 *   groups[count]  may be NULL if count is 0
 *   base_lr        schedule.lr
 *   weight_decay   the common one
 * Errors: BNF_ERR_ARG if the group sets both lr and lr_scale, a negative value, or lr while base_lr is 0. */
bnf_status bnf_param_group_resolve(const bnf_param_group *groups, int count, const char *name, double base_lr,
                                   double weight_decay, bnf_param_setting *setting);

/* ---- clipping by norm ------------------------------------------------------------------------------------------ */

/* Sum of squares of x[n] in f64, in an order that depends on n alone. To get the global norm, sum these over the
 * parameters in index order, whoever owns them. */
double bnf_optim_sumsq(const float *x, int64_t n);

/* The factor for all gradients, min(1, max_norm / (sqrt(total_sumsq) + 1e-6)). 1 if max_norm <= 0 (no clipping). NaN
 * if total_sumsq is not finite: the caller has to stop or skip the step. */
double bnf_optim_clip_scale(double total_sumsq, double max_norm);

/* The factor for the gradient of one parameter by itself, max_norm / max(max_norm, sqrt(sumsq)); 1 if max_norm <= 0 (no
 * clipping). `sumsq` is finite. */
double bnf_optim_clip_variable(double sumsq, double max_norm);

/* ---- all settings of a run ------------------------------------------------------------------------------------- */

#define BNF_OPTIM_MAX_GROUPS 16

typedef struct bnf_optim_settings {
    bnf_optim_rule rule;
    bnf_schedule schedule;
    double weight_decay;
    double clip_norm;     /* of all gradients together; 0: no clipping */
    double clip_variable; /* of every parameter's gradient by itself; 0: no clipping, and 0 if clip_norm is not */
    int group_count;
    bnf_param_group groups[BNF_OPTIM_MAX_GROUPS];
} bnf_optim_settings;

/* Adam at a constant 1e-3, no decay, no clipping, no groups. */
bnf_optim_settings bnf_optim_settings_default(void);

/* Checks the rule, the schedule and every group. Errors: BNF_ERR_ARG, the message names the setting. */
bnf_status bnf_optim_settings_check(const bnf_optim_settings *settings);

#ifdef __cplusplus
}
#endif
#endif
