/* recipes/lipschitz/attack.h - `banff attack`: tries to break certificates. */
#ifndef BNF_RECIPES_LIPSCHITZ_ATTACK_H
#define BNF_RECIPES_LIPSCHITZ_ATTACK_H

#include "train/run.h"

/* The recipe's `attack`, by one of the ways of pgd.h (--option kind=...), on the first samples that have a certificate,
 *  - inside each sample's own certified radius, where nothing may flip;
 *  - outside, in multiples of the radius, where something should, or the certificate says little;
 *  - at fixed radii, for the accuracy under attack: an upper bound of the true robust accuracy, as the certified one
 *    is a lower bound.
 *
 * Distances are L2, but for pgd_linf and fgsm, where they are L-infinity: there a certified L2 radius r holds for
 * r / sqrt(d), d being the elements of an image. kind=line also says how far the boundary is along the gradient, which
 * bounds from above what a certificate can be.
 *
 * Writes FOLDER/attack.json (pgd_l2) or FOLDER/attack-KIND.json. Collective; the same result for any number of ranks
 * and threads. Errors: BNF_ERR_NUMERIC if a certificate was broken (the message names the first sample): the network in
 * f64 gave another class at a distance of at most the radius, or the f32 kernels did at one of at most the radius
 * certified for f32. */
bnf_status bnf_lipschitz_attack(bnf_run *run, const char *const *options, int n_options, bnf_buf *text);

#endif
