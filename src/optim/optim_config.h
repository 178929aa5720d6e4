/* optim/optim_config.h - the keys of section "optim" in a configuration file.
 *
 *     bnf_optim_config optim = {0};
 *     const bnf_cfg_section sections[] = {bnf_optim_config_section(&optim), ...};
 *     BNF_TRY(bnf_config_load(path, sections, n, ...));
 *     bnf_optim_settings settings;
 *     BNF_TRY(bnf_optim_config_settings(&optim, &settings));
 */
#ifndef BNF_OPTIM_OPTIM_CONFIG_H
#define BNF_OPTIM_OPTIM_CONFIG_H

#include "base/config.h"

#include <banff/optim.h>

/* As loaded; the lists and strings are freed by bnf_config_free. */
typedef struct bnf_optim_config {
    int rule;     /* bnf_optim_kind */
    int schedule; /* bnf_schedule_kind */
    int decay;    /* 1: uncoupled */
    double lr, weight_decay, momentum, beta1, beta2, eps, trust, clip_norm, clip_variable;
    double min_lr, gamma, power, warmup_epochs, warmup_start;
    bool nesterov;
    bnf_cfg_reals milestones;
    bnf_cfg_maps groups; /* of bnf_optim_group_config */
} bnf_optim_config;

typedef struct bnf_optim_group_config {
    char *match;
    double lr_scale, lr, weight_decay; /* NaN: not set */
} bnf_optim_group_config;

/* The section that loads into `config`, which is borrowed. */
bnf_cfg_section bnf_optim_config_section(bnf_optim_config *config);

/* The settings that the file asks for, checked.
 * [out] settings  borrows the groups' patterns from `config`, so that must live as long.
 * Errors: BNF_ERR_CONFIG, the message names the key. */
bnf_status bnf_optim_config_settings(const bnf_optim_config *config, bnf_optim_settings *settings);

#endif
