/* optim/rules.h - the table of update rules. A new rule is one function and one line in optim/rules.c. */
#ifndef BNF_OPTIM_RULES_H
#define BNF_OPTIM_RULES_H

#include <banff/optim.h>

/* The numbers of one update, as bnf_optim_update takes them. */
typedef struct bnf_optim_step {
    double lr;
    double weight_decay;
    double grad_scale;
    int64_t step; /* from 1 */
} bnf_optim_step;

/* Updates value[n] from grad[n] and the rule's state arrays. Elementwise: see bnf_optim_update. */
typedef void (*bnf_optim_update_fn)(const bnf_optim_rule *rule, const bnf_optim_step *at, int64_t n, const float *grad,
                                    float *const *state, float *value);

/* For rules that scale by norms of a whole tensor. Sums of squares of one block, n <= BNF_OPTIM_BLOCK, before the
 * update: [out] sums[2]. Changes nothing else. */
typedef void (*bnf_optim_sums_fn)(const bnf_optim_rule *rule, const bnf_optim_step *at, int64_t n, const float *grad,
                                  float *const *state, const float *value, double sums[2]);
/* The factor of the learning rate, from the sums over all blocks. */
typedef double (*bnf_optim_ratio_fn)(const bnf_optim_rule *rule, double weight_decay, const double sums[2]);

typedef struct bnf_optim_rule_info {
    const char *name;
    int state_count; /* the most that the rule keeps */
    const char *state_names[BNF_OPTIM_MAX_STATE];
    bnf_optim_update_fn update;
    bnf_optim_sums_fn sums; /* NULL, as ratio: the rule looks at single elements only */
    bnf_optim_ratio_fn ratio;
} bnf_optim_rule_info;

/* optim/trust.c */
void bnf_optim_lars(const bnf_optim_rule *rule, const bnf_optim_step *at, int64_t n, const float *grad,
                    float *const *state, float *value);
void bnf_optim_lars_sums(const bnf_optim_rule *rule, const bnf_optim_step *at, int64_t n, const float *grad,
                         float *const *state, const float *value, double sums[2]);
double bnf_optim_lars_ratio(const bnf_optim_rule *rule, double weight_decay, const double sums[2]);
void bnf_optim_lamb(const bnf_optim_rule *rule, const bnf_optim_step *at, int64_t n, const float *grad,
                    float *const *state, float *value);
void bnf_optim_lamb_sums(const bnf_optim_rule *rule, const bnf_optim_step *at, int64_t n, const float *grad,
                         float *const *state, const float *value, double sums[2]);
double bnf_optim_lamb_ratio(const bnf_optim_rule *rule, double weight_decay, const double sums[2]);

/* The line of the table. Borrowed, static. */
const bnf_optim_rule_info *bnf_optim_rule_info_get(bnf_optim_kind kind);

#endif
