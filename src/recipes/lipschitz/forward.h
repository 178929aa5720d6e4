/* recipes/lipschitz/forward.h - the network evaluated in f64, one sample at a time, with the norms of all
 * activations: what margins are certified from. It is written apart from the graph's kernels, so that the two check
 * each other. */
#ifndef BNF_RECIPES_LIPSCHITZ_FORWARD_H
#define BNF_RECIPES_LIPSCHITZ_FORWARD_H

#include "recipes/lipschitz/net.h"

typedef struct bnf_lipschitz_forward bnf_lipschitz_forward;

/* net is borrowed, parameters are copied. [out] forward owned, release with bnf_lipschitz_forward_destroy. */
bnf_status bnf_lipschitz_forward_create(const bnf_lipschitz_net *net, bnf_params *params,
                                        bnf_lipschitz_forward **forward);
void bnf_lipschitz_forward_destroy(bnf_lipschitz_forward *forward); /* NULL is legal */

/* Elements of scratch for one evaluation. */
int64_t bnf_lipschitz_forward_scratch(const bnf_lipschitz_forward *forward);

/* x[h,w,c] network input -> logits[outputs]; norms[count + 1] Euclidean norms of every stage's input and of the
 * logits. Sums of products by BLAS in f64. Safe to call from several threads with scratch of their own; does not
 * allocate. */
void bnf_lipschitz_forward_run(const bnf_lipschitz_forward *forward, const double *x, double *scratch, double *logits,
                               double *norms);

#endif
