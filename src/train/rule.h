/* train/rule.h - an optimiser with schedule and groups as the updater's rule. */
#ifndef BNF_TRAIN_RULE_H
#define BNF_TRAIN_RULE_H

#include <banff/dist.h>
#include "optim/optim_config.h"

typedef struct bnf_rule {
    bnf_update_rule rule; /* rule.self is this struct, which must not move */
    bnf_optim_settings settings;
    bnf_param_setting *params; /* [count] */
    bool *scaled;              /* [count] by norms, if the rule does that: what decays */
    int64_t per_epoch, total;
} bnf_rule;

/* config is borrowed. A parameter whose info says no decay gets none unless a group sets it. Errors: BNF_ERR_CONFIG. */
bnf_status bnf_rule_create(const bnf_optim_config *config, const bnf_params *params, int64_t per_epoch, int64_t total,
                           bnf_rule *rule);
void bnf_rule_release(bnf_rule *rule);
/* The common learning rate of update number `step`, from 0. */
double bnf_rule_lr(const bnf_rule *rule, int64_t step);

#endif
