/* Section "optim". */
#include "optim/optim_config.h"

#include <stddef.h>

/* In the order of bnf_optim_kind and bnf_schedule_kind. */
static const char *const rule_choices[BNF_OPTIM_KIND_COUNT + 1] = {"sgd", "adam", "adamw", "lars", "lamb", NULL};
static const char *const schedule_choices[BNF_SCHEDULE_KIND_COUNT + 1] = {"constant", "step", "cosine", "polynomial",
                                                                          NULL};
static const char *const decay_choices[] = {"coupled", "uncoupled", NULL};

#define GROUP_AT(field) offsetof(bnf_optim_group_config, field)
#define AT(field) offsetof(bnf_optim_config, field)

static const bnf_cfg_key group_keys[] = {
    {"match", BNF_CFG_STRING, GROUP_AT(match), NULL, "shell pattern on the whole parameter name: * ? [a-z]",
     .choices = NULL},
    {"lr_scale", BNF_CFG_REAL, GROUP_AT(lr_scale), ".nan", "times the learning rate; not with lr", .max = 1e6},
    {"lr", BNF_CFG_REAL, GROUP_AT(lr), ".nan", "instead of optim.lr, follows the same schedule", .max = 1e6},
    {"weight_decay", BNF_CFG_REAL, GROUP_AT(weight_decay), ".nan", "instead of optim.weight_decay", .max = 1e6},
};

static const bnf_cfg_key optim_keys[] = {
    {"rule", BNF_CFG_ENUM, AT(rule), "adam", "update rule", .choices = rule_choices},
    {"lr", BNF_CFG_REAL, AT(lr), "0.001", "learning rate after the warm-up", .max = 1e6},
    {"weight_decay", BNF_CFG_REAL, AT(weight_decay), "0",
     "added to the gradient (adamw, lamb: applied to the weight); lars and lamb scale the rates of what decays only",
     .max = 1e6},
    {"decay", BNF_CFG_ENUM, AT(decay), "coupled",
     "adamw: in a step weights shrink by weight_decay times the learning rate, or uncoupled by weight_decay times "
     "schedule(step)/lr (1 if the schedule is constant; lr_scale and lr of groups do not count)",
     .choices = decay_choices},
    {"momentum", BNF_CFG_REAL, AT(momentum), "0", "sgd, lars: momentum, below 1", .max = 1},
    {"nesterov", BNF_CFG_BOOL, AT(nesterov), "false", "sgd: Nesterov's form of the momentum", .choices = NULL},
    {"beta1", BNF_CFG_REAL, AT(beta1), "0.9", "adam, adamw, lamb: decay of the gradient's mean, below 1", .max = 1},
    {"beta2", BNF_CFG_REAL, AT(beta2), "0.999", "adam, adamw, lamb: decay of the squared gradient's mean, below 1",
     .max = 1},
    {"eps", BNF_CFG_REAL, AT(eps), "1e-8",
     "adam, adamw, lamb: added to the root of the second moment; lars: to the norm of the gradient", .max = 1e6},
    {"trust", BNF_CFG_REAL, AT(trust), "0.001",
     "lars: the rate of a weight is lr times trust times its norm over that of its gradient", .max = 1e6},
    {"clip_norm", BNF_CFG_REAL, AT(clip_norm), "0", "largest norm of all gradients together; 0: no clipping",
     .max = 1e30},
    {"clip_variable", BNF_CFG_REAL, AT(clip_variable), "0",
     "largest norm of every parameter's gradient by itself; 0: no clipping; not with clip_norm", .max = 1e30},
    {"schedule", BNF_CFG_ENUM, AT(schedule), "constant", "how the learning rate changes", .choices = schedule_choices},
    {"min_lr", BNF_CFG_REAL, AT(min_lr), "0", "cosine, polynomial: learning rate at the end", .max = 1e6},
    {"milestones", BNF_CFG_REAL_LIST, AT(milestones), "[]", "step: epochs at which the rate is multiplied by gamma",
     .max = 1e9},
    {"gamma", BNF_CFG_REAL, AT(gamma), "0.1", "step: factor at every milestone", .max = 1e6},
    {"power", BNF_CFG_REAL, AT(power), "1", "polynomial: exponent", .max = 100},
    {"warmup_epochs", BNF_CFG_REAL, AT(warmup_epochs), "0", "epochs of linear warm-up, parts of one are possible",
     .max = 1e9},
    {"warmup_start", BNF_CFG_REAL, AT(warmup_start), "0", "part of the rate at which the warm-up begins", .max = 1},
    {"groups", BNF_CFG_MAP_LIST, AT(groups), "[]", "settings by parameter name; the first match counts",
     .item_keys = group_keys, .item_nkeys = (int)(sizeof group_keys / sizeof *group_keys),
     .item_size = sizeof(bnf_optim_group_config)},
};

bnf_cfg_section bnf_optim_config_section(bnf_optim_config *config)
{
    return (bnf_cfg_section){"optim", "how weights change in a step", BNF_CFG_KEYS(optim_keys), config};
}

static bnf_schedule schedule_of(const bnf_optim_config *config)
{
    bnf_schedule s = {.kind = (bnf_schedule_kind)config->schedule,
                      .lr = config->lr,
                      .min_lr = config->min_lr,
                      .gamma = config->gamma,
                      .power = config->power,
                      .warmup_epochs = config->warmup_epochs,
                      .warmup_start = config->warmup_start,
                      .milestone_count = (int)config->milestones.count};
    for (int i = 0; i < s.milestone_count; i++)
        s.milestones[i] = config->milestones.value[i];
    return s;
}

bnf_status bnf_optim_config_settings(const bnf_optim_config *config, bnf_optim_settings *settings)
{
    if (config->milestones.count > BNF_SCHEDULE_MAX_MILESTONES)
        return bnf_fail(BNF_ERR_CONFIG, "optim.milestones has %lld entries, at most %d are possible",
                        (long long)config->milestones.count, BNF_SCHEDULE_MAX_MILESTONES);
    if (config->groups.count > BNF_OPTIM_MAX_GROUPS)
        return bnf_fail(BNF_ERR_CONFIG, "optim.groups has %lld entries, at most %d are possible",
                        (long long)config->groups.count, BNF_OPTIM_MAX_GROUPS);
    bnf_optim_settings s = {.rule = {.kind = (bnf_optim_kind)config->rule,
                                     .momentum = config->momentum,
                                     .nesterov = config->nesterov,
                                     .beta1 = config->beta1,
                                     .beta2 = config->beta2,
                                     .eps = config->eps,
                                     .trust = config->trust,
                                     .uncoupled = config->decay == 1},
                            .schedule = schedule_of(config),
                            .weight_decay = config->weight_decay,
                            .clip_norm = config->clip_norm,
                            .clip_variable = config->clip_variable,
                            .group_count = (int)config->groups.count};
    const bnf_optim_group_config *groups = config->groups.item;
    for (int i = 0; i < s.group_count; i++)
        s.groups[i] = (bnf_param_group){.match = groups[i].match,
                                        .lr_scale = groups[i].lr_scale,
                                        .lr = groups[i].lr,
                                        .weight_decay = groups[i].weight_decay};
    /* What the checks refuse came from a file: the code says so, the message names the key already. */
    if (bnf_optim_settings_check(&s) != BNF_OK)
        return BNF_ERR_CONFIG;
    *settings = s;
    return BNF_OK;
}
