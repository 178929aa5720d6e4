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

typedef struct bnf_optim_rule_info {
    const char *name;
    int state_count; /* the most that the rule keeps */
    const char *state_names[BNF_OPTIM_MAX_STATE];
    bnf_optim_update_fn update;
} bnf_optim_rule_info;

/* The line of the table. Borrowed, static. */
const bnf_optim_rule_info *bnf_optim_rule_info_get(bnf_optim_kind kind);

#endif
